"""How pre-activations become arguments: grouped, and apart."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import TwoArgActivation
from keras_twoarg.ops.pairing import to_arguments, to_tuples, units_shape
from tests.helpers import array, predictions, small_phi

pytestmark = pytest.mark.jax


@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 8), -1), ((3, 5, 8), -1), ((3, 8, 5, 6), 1), ((3, 5, 6, 8), 3)])
def test_arguments_apart_are_those_of_the_tuples(pairing, shape, axis, rng):
    x = rng.normal(size=shape).astype("float32")
    tuples = ops.convert_to_numpy(to_tuples(x, 2, pairing, axis))
    for k, argument in enumerate(to_arguments(x, 2, pairing, axis)):
        np.testing.assert_array_equal(np.moveaxis(ops.convert_to_numpy(argument), 1, axis), tuples[..., k])


def test_a_size_that_one_tensor_does_not_know_is_what_the_others_say():
    assert units_shape([(None, 8), (4, 8)], 2) == units_shape([(4, 8), (None, 8)], 2) == (4, 8)
    assert units_shape([(None, None, 8), (None, 3, 8)], 2) == (None, 3, 8)
    for shapes in ([(None, 8), (4, 7)], [(4, 8), (4, 1, 8)], [(4, 8)], [(None, 8)] * 3):
        with pytest.raises(ValueError, match="of one shape"):
            units_shape(shapes, 2)


@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
def test_a_batch_of_unknown_size_goes_with_one_that_is_known(evaluation, rng):
    inputs = [keras.Input((8,)), keras.Input(batch_shape=(4, 8))]
    layer = TwoArgActivation(small_phi(), evaluation=evaluation)
    model = keras.Model(inputs, layer(inputs))
    x = [array(rng, 4, 8), array(rng, 4, 8)]
    assert model.output_shape == (4, 8)
    np.testing.assert_allclose(model.predict(x, verbose=0), predictions(layer, x), atol=1e-6)
