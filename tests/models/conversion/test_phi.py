"""An activation as a sum of ReLUs, and a phi that is one."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork
from keras_twoarg.models.conversion import phi
from keras_twoarg.models.conversion.activations import activation_of
from keras_twoarg.models.conversion.elementwise import is_elementwise
from tests.helpers import phi_in_float64

PIECEWISE = {"relu": 1, "relu6": 2, "leaky_relu": 2, "hard_tanh": 4, "hard_sigmoid": 4}
SMOOTH = ("gelu", "silu", "tanh", "elu", "selu", "softplus", "mish", "hard_silu")


def function(name):
    return activation_of(keras.layers.Activation(name), (None, 4)).function


@pytest.mark.parametrize("name", PIECEWISE)
def test_piecewise_linear_ones_are_exact_with_few_relus(name):
    total = phi.relu_sum(function(name), 32)
    x = np.linspace(-30, 30, 2001)
    assert len(total.slopes) == PIECEWISE[name]
    np.testing.assert_allclose(total(x), function(name)(x.astype("float32")), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_ones_are_near(name):
    total = phi.relu_sum(function(name), 32)
    x = np.linspace(-10, 10, 3001)
    assert len(total.slopes) <= 32
    assert np.abs(total(x) - function(name)(x.astype("float32"))).max() < 3e-3


@pytest.mark.parametrize("hidden_units", [(8,), (16, 16), (8, 4, 3)])
def test_phi_is_the_activation_of_its_first_argument(hidden_units):
    inner = InnerNetwork(hidden_units)
    total = phi.write(inner, function("leaky_relu"))
    pairs = np.random.default_rng(0).normal(size=(200, 2)) * 4
    expected = np.where(pairs[:, 0] > 0, pairs[:, 0], 0.2 * pairs[:, 0])
    np.testing.assert_allclose(phi_in_float64(inner, pairs)[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(total(pairs[:, 0]), expected, atol=1e-6)
    assert phi.error(inner, function("leaky_relu")) < 1e-6


def test_the_other_hidden_units_keep_their_weights():
    inner = InnerNetwork((16, 16))
    inner.build((None, 2))
    before = inner.get_weights()
    phi.write(inner, function("relu"))
    after = inner.get_weights()
    np.testing.assert_array_equal(before[0][:, 1:], after[0][:, 1:])
    np.testing.assert_array_equal(before[2][:, 1:], after[2][:, 1:])
    assert np.count_nonzero(after[4]) == 1


def test_the_table_reaches_as_far_as_phi_bends():
    def grid(name):
        return phi.table_for(phi.relu_sum(function(name), 32))

    assert grid("relu").extent == grid("tanh").extent == 5
    assert grid("relu6").extent == 7
    assert {grid(name).step for name in ("relu", "relu6", "silu", "softsign")} == {0.125}


def test_what_is_elementwise_is_found_by_trying():
    assert is_elementwise(keras.activations.gelu)
    assert not is_elementwise(keras.activations.softmax)
    assert not is_elementwise(lambda x: x - keras.ops.mean(x))
    with pytest.raises(ValueError, match="fails on an array"):
        is_elementwise(lambda x: x.no_such_thing)
