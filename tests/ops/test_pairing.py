"""How pre-activations become arguments: grouped, and apart."""

import numpy as np
import pytest
from keras import ops

from keras_twoarg.ops.pairing import to_arguments, to_tuples

pytestmark = pytest.mark.jax


@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 8), -1), ((3, 5, 8), -1), ((3, 8, 5, 6), 1), ((3, 5, 6, 8), 3)])
def test_arguments_apart_are_those_of_the_tuples(pairing, shape, axis, rng):
    x = rng.normal(size=shape).astype("float32")
    tuples = ops.convert_to_numpy(to_tuples(x, 2, pairing, axis))
    for k, argument in enumerate(to_arguments(x, 2, pairing, axis)):
        np.testing.assert_array_equal(np.moveaxis(ops.convert_to_numpy(argument), 1, axis), tuples[..., k])
