import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)


@pytest.fixture(autouse=True)
def _no_user_cache(tmp_path_factory, monkeypatch):
    """Tests fit phi anew, or share one cache of their own: never the user's."""
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


def inner_networks(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, InnerNetwork)]
