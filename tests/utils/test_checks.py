"""Whole numbers are taken as Python and NumPy give them; all else is named."""

import json

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, Interpolation, TwoArgDense, TwoArgMaxPooling2D, models
from keras_twoarg.utils.checks import positive_integer


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None, np.int64(0), np.float32(2)])
def test_what_is_no_positive_integer_is_named(value):
    with pytest.raises(ValueError, match="`units` must be a positive integer: so many. Received: units="):
        positive_integer("units", value, ": so many")


def test_numbers_of_numpy_are_as_good_and_can_be_saved():
    inner = InnerNetwork(hidden_units=list(np.array([8, 4])), arity=np.int32(2))
    json.dumps([inner.get_config()["hidden_units"], inner.get_config()["arity"], TwoArgDense(np.int64(3)).units])
    assert InnerNetwork(np.int64(8)).hidden_units == (8,)


def test_models_and_places_take_numbers_of_numpy_and_save_them(tmp_path):
    two = np.int64(2)
    models.transformer((4,), 5, "swiglu", np.array([6, 6]), sequence_width=4, heads=two).save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")
    grid = Interpolation(resolution=np.int64(81))
    pooled = TwoArgMaxPooling2D(InnerNetwork(), (two, 2), axis=np.int64(-1), evaluation=grid)
    assert json.loads(json.dumps(pooled.get_config()["pool_size"])) == [2, 2]
    json.dumps([pooled.get_config()["axis"], pooled.get_config()["evaluation"]])
