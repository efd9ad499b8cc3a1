"""LiteRT in int8: phi is the nearest entry of a table, few predictions change, nothing half written stays."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import (
    BakedActivation,
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgMaxPooling2D,
    bake,
    models,
)
from keras_twoarg.analysis import surfaces
from keras_twoarg.cli import export as export_command
from keras_twoarg.experiments.training import datasets
from keras_twoarg.export import formats, int8_record, litert_int8, verify
from tests.helpers import blobs, save_npz, shared_mlp
from tests.helpers import command as run

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("ai_edge_litert")

STEP = 2.0 / 127


def nearest(x):
    return np.clip(np.round(x / STEP), -128, 127) * STEP


def product(units=3, **settings):
    """Return a layer whose phi is the product of its arguments, at all integers that they may be."""
    grid = Interpolation(extent=2.1, resolution=9)
    layer = BakedActivation(grid, **settings)
    layer.build((None, 2 * units))
    layer.fill(surfaces.product(*grid.nodes(arity=2).T))
    return layer


def called(layer, inputs):
    return ops.convert_to_numpy(litert_int8._call(layer, *litert_int8._table(layer, 2.0), inputs))


@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_a_look_up_is_the_product_of_the_nearest_steps(pairing, rng):
    x = rng.uniform(-3, 3, size=(50, 6)).astype("float32")  # a third of them outside of the range
    first, second = (x[:, 0::2], x[:, 1::2]) if pairing == "adjacent" else (x[:, :3], x[:, 3:])
    expected = nearest(first) * nearest(second)
    np.testing.assert_allclose(called(product(pairing=pairing), x), expected, atol=1e-5)


def test_a_look_up_takes_two_tensors_and_one_argument(rng):
    first, second = rng.uniform(-2, 2, size=(2, 20, 3)).astype("float32")
    layer = BakedActivation(Interpolation(extent=2.0, resolution=9))
    layer.build([(None, 3), (None, 3)])
    layer.fill(surfaces.product(*layer.grid.nodes(arity=2).T))
    np.testing.assert_allclose(called(layer, [first, second]), nearest(first) * nearest(second), atol=1e-5)
    curve = TwoArgActivation(InnerNetwork(hidden_units=(8,), arity=1))
    curve.build((None, 3))
    expected = curve.inner.predict(nearest(first).reshape(-1, 1)).reshape(first.shape)
    np.testing.assert_allclose(called(curve, first), expected, atol=1e-5)


@pytest.mark.parametrize("evaluation", [Interpolation(extent=1.0, resolution=3), "interpolated", "exact", "auto"])
@pytest.mark.parametrize("arity", [1, 2])
def test_a_look_up_is_what_its_layer_computes_also_from_a_coarse_table(evaluation, arity, rng):
    """Beyond a table too, which is another function than phi."""
    layer = TwoArgActivation(InnerNetwork(hidden_units=(8,), arity=arity, activation="tanh"), evaluation=evaluation)
    x = rng.uniform(-2, 2, size=(50, 6)).astype("float32")
    expected = ops.convert_to_numpy(layer(nearest(x).astype("float32")))
    np.testing.assert_allclose(called(layer, x), expected, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1])
def test_a_look_up_pools_as_its_layer_does(axis, rng):
    x = rng.uniform(-2, 2, size=(2, 6, 6, 6)).astype("float32")
    layer = TwoArgMaxPooling2D(InnerNetwork(hidden_units=(8,)), axis=axis, evaluation="exact")
    expected = ops.convert_to_numpy(layer(nearest(x).astype("float32")))
    np.testing.assert_allclose(called(layer, x), expected, atol=1e-5)


def test_a_file_reads_the_integers_as_they_are(tmp_path, rng):
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator
    from tensorflow.lite.tools import flatbuffer_utils

    x = rng.uniform(-2, 2, size=(60, 6)).astype("float32")
    model = keras.Sequential([keras.Input((6,)), product()])
    formats.export(model, tmp_path / "model.tflite", "litert", representative_dataset=x)
    outputs = formats.runtimes.load(tmp_path / "model.tflite", "litert")(x)
    error = outputs - x[:, 0::2] * x[:, 1::2]  # inputs, arguments and outputs are rounded
    assert np.abs(error).max() < 4.5 * STEP and error.std() < STEP
    file = flatbuffer_utils.read_model(str(tmp_path / "model.tflite"))
    operators = file.subgraphs[0].operators
    kinds = [
        len(litert_int8._operators(file, operators, getattr(BuiltinOperator, kind)))
        for kind in ("GATHER", "BITCAST", "CAST", "DEQUANTIZE")
    ]
    assert kinds == [1, 1, 1, 1]  # of the outputs alone are floats made


@pytest.mark.parametrize("factor", [1.0, 0.1])  # of the second tensor's range
def test_a_file_reads_two_tensors(factor, tmp_path, rng):
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator
    from tensorflow.lite.tools import flatbuffer_utils

    first, second = keras.Input((3,)), keras.layers.Dense(3, kernel_initializer="identity")
    layer = BakedActivation(Interpolation(extent=2.1, resolution=9))
    model = keras.Model(first, layer([keras.layers.Dense(3, kernel_initializer="identity")(first), second(first)]))
    layer.fill(surfaces.product(*layer.grid.nodes(arity=2).T))
    second.set_weights([factor * np.eye(3), np.zeros(3)])
    x = rng.uniform(-2, 2, size=(60, 3)).astype("float32")
    formats.export(model, tmp_path / "model.tflite", "litert", representative_dataset=x)
    outputs = formats.runtimes.load(tmp_path / "model.tflite", "litert")(x)
    assert np.abs(outputs - factor * x**2).max() < 4.5 * STEP
    file = flatbuffer_utils.read_model(str(tmp_path / "model.tflite"))
    casts = litert_int8._operators(file, file.subgraphs[0].operators, BuiltinOperator.CAST)
    assert len(casts) == 1  # of the integer that both are together


def test_a_multiplication_that_changes_integers_stays():
    class Part:
        def __init__(self, **attributes):
            self.__dict__.update(attributes)

    def tensor(scale, zero, buffer=0):
        return Part(quantization=Part(scale=[scale], zeroPoint=[zero]), buffer=buffer)

    def is_one_step(step, zero, times):
        tensors = [tensor(step, zero), tensor(times / 255, -128, 1), tensor(1.0, 0)]
        file = Part(subgraphs=[Part(tensors=tensors)], buffers=[Part(data=None), Part(data=np.array([127], "uint8"))])
        return litert_int8._is_one_step(file, Part(inputs=[0, 1], outputs=[2]))

    assert is_one_step(0.04, 0, 25.0)
    assert not is_one_step(0.04, 1, 25.0) and not is_one_step(0.041, 0, 25.0)


@pytest.fixture(scope="module")
def split():
    return datasets.split(blobs(train=600, test=400), seed=0)


def trained(split, arm, network):
    make, widths = (models.mlp, (16, 16)) if network == "mlp" else (models.cnn, (8, 16))
    model = make((8, 8, 1), 3, arm, widths, dropout=0.0, seed=0)
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(split.x_train, split.y_train, batch_size=20, epochs=4, verbose=0)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("arm", ["relu", "two_arg", "one_arg"])
def test_few_predictions_change(network, arm, split, tmp_path):
    model, path = trained(split, arm, network), tmp_path / "model.tflite"
    formats.export(model, path, "litert", representative_dataset=split.x_train)
    before = ops.convert_to_numpy(model(split.x_test)).argmax(-1)
    assert (before == split.y_test).mean() > 0.9  # or there is nothing to keep
    changes = formats.changes(model, path, split.x_test)
    assert changes.predictions == 400 and changes.share <= 0.02
    run = formats.runtimes.load(path, "litert")
    whole = run(split.x_test)
    for batch in (1, 37):
        np.testing.assert_array_equal(run(split.x_test[:batch]), whole[:batch])
    assert path.stat().st_size < 500_000 and [file.name for file in tmp_path.iterdir()] == ["model.tflite"]


@pytest.mark.slow
def test_a_baked_model_is_quantized_as_the_model_is(split, tmp_path):
    model = trained(split, "two_arg", "mlp")
    for name, one in (("model", model), ("baked", bake(model, split.x_validation)[0])):
        formats.export(one, tmp_path / f"{name}.tflite", "litert", representative_dataset=split.x_train)
    outputs = [
        formats.runtimes.load(tmp_path / f"{name}.tflite", "litert")(split.x_test) for name in ("model", "baked")
    ]
    assert np.abs(outputs[0] - outputs[1]).std() < 0.05 * outputs[0].std()


def test_what_cannot_be_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    model, x = shared_mlp(), np.zeros((5, 6), "float32")

    def refused(model=model, samples=x, format="litert", name="model.tflite"):
        with pytest.raises(ValueError) as error:
            formats.export(model, tmp_path / name, format, representative_dataset=samples)
        assert not list(tmp_path.iterdir()) and "\n" not in str(error.value)
        return str(error.value)

    assert "needs the format 'litert'" in refused(format="onnx", name="model.onnx")
    assert "samples of shape (None, 6). Received: shape=(5, 7)" in refused(samples=np.zeros((5, 7)))
    assert "samples of shape (None, 6). Received: shape=(0, 6)" in refused(samples=x[:0])
    assert "must be finite" in refused(samples=np.full((5, 6), np.nan))
    three = shared_mlp(InnerNetwork(hidden_units=(4,), arity=3))
    assert "one or two arguments" in refused(three)
    inputs = [keras.Input((6,)), keras.Input((6,))]
    assert "one input and one output" in refused(keras.Model(inputs, keras.layers.Add()(inputs)))

    def broken(self, path, **_):
        Path(path).write_bytes(b"half")
        raise ValueError("broken")

    monkeypatch.setattr(keras.Model, "export", broken)
    assert refused() == "broken"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npz(tmp_path / "blobs.npz", blobs(train=600))
    models.mlp((8, 8, 1), 3, widths=(8,), seed=0).save(tmp_path / "model.keras")
    return tmp_path


def test_the_command_needs_data_and_the_format(folder):
    int8 = ("export", "model.keras", "--out", "served/model.tflite", "--int8")
    assert "Name the data" in run(*int8, "--format", "litert", status=2)
    assert "--int8 needs --format litert" in run(*int8, "--data", "blobs.npz", status=2)
    assert "--data is for --int8" in run("export", "model.keras", "--out", "served/1", "--data", "blobs.npz", status=2)
    assert not (folder / "served").exists()


@pytest.mark.parametrize("task", ["auto", "regression"])
def test_int8_is_judged_by_labels_as_bake_is(folder, monkeypatch, task):
    def record(model, out, samples, most_changed, task, labels):
        judged.append((task, labels if labels is None else set(labels), len(samples)))
        raise KeyboardInterrupt

    judged: list[tuple[object, ...]] = []
    monkeypatch.setattr(formats, "export", lambda *_, **__: None)
    monkeypatch.setattr(int8_record, "record", record)
    monkeypatch.setattr(export_command, "split_for", lambda *_: (datasets.split(blobs(), 0), task))
    run("export", "model.keras", "--int8", "--format", "litert", "--out", "model.tflite", status=1)
    assert judged == [(task, None if task == "regression" else {0, 1, 2}, 60)]


@pytest.mark.slow
def test_the_command_counts_changed_predictions_and_serve_check_does(folder):
    int8 = ("export", "model.keras", "--format", "litert", "--int8", "--data", "blobs.npz")
    said = run(*int8, "--most-changed", 0.2, "--softmax", "--pixels", "--out", "served/model.tflite")
    assert "of 120 predictions changed" in said and "95 % confidence" in said and "Export: served/model.tflite" in said
    said = run("serve-check", "served")
    assert "agrees:" in said and "DIFFERS" not in said
    with np.load(folder / "served" / "recorded-model.tflite.npz") as record:
        arrays = dict(record)
    arrays["outputs"] = np.roll(arrays["outputs"], 1, axis=-1)
    np.savez(folder / "served" / "recorded-model.tflite.npz", **arrays)
    assert "DIFFERS:" in run("serve-check", "served", status=1)
    assert "already exists" in run(*int8, "--out", "served/model.tflite", status=2)


@pytest.mark.slow
def test_an_export_that_changes_too_much_is_removed(folder, monkeypatch):
    monkeypatch.setattr(litert_int8, "_values", lambda place, tuples: np.zeros(len(tuples), "float32"))
    options = ("--format", "litert", "--int8", "--data", "blobs.npz", "--out", "served/model.tflite")
    said = run("export", "model.keras", *options, status=1)
    assert "Too many" in said and not list((folder / "served").iterdir())


def test_a_record_of_int8_is_compared_by_predictions():
    logits = np.array([[1.0, 2.0], [3.0, 0.0]])
    record = {"outputs": logits, "most_changed": np.array(0.4), "task": np.array("classes"), "threshold": np.array(0.0)}
    changes, most_changed = verify._changes(record, logits[:, ::-1])
    assert changes.changed == 2 and not changes.within(most_changed, most_changed)
    assert "2 of 2 predictions changed (100.00%; at most 40.00% allowed)" in changes.sentence(most_changed)
    assert verify._changes({"outputs": logits}, logits) is None


def test_several_numbers_of_a_regression_are_no_classes(monkeypatch):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: np.asarray(model(x))[:, ::-1])
    changes = formats.changes(model, "any.tflite", x, "regression")
    assert changes.share is None and changes.relative > 0.1
    assert formats.changes(model, "any.tflite", x).share > 0
