"""QuadraticNetwork: the polynomial, its gradients, and what it shares with every inner network."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared, bake, clone_model, models
from keras_twoarg.analysis import surfaces
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from tests.helpers import gradients

COEFFICIENTS = (0.3, -0.2, 0.5, 0.1, -0.4, 0.7)


@pytest.fixture
def phi():
    network = QuadraticNetwork()
    network.build((None, 2))
    network.set_weights([np.array(COEFFICIENTS)[:, None]])
    return network


def test_values_are_the_named_surface(phi, rng):
    x = rng.normal(size=(4, 3, 2)).astype("float32")
    expected = surfaces.quadratic(*COEFFICIENTS)(x[..., 0], x[..., 1])
    np.testing.assert_allclose(ops.convert_to_numpy(phi(x))[..., 0], expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_the_closed_form(phi, rng):
    x = rng.normal(size=(200, 2)).astype("float32")
    by_x, by_coefficients = gradients(TwoArgActivation(phi), x)
    c, (x1, x2) = COEFFICIENTS, x.T.astype("float64")
    np.testing.assert_allclose(by_x[:, 0], 2 * c[0] * x1 + c[2] * x2 + c[3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_x[:, 1], 2 * c[1] * x2 + c[2] * x1 + c[4], rtol=1e-4, atol=1e-5)
    sums = [(x1**2).sum(), (x2**2).sum(), (x1 * x2).sum(), x1.sum(), x2.sum(), 200]
    np.testing.assert_allclose(by_coefficients[:, 0], sums, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_the_arm_shares_six_coefficients(tmp_path, rng):
    model = models.mlp((8, 8, 1), 10, "quadratic", (6, 6, 6), seed=1)
    assert model.count_params() == models.mlp((8, 8, 1), 10, "product", (6, 6, 6)).count_params() + 6
    x = rng.normal(size=(3, 8, 8, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for copy in (loaded, clone_model(model)):
        assert_shared(copy)
        assert copy.count_params() == model.count_params()
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)))
    assert bake(model, x, tolerance=1e-2)[0].count_params() != model.count_params()


def test_arms_refuse_each_others_phi():
    with pytest.raises(ValueError, match="'quadratic' does not take this inner network"):
        models.mlp((8,), 3, "quadratic", inner=InnerNetwork())
    with pytest.raises(ValueError, match="'two_arg' does not take this inner network"):
        models.mlp((8,), 3, "two_arg", inner=QuadraticNetwork())
