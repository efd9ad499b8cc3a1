"""Whole numbers are taken as Python and NumPy give them; all else is named."""

import json

import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgDense
from keras_twoarg.utils.checks import positive_integer


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None, np.int64(0), np.float32(2)])
def test_what_is_no_positive_integer_is_named(value):
    with pytest.raises(ValueError, match="`units` must be a positive integer: so many. Received: units="):
        positive_integer("units", value, ": so many")


def test_numbers_of_numpy_are_as_good_and_can_be_saved():
    inner = InnerNetwork(hidden_units=list(np.array([8, 4])), arity=np.int32(2))
    json.dumps([inner.get_config()["hidden_units"], inner.get_config()["arity"], TwoArgDense(np.int64(3)).units])
    assert InnerNetwork(np.int64(8)).hidden_units == (8,)
