"""Session I: phi comes to fit the surface; the cache gives the same weights; nothing else changes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.pretraining import _batches, pretrain
from keras_twoarg.utils import versions

pytestmark = pytest.mark.jax


def seeded(units=(16, 16), arity=2):
    inner = InnerNetwork(units, arity=arity, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    inner.build((None, arity))
    return inner


@pytest.mark.slow
@pytest.mark.parametrize("surface", [surfaces.product, surfaces.maxout, surfaces.xnor, surfaces.swiglu])
def test_a_structured_start_fits_the_named_surface(surface):
    fit = pretrain(seeded((32, 32)), surface, epochs=8, learning_rate=3e-3)
    assert fit.r2 > 0.99


@pytest.mark.slow
def test_a_random_field_is_fitted_better_with_more_epochs():
    field = surfaces.random_field(0)
    short = pretrain(seeded((64, 64)), field, epochs=1)
    longer = pretrain(seeded((64, 64)), field, epochs=40)
    assert longer.r2 > max(0.3, short.r2)
    np.testing.assert_allclose(1 - longer.mse / field.values.var(), longer.r2, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 3])
def test_other_arities(arity):
    inner = seeded(arity=arity)
    fit = pretrain(
        inner, surfaces.random_field(0, arity), epochs=20 if arity == 1 else 1, batch_size=100 if arity == 1 else 20_000
    )
    assert fit.steps == (40 if arity == 1 else 52)
    assert np.isfinite(fit.mse)


@pytest.mark.slow
def test_the_second_time_comes_from_the_cache_and_is_equal(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path / "cache"))
    first, second, other = seeded(), seeded(), seeded()
    assert not pretrain(first, surfaces.product, epochs=1).cached
    fit = pretrain(second, surfaces.product, epochs=1)
    assert fit.cached
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    assert not pretrain(other, surfaces.product, epochs=1, seed=1).cached
    other.set_weights([w * 0.9 for w in other.get_weights()])
    assert not pretrain(other, surfaces.product, epochs=1).cached


def test_what_was_fitted_under_another_dtype_policy_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path))
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        assert not pretrain(seeded((4,)), surfaces.product, epochs=1).cached
        assert pretrain(seeded((4,)), surfaces.product, epochs=1).cached
        assert versions.versions()["dtype_policy"] == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert not pretrain(seeded((4,)), surfaces.product, epochs=1).cached
    assert versions.versions()["dtype_policy"] == "float32"


@pytest.mark.parametrize("module", ["backend", "keras"])
def test_what_other_software_fitted_is_not_taken(module, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path))
    pretrain(seeded((4,)), surfaces.product, epochs=1)
    earlier = {**versions.versions(), module: "another"}
    monkeypatch.setattr(versions, "versions", lambda: earlier)
    assert not pretrain(seeded((4,)), surfaces.product, epochs=1).cached


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated"])
def test_a_damaged_cache_is_fitted_anew(content, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path))
    pretrain(seeded(), surfaces.product, epochs=1)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert not pretrain(seeded(), surfaces.product, epochs=1).cached


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path / "file" / "cache"))
    assert not pretrain(seeded(), surfaces.product, epochs=1).cached


@pytest.mark.parametrize("folder", [None, "", "keras"])
def test_without_a_home_folder_the_cache_is_in_keras_own_or_done_without(folder, tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_TWOARG_CACHE")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    if folder is not None:
        monkeypatch.setenv("KERAS_HOME", folder and str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", homeless)
    pretrain(seeded(), surfaces.product, epochs=1)
    assert len(list(tmp_path.rglob("pretrained-*.npz"))) == (folder == "keras")


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    pretrain(seeded(), surfaces.product, epochs=1)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_progress_counts_to_the_end():
    calls = []
    pretrain(seeded(), surfaces.product, epochs=15, cache=False, progress=lambda *done: calls.append(done))
    assert calls == [(1000, 1545), (1545, 1545)]


def test_every_epoch_visits_every_row():
    batches = list(_batches(10, epochs=2, batch_size=4, rng=np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4] * 6
    for epoch in (batches[:3], batches[3:]):
        assert sorted(np.concatenate(epoch)[:10]) == list(range(10))


def test_predict_in_blocks_is_phi(rng):
    inner = seeded()
    tuples = rng.normal(size=(70_000, 2)).astype("float32")
    np.testing.assert_allclose(inner.predict(tuples)[-5:], inner.predict(tuples[-5:]), atol=1e-6)
    assert inner.predict(tuples[:0]).shape == (0, 1)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"surface": lambda a, b: np.full_like(a, np.nan)}, "10201 values that are not finite"),
        ({"surface": lambda a, b: 0.0}, r"shape=\(\)"),
        ({"epochs": 0}, "`epochs` must be positive"),
        ({"batch_size": -1}, "`batch_size` must be positive"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive"),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        pretrain(seeded(), **{"surface": surfaces.product, **kwargs})
