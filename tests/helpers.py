"""Helpers of several test modules: small data sets, models, records, and phi in float64."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import ops

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.cli import twoarg
from keras_twoarg.experiments.training.datasets import Dataset
from keras_twoarg.experiments.training.run_record import Record

ROOT = Path(__file__).parents[1]
BACKEND = keras.backend.backend()
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = 8
WIDTH, FEATURES, CLASSES = 8, 6, 3


def blobs(train=300, test=60, classes=3, seed=0):
    """Noise images with a bright quarter whose position is the class."""
    rng = np.random.default_rng(seed)

    def part(number):
        y = rng.integers(0, classes, number)
        y[:classes] = np.arange(classes)
        x = rng.integers(0, 120, (number, SIZE, SIZE, 1))
        for i, label in enumerate(y):
            row, column = divmod(int(label), 2)
            x[i, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
        return x.astype("uint8"), y.astype("int64")

    return Dataset("blobs", *part(train), *part(test), classes)


def save_npz(path, dataset, **changes):
    arrays = {key: getattr(dataset, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


def encrypted(file):
    """Set the encryption flag in every header of a zip archive."""
    content = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 4)
    file.write_bytes(bytes(content))


def phi_in_float64(inner, tuples):
    """The formula of InnerNetwork's docstring, in NumPy and float64, for ReLU networks."""
    hidden = np.asarray(tuples, "float64")
    *layers, kernel, bias = [np.asarray(w, "float64") for w in inner.get_weights()]
    for k, b in zip(layers[::2], layers[1::2], strict=True):
        hidden = np.maximum(hidden @ k + b, 0)
    return hidden @ kernel + bias


def shared_mlp(inner=None, places=3, width=8, features=6, classes=3):
    inner = inner or InnerNetwork(hidden_units=(8, 8))
    model = keras.Sequential([keras.Input((features,))])
    for _ in range(places):
        model.add(keras.layers.Dense(width * inner.arity))
        model.add(TwoArgActivation(inner))
    model.add(keras.layers.Dense(classes))
    return model


def predictions(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def command(*words, status=0):
    """Run `twoarg` with some words in this process, and return what it said."""
    result = CliRunner().invoke(twoarg, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


def assert_portable(model, x, folder):
    """An export computes what the model predicts, and holds nothing that needs XLA."""
    tensorflow = pytest.importorskip("tensorflow")
    expected = model.predict(x, verbose=0)
    model.export(folder, verbose=False)
    loaded = tensorflow.saved_model.load(folder)  # kept, or its variables would be gone
    np.testing.assert_allclose(loaded.serve(x), expected, atol=1e-5)
    if BACKEND == "tensorflow":
        assert b"_XlaMustCompile" not in (folder / "saved_model.pb").read_bytes()


def inner_networks(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, InnerNetwork)]


def gradients(layer, x):
    """Gradients of sum(layer(x)) with respect to x and the weights, as NumPy arrays."""
    weights = layer.inner.trainable_variables
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True))
        arrays = tape.gradient(loss, [x, *[w.value for w in weights]])
    elif BACKEND == "jax":
        import jax

        others = [w.value for w in layer.non_trainable_variables]

        def loss(x, values):
            return layer.stateless_call(values, others, x, training=True)[0].sum()

        by_x, by_weights = jax.grad(loss, argnums=(0, 1))(x, [w.value for w in weights])
        arrays = [by_x, *by_weights]
    else:
        import torch

        for weight in weights:  # torch accumulates
            weight.value.grad = None
        x = torch.tensor(x, requires_grad=True)
        layer(x, training=True).sum().backward()
        arrays = [x.grad, *[w.value.grad for w in weights]]
    return [ops.convert_to_numpy(g) for g in arrays]


def dense():
    return keras.layers.Dense(2 * WIDTH)


class Doubling(keras.layers.Layer):
    """A layer of one's own, which Keras cannot load by itself."""

    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable("keras_twoarg_tests")
class Block(keras.layers.Layer):
    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.linear, self.activation = dense(), activation

    def build(self, input_shape):
        self.linear.build(input_shape)
        if not self.activation.built:
            self.activation.build((None, 2 * WIDTH))

    def call(self, x):
        return self.activation(self.linear(x))

    def get_config(self):
        return {**super().get_config(), "activation": keras.saving.serialize_keras_object(self.activation)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "activation": keras.saving.deserialize_keras_object(config["activation"])})


@keras.saving.register_keras_serializable("keras_twoarg_tests")
class Subclassed(keras.Model):
    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.blocks, self.head = blocks, keras.layers.Dense(CLASSES)

    def build(self, input_shape):
        for block in self.blocks:
            if not block.built:
                block.build(input_shape)
            input_shape = (None, WIDTH)
        self.head.build(input_shape)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def get_config(self):
        return {"name": self.name, "blocks": [keras.saving.serialize_keras_object(b) for b in self.blocks]}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "blocks": [keras.saving.deserialize_keras_object(b) for b in config["blocks"]]})


def record(arm="relu", stage="joint", seed=1, accuracies=(0.5, 0.9, 0.96), **changes):
    epochs = [{"loss": 1.0, "accuracy": a, "val_loss": 1 - a, "val_accuracy": a, "seconds": 2.0} for a in accuracies]
    values = {
        "arm": arm, "stage": stage, "seed": seed, "dataset": "digits", "architecture": "mlp", "widths": [8],
        "parameters": 1000, "normalization": "LayerNorm", "splits": {"train": 80, "validation": 20, "test": 100},
        "settings": {"dropout": 0.5}, "epochs": epochs, "best_epoch": 3, "test_accuracy": accuracies[-1],
        "seconds": 6.0, "versions": {"keras": "3"},
    }  # fmt: skip
    return Record(**{**values, **changes})


RUNS = [
    record("relu", seed=1),
    record("relu", seed=2, accuracies=(0.4, 0.8, 0.92)),
    record("two_arg", "joint", accuracies=(0.9, 0.97, 0.98)),
    record("two_arg", "frozen", accuracies=(0.9, 0.91, 0.97)),
]


def slopes(train=300, test=60, features=4, seed=0):
    """A regression whose target is linear in the features, with a little noise."""
    rng = np.random.default_rng(seed)

    def part(number):
        x = rng.normal(size=(number, features)).astype("float32")
        y = x @ np.linspace(-0.7, 0.7, features) + 0.1 * rng.normal(size=number)
        return x, y.astype("float32")

    return Dataset("slopes", *part(train), *part(test), 1)


def regression_record(arm="relu", stage="joint", seed=1, losses=(0.9, 0.5, 0.36), **changes):
    rest = {"loss": 1.0, "accuracy": None, "val_accuracy": None, "seconds": 2.0}
    values = {"epochs": [{**rest, "val_loss": loss} for loss in losses], "test_accuracy": None, "test_loss": losses[-1]}
    return record(arm, stage, seed, **{"task": "regression", "dataset": "slopes", **values, **changes})


def small_phi(arity=2, seed=3, hidden=(5, 5), **kwargs):
    """A small inner network with a fixed seed."""
    initializer = keras.initializers.GlorotUniform(seed=seed)
    return InnerNetwork(hidden, arity=arity, kernel_initializer=initializer, **kwargs)


def array(rng, *shape):
    """Normal numbers in float32."""
    return rng.normal(size=shape).astype("float32")


def numpy(x):
    """A tensor of any backend in NumPy."""
    return ops.convert_to_numpy(x)


SMALL_SPACE = {
    "depth": [1, 2], "taper": [1.0], "dropout": [0.0, 0.5], "batch_size": [50], "normalization": ["layer"],
    "inner_units": [4],    "inner_activation": ["relu"], "phi_init": ["glorot"], "learning_rate": [1e-3, 1e-2],
}  # fmt: skip
"""Choices of hyperparameters for small searches."""


def gaussian(number=20_000, covariance=((1.0, 0.3), (0.3, 0.5)), seed=0):
    """Correlated pairs of arguments."""
    return np.random.default_rng(seed).multivariate_normal([0.2, -0.1], covariance, number)


def on(surface):
    """Return a function of two arguments as one of tuples."""
    return lambda tuples: surface(*tuples.T)


def plane(surface):
    """The values of a function of two arguments on the grid of the densities."""
    axis = np.linspace(-5, 5, 101)
    return np.broadcast_to(surface(axis[:, None], axis[None, :]), (101, 101))
