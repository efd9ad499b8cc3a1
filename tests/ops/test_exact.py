"""Exact evaluation: the value and gradient of phi, in chunks and at once, on every backend."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.ops import exact
from tests.helpers import BACKEND, ROOT, gradients, phi_in_float64

pytestmark = pytest.mark.jax


def gradients_in_float64(inner, tuples):
    """The same by the chain rule, in NumPy and float64, for two hidden ReLU layers."""
    k1, b1, k2, b2, k3, _ = [w.astype("float64") for w in inner.get_weights()]
    h1 = np.maximum(tuples @ k1 + b1, 0)
    h2 = np.maximum(h1 @ k2 + b2, 0)
    upstream = np.ones((len(tuples), 1))
    g2 = (upstream @ k3.T) * (h2 > 0)
    g1 = (g2 @ k2.T) * (h1 > 0)
    return [g1 @ k1.T, tuples.T @ g1, g1.sum(0), h1.T @ g2, g2.sum(0), h2.T @ upstream, upstream.sum(0)]


@pytest.mark.parametrize("number", [50, exact.CHUNK, exact.CHUNK + 1, 3 * exact.CHUNK + 17])
def test_gradient_is_the_chain_rule_in_one_chunk_and_in_many(number, rng):
    layer = TwoArgActivation(InnerNetwork(hidden_units=(8, 8)), evaluation="exact")
    x = rng.normal(size=(number, 2)).astype("float32")
    layer(x[:1])
    expected = gradients_in_float64(layer.inner, x.astype("float64"))
    for gradient, wanted in zip(gradients(layer, x), expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=2e-6 * number)


@pytest.mark.skipif(BACKEND != "torch", reason="torch's transformations")
def test_torch_transforms_the_training_of_many_tuples(rng):
    import torch

    layer = TwoArgActivation(InnerNetwork(hidden_units=(8, 8)), evaluation="exact")
    layer.build((None, 2))
    x = torch.tensor(rng.normal(size=(2, 2 * exact.CHUNK)).astype("float32"))
    by_x, *by_weights = gradients(layer, x.numpy())

    def loss(x, values):
        return layer.stateless_call(values, [], x, training=True)[0].sum()

    expected = torch.func.grad(loss, argnums=(0, 1))(x, [w.value for w in layer.trainable_variables])
    for gradient, wanted in zip([by_x, *by_weights], [expected[0], *expected[1]], strict=True):
        np.testing.assert_allclose(gradient, wanted.detach(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("number", [0, 1, exact.CHUNK - 1, exact.CHUNK, 2 * exact.CHUNK + 3])
def test_training_and_inference_give_the_same_values(number, rng):
    layer = TwoArgActivation()
    x = rng.normal(size=(number, 2)).astype("float32")
    training = ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_allclose(training, ops.convert_to_numpy(layer(x)), atol=1e-6)
    np.testing.assert_allclose(training, phi_in_float64(layer.inner, x), atol=1e-5)


def test_split_and_join_are_inverse(rng):
    for number in (0, 1, exact.CHUNK, 2 * exact.CHUNK + 3):
        rows = rng.normal(size=(number, 3)).astype("float32")
        chunks = exact._split(rows)
        assert chunks.shape[1] <= exact.CHUNK + 1
        np.testing.assert_array_equal(ops.convert_to_numpy(exact._join(chunks, number, 3)), rows)


def test_networks_of_different_sizes_do_not_meet_in_one_compiled_function(rng):
    for arity, units in [(1, (4,)), (2, (4, 4)), (3, (8,)), (2, (6, 3))]:
        inner = InnerNetwork(hidden_units=units, arity=arity)
        x = rng.normal(size=(5, arity)).astype("float32")
        np.testing.assert_allclose(ops.convert_to_numpy(inner(x)), phi_in_float64(inner, x), atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
def test_an_inference_graph_holds_plain_operations_only():
    import tensorflow as tf

    layer = TwoArgActivation()
    layer.build((None, 8))
    graph = tf.function(lambda x: layer(x, training=False)).get_concrete_function(tf.TensorSpec([None, 8])).graph
    forbidden = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "TensorListReserve"}
    assert not forbidden & {op.type for op in graph.get_operations()}


MEMORY = """
import json, resource, sys
import keras, numpy as np
from keras_twoarg import InnerNetwork, TwoArgActivation

class Scale(keras.layers.Layer):
    def build(self, shape): self.scale = self.add_weight(shape=(), initializer="ones")
    def call(self, x): return x * self.scale

inputs = keras.Input((800,))
inner, hidden = InnerNetwork(), inputs
for _ in range(6):  # 6 places, each 1,000 x 400 pairs
    outputs = TwoArgActivation(inner)(Scale()(hidden))
    hidden = keras.layers.Concatenate()([outputs, hidden[:, :400]])
model = keras.Model(inputs, hidden)
model.compile(keras.optimizers.SGD(1e-4), "mse", jit_compile="auto")
x = np.random.default_rng(0).normal(size=(1000, 800)).astype("float32")
model.evaluate(x[:2], x[:2], verbose=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.fit(x, x, batch_size=1000, epochs=2, verbose=0)
print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="measured on TensorFlow and JAX")
def test_training_memory_does_not_grow_with_the_hidden_layers():
    # Six places of 400,000 pairs; kept for the backward pass, their hidden values take 1,500 MB.
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) < 350


AGREEMENT = """
import sys
import keras, numpy as np
import keras_twoarg
model = keras.models.load_model(sys.argv[1], compile=False)
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(np.load(sys.argv[2]), training=len(sys.argv) > 4)))
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="run once, from TensorFlow")
@pytest.mark.parametrize("other", ["jax", "torch"])
@pytest.mark.parametrize("mode", [[], ["training"]], ids=["inference", "training"])
def test_other_backends_load_the_file_and_agree(other, mode, tmp_path, rng):
    pytest.importorskip(other)
    inner = InnerNetwork()
    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(16, 3), TwoArgActivation(inner)])
    model.add(TwoArgActivation(inner, pairing="halves"))
    x = rng.normal(size=(300, 6, 6, 2)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    environment = {**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(ROOT)}
    files = [str(tmp_path / name) for name in ("model.keras", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", AGREEMENT, *files, *mode], check=True, env=environment)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), atol=1e-5)
