"""Max-pooling windows: what Keras' own max-pooling gives, on every backend."""

import numpy as np
import pytest
from keras import ops

from keras_twoarg.ops.windows import entries, max_pool

pytestmark = pytest.mark.jax


@pytest.mark.parametrize("size", [(2, 2), (1, 3), (3, 2), (1, 1)])
def test_max_pool_is_that_of_keras(size, rng):
    values = rng.normal(size=(2, 7, 8, 3)).astype("float32")
    expected = ops.convert_to_numpy(ops.max_pool(values, size, strides=size, padding="valid"))
    pooled = ops.convert_to_numpy(max_pool(ops.convert_to_tensor(values), size))
    np.testing.assert_array_equal(pooled, expected)


def test_entries_leave_out_what_is_over_at_the_border():
    image = ops.reshape(ops.arange(15), (1, 3, 5, 1))
    found = [ops.convert_to_numpy(entry)[0, ..., 0].tolist() for entry in entries(image, (2, 2))]
    assert found == [[[0, 2]], [[1, 3]], [[5, 7]], [[6, 8]]]
