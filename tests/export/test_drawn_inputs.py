"""Random inputs for comparisons: what a model takes, spread over its range."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_twoarg.export import formats


def of(*parts, dtype="float32", shape=(4,)):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bool", "int32", "uint8"])
def test_they_have_the_type_of_the_models_input(dtype):
    assert formats.random_inputs(of(layers.Dense(3), dtype=dtype), seed=0).dtype == dtype


def test_pixels_cover_all_grey_levels():
    rescaling = layers.Rescaling(1 / 127.5, offset=-1.0)
    augmented = of(layers.RandomFlip(), layers.Rescaling(1 / 255), shape=(4, 4, 3))
    for model in (of(rescaling), augmented, of(layers.Dense(3), dtype="uint8")):
        x = formats.random_inputs(model, seed=0)
        assert 0 <= x.min() < 10 and 245 < x.max() <= 255
    scaled = formats.servable(of(layers.Dense(3)), pixels=True)
    assert formats.random_inputs(scaled, seed=0).max() > 245
    for model in (of(layers.Dense(3)), of(layers.Dense(3), layers.Rescaling(0.5))):
        assert -1 <= formats.random_inputs(model, seed=0).min() < -0.9


def test_features_lie_around_the_mean_that_normalizes_them():
    normalization = layers.Normalization(mean=[1000.0, -5.0], variance=[900.0, 0.01])
    model = formats.servable(of(normalization, layers.Dense(3), shape=(2,)))
    z = (formats.random_inputs(model, seed=0) - [1000.0, -5.0]) / [30.0, 0.1]
    assert (np.abs(z) <= 2.001).all() and (z.min(0) < -1.8).all() and (z.max(0) > 1.8).all()
    inside = of(layers.Dense(7), normalization.__class__(mean=[9.0] * 7, variance=[1.0] * 7))
    assert np.abs(formats.random_inputs(inside, seed=0)).max() <= 1  # of other numbers than the inputs


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_tokens_are_whole_and_known(dtype):
    x = formats.random_inputs(of(layers.Embedding(50, 3), layers.Flatten(), dtype=dtype), seed=0)
    assert x.dtype == dtype and set(x.ravel()) <= set(range(50)) and len(set(x.ravel())) > 30


def test_an_embedding_of_positions_makes_no_tokens_of_images():
    entry = keras.Input((4, 3))
    positions = layers.Embedding(4, 3)(keras.ops.cast(keras.ops.round(entry[..., 0]), "int32"))
    x = formats.random_inputs(keras.Model(entry, entry + positions), seed=0)
    assert not np.array_equal(x, np.round(x))
