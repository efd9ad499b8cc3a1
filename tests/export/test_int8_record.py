"""The record of an export in int8: what `twoarg export` accepts, `twoarg serve-check` accepts too."""

import keras
import numpy as np
import pytest

from keras_twoarg.export import formats, int8_record, verify


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return what was counted of an export that computes other outputs, the record, and what serve-check counts."""

    def recorded(last, x, spoil, *judged):
        model = keras.Sequential([keras.Input((x.shape[-1],)), last])
        last.kernel.assign(np.eye(*last.kernel.shape))
        monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: spoil(keras.ops.convert_to_numpy(model(x))))
        changes = int8_record.record(model, tmp_path / "model.tflite", x, 0.02, *judged)
        with np.load(formats.record_of(tmp_path / "model.tflite")) as file:
            record = dict(file)
        return changes, record, *verify._changes(record, spoil(record["outputs"]))

    return recorded


def unequal(rng, bad):
    """Return 600 samples whose largest entry is clearly so, of which some are marked with an entry of 9."""
    x = np.eye(3, dtype="float32")[rng.integers(3, size=600)]
    x[bad] *= 9
    return x


@pytest.mark.parametrize("bad", [slice(0, 10), slice(590, 600)])
def test_a_record_that_changed_more_than_all_samples_did_is_accepted(recorded, bad, rng):
    def spoil(outputs):
        return np.where(outputs.max(-1, keepdims=True) > 5, np.roll(outputs, 1, axis=-1), outputs)

    changes, record, found, allowed = recorded(keras.layers.Dense(3, use_bias=False), unequal(rng, bad), spoil)
    assert changes.changed == 10 and changes.within(0.02, 0.02) and found.within(allowed, allowed)
    first = bad.start == 0
    assert found.changed == (10 if first else 0) and allowed == pytest.approx(0.0391 if first else 0.02)
    assert len(record["inputs"]) == len(record["outputs"]) == 256
    assert not verify._changes(record, np.roll(record["outputs"], 1, axis=-1))[0].within(allowed, allowed)


def test_a_regression_whose_first_outputs_changed_more_is_accepted(recorded, rng):
    x = np.concatenate([rng.normal(size=(256, 1)), 100 * rng.normal(size=(600, 1))]).astype("float32")
    changes, record, found, allowed = recorded(keras.layers.Dense(1, use_bias=False), x, lambda y: y + 0.05)
    assert record["task"] == "regression" and changes.relative < 0.02 < found.relative <= allowed < 0.06


def test_a_logit_with_labels_is_a_decision_as_it_is_for_bake(recorded, rng):
    x = rng.normal(size=(400, 1)).astype("float32")
    x[np.abs(x) < 0.1] = 1.0
    dense = keras.layers.Dense(1, use_bias=False)
    changes, record, *_ = recorded(dense, x, lambda y: y * 3, "auto", (x[:, 0] > 0).astype(int))
    assert changes.share == 0 and (record["task"], record["threshold"]) == ("binary", 0)


def test_the_threshold_is_that_of_all_samples(recorded, rng):
    x = rng.uniform(0, 1, size=(400, 1)).astype("float32")
    x[300:] += 1  # so they are no probabilities
    dense = keras.layers.Dense(1, "relu", use_bias=False)
    changes, record, *_ = recorded(dense, x, lambda y: y, "binary")
    assert changes.share == 0 and record["threshold"] == 0


def test_without_litert_a_record_is_left_for_a_machine_that_has_it(tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("no LiteRT")

    monkeypatch.setattr(formats.runtimes, "load", missing)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ImportError):
        int8_record.record(model, tmp_path / "model.tflite", np.ones((5, 4), "float32"), 0.02)
    with np.load(tmp_path / "recorded-model.tflite.npz") as record:
        assert record["most_changed"] == 0.02 and record["outputs"].shape == (5, 3)
