"""One phi for each kind of activation, or the user's own."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import InnerNetwork, convert, models
from tests.models.conversion.networks import (
    of,
    units,
)

pytestmark = pytest.mark.jax


def test_one_phi_for_each_kind_of_activation():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "relu"),
            layers.Dense(5),
            layers.ReLU(),
            layers.Dense(5, "tanh"),
            layers.Dense(1),
        ]
    )
    converted, report = convert(model)
    assert [place.phi for place in report.places] == ["phi_relu", "phi_relu", "phi_tanh"]
    assert units(converted)[0].inner is units(converted)[1].inner is not units(converted)[2].inner


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_in_mixed_precision_phi_is_the_activation_and_one(policy):
    stack = [layers.Dense(5), layers.ReLU(), layers.Dense(5, "relu"), layers.Dense(5), layers.LeakyReLU()]
    model = of(*stack, layers.Dense(1))
    for layer in model.layers:
        layer.dtype_policy = policy
    _, report = convert(model)
    assert [place.phi for place in report.places] == ["phi_relu", "phi_relu", "phi_leaky_relu"]
    assert max(place.error for place in report.places) < 1e-6


def test_the_phi_of_a_lambda_has_a_name_that_tensorflow_takes():
    model = of(layers.Dense(5, "relu"), layers.Dense(5, lambda x: ops.maximum(x, 0.1 * x)), layers.Dense(1))
    converted, report = convert(model)
    assert [place.phi for place in report.places] == ["phi_relu", "phi_lambda"]
    converted.predict(np.ones((2, 4), "float32"), verbose=0)


@pytest.mark.parametrize("settings", [{"max_value": 20.0}, {"max_value": 12.0}, {"threshold": 11.0}])
def test_an_activation_that_bends_far_out_is_left_as_it_is(settings):
    stack = [layers.Dense(8), layers.ReLU(), layers.Dense(8), layers.ReLU(**settings, name="bends"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    converted, report = convert(model)
    assert {place.name: place.reason for place in report.left}["bends"].startswith("it bends beyond [-10, 10]")
    x = 20 * np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(converted(x)), ops.convert_to_numpy(model(x)), atol=1e-4)


def test_a_phi_is_used_as_it_is_with_the_parameters_kept():
    phi = InnerNetwork((8, 8))
    phi.build((None, 2))
    before = phi.get_weights()
    converted, _ = convert(models.mlp((6, 6, 1), 3, "gelu", widths=(32, 32)), phi, keep="parameters")
    assert all(unit.inner is phi for unit in units(converted))
    assert all(np.array_equal(a, b) for a, b in zip(before, phi.get_weights(), strict=True))


def test_a_fresh_phi_becomes_the_activation():
    model = models.mlp((6, 6, 1), 3, "relu", widths=(16,))
    phi = InnerNetwork((16,))
    converted, report = convert(model, phi)
    assert units(converted)[0].inner is phi and report.difference < 1e-5
    _, report = convert(models.mlp((6, 6, 1), 3, "relu", widths=(8,)), phi)  # it is the activation already
    assert report.places[0].error < 1e-6


def test_a_trained_phi_that_is_another_function_is_refused():
    phi = InnerNetwork()
    phi.build((None, 2))
    with pytest.raises(ValueError, match="misses it"):
        convert(of(layers.Dense(3, "relu"), layers.Dense(2)), phi)


@pytest.mark.slow
def test_phi_learns_from_the_second_argument_at_once():
    converted, _ = convert(models.mlp((6, 6, 1), 3, "relu", widths=(16,)))
    x, y = np.random.default_rng(0).normal(size=(64, 6, 6, 1)), np.arange(64) % 3
    apical = next(layer for layer in converted.layers if layer.name.endswith("_apical") and layer.weights)
    before = ops.convert_to_numpy(apical.kernel)
    converted.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    converted.fit(x, y, epochs=2, batch_size=16, verbose=0)
    assert np.abs(ops.convert_to_numpy(apical.kernel) - before).max() > 1e-5
