"""What is done otherwise on a GPU gives the same gradients; on a CPU, with the device pretended."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation
from keras_twoarg.ops import gpu, look_up, table
from tests.helpers import gradients

pytestmark = pytest.mark.jax


@pytest.fixture
def pretended(monkeypatch):
    """A GPU, for code that is traced anew."""
    caches = (
        table.compiled_look_up,
        table.compiled_gradients,
        table._tensorflow_look_up,
        table._differentiable_gradients,
    )
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr(table, "on_gpu", lambda: True)
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="its sums need no copies")
@pytest.mark.parametrize("arity", [1, 2])
def test_sums_in_private_copies_give_the_same_gradients(arity, rng, request, monkeypatch):
    inner = InnerNetwork((8,), "tanh", arity, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    layer = TwoArgActivation(inner, evaluation=Interpolation(extent=3.0, resolution=25))
    pairs = rng.normal(0, 2, (777, arity)).astype("float32")
    layer.build(pairs.shape)
    expected = gradients(layer, pairs)
    request.getfixturevalue("pretended")
    copied, original = [], gpu.in_private_copies
    for module in (table, look_up):
        monkeypatch.setattr(module, "in_private_copies", lambda *a: copied.append(a) or original(*a))
    for ours, theirs in zip(gradients(layer, pairs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)
    assert copied
    copied.clear()
    layer(pairs)
    assert not copied  # without gradients the copies would only take memory


def test_copies_are_one_below_the_other():
    rows = ops.convert_to_numpy(gpu.in_private_copies(ops.zeros(gpu.COPIES + 1, "int32") + 3, 10))
    assert rows.tolist() == [3 + 10 * copy for copy in range(gpu.COPIES)] + [3]


def test_here_is_no_gpu():
    assert gpu.on_gpu() is False


@pytest.mark.parametrize(
    ("version", "slow"), [("0.10.1", False), ("0.10.2", True), ("0.11.0", True), ("0.11.1", False)]
)
def test_slow_versions_of_jaxlib_are_named_once(version, slow):
    gpu.warn_of_slow_sums.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpu.warn_of_slow_sums(version)
        gpu.warn_of_slow_sums(version)
    assert [f"jaxlib {version} is slow on a GPU" in str(each.message) for each in caught] == [True] * slow
