"""Densities, angular orders, named functions and symmetries against closed forms."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, TwoArgRNNCell, analysis
from keras_twoarg.analysis import density, fit_quadratic, pre_activations, surfaces
from keras_twoarg.analysis.nearest_function import CURVES
from tests.helpers import Block, Subclassed, gaussian, on, plane, shared_mlp

pytestmark = pytest.mark.jax


def test_density_counts_every_tuple_once_and_says_what_is_outside(rng):
    tuples = rng.uniform(-6, 6, (5000, 2))
    measured = density(tuples)
    inside = (np.abs(tuples) <= 5.05).all(1).mean()
    np.testing.assert_allclose(measured.values.sum(), inside)
    np.testing.assert_allclose(measured.outside, 1 - inside)
    node = measured.nodes.reshape(101, 101, 2)[7, 93]
    np.testing.assert_allclose(node, [-4.3, 4.3])


def test_support_is_the_smallest_set_that_holds_the_mass():
    measured = density(gaussian())
    inside = measured.support(0.9)
    held = measured.values[inside]
    assert held.sum() >= 0.9 * measured.values.sum() > held.sum() - held.min()
    assert held.min() >= measured.values[~inside].max()
    np.testing.assert_array_equal(measured.support(1.0), measured.values > 0)


def test_blurring_keeps_mass_and_adds_variance():
    measured = density(gaussian())
    blurred = measured.blurred(0.5)
    np.testing.assert_allclose(blurred.values.sum(), measured.values.sum(), rtol=1e-3)

    def variance(d):
        p, x = d.values.sum(1) / d.values.sum(), d.axis
        return p @ x**2 - (p @ x) ** 2

    np.testing.assert_allclose(variance(blurred), variance(measured) + 0.25, rtol=0.01)


MULTIPOLES = {
    "slope": (lambda a, b: 2 * a - b + 7, [1, 0, 0, 0, 0, 0]),
    "product": (surfaces.product, [0, 1, 0, 0, 0, 0]),
    "difference of squares": (lambda a, b: a**2 - b**2, [0, 1, 0, 0, 0, 0]),
    "monkey saddle": (lambda a, b: a**3 - 3 * a * b**2, [0, 0, 1, 0, 0, 0]),
    "fourth order": (lambda a, b: a**4 - 6 * a**2 * b**2 + b**4, [0, 0, 0, 1, 0, 0]),
}


@pytest.mark.parametrize(("surface", "shares"), MULTIPOLES.values(), ids=MULTIPOLES)
def test_each_harmonic_polynomial_is_one_angular_order(surface, shares):
    orders = analysis.spectrum(plane(surface), density(np.random.default_rng(0).normal(size=(20_000, 2))))
    np.testing.assert_allclose(orders.shares, shares, atol=2e-3)
    assert orders.quadrupole == orders.shares[1]


def test_powers_of_a_square_are_those_of_its_fourier_series():
    # x1^2 = r^2 / 2 + r^2 cos(2 theta) / 2: power E[r^4] / 4 at order 0 and E[r^4] / 8 at order 2.
    tuples = np.random.default_rng(0).normal(size=(200_000, 2))
    orders = analysis.spectrum(plane(lambda a, b: a**2), density(tuples))
    fourth = (np.hypot(*tuples.T) ** 4).mean()
    np.testing.assert_allclose(orders.power[[0, 2]], [fourth / 4, fourth / 8], rtol=0.03)
    np.testing.assert_allclose(orders.angular, orders.power[2], rtol=1e-3)
    assert np.isnan(analysis.spectrum(np.zeros((101, 101)), density(tuples)).quadrupole)


def test_arguments_beyond_the_circle_have_no_spectrum():
    corner = density(np.random.default_rng(0).normal((4.5, 4.5), 0.1, (1000, 2)))
    assert np.isnan(analysis.spectrum(plane(surfaces.product), corner).shares).all()


def test_distance_is_one_minus_the_squared_correlation_over_the_density():
    tuples = np.random.default_rng(0).normal(size=(100_000, 2))
    measured = density(tuples)
    x1, x2 = plane(lambda a, b: a), plane(lambda a, b: b)
    np.testing.assert_allclose(analysis.distance(x1 + x2, x1, measured), 0.5, atol=0.01)
    np.testing.assert_allclose(analysis.distance(5 - 3 * x1, x1, measured), 0, atol=1e-12)
    assert analysis.distance(np.zeros((101, 101)), x1, measured) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["product", "maxout", "xnor", "glu", "swiglu"])
def test_a_named_function_behind_affine_maps_is_found_again(name):
    function = surfaces.NAMED[name]
    # Far from the limits in which these functions become each other: a gate wide open, a kink far away.
    surface = plane(lambda a, b: 2 - 3 * function(2.5 * a + 0.8 * b + 0.3, 0.9 * b - 1.5 * a - 0.2))
    fit = analysis.nearest(surface, density(gaussian()))
    assert fit.r2[name] > 0.995
    assert fit.name == name or fit.r2[fit.name] >= fit.r2[name] - 0.01


def test_r2_of_a_named_function_is_over_the_density():
    of = density(np.random.default_rng(0).normal(size=(200_000, 2)))
    field = plane(surfaces.random_field(0, blur=1.0))
    fit = analysis.nearest(field, of, starts=1)
    quadratic = analysis.fit_quadratic(lambda _: field.ravel()[of.values.ravel() > 0], of)
    assert fit.r2["quadratic"] == pytest.approx(quadratic.r2)
    assert fit.r2["product"] <= fit.r2["quadratic"] + 1e-9  # a product of affine maps is a quadratic


def test_a_plane_is_no_product():
    of = density(np.random.default_rng(0).normal(size=(9999, 2)))
    for bend, name in ((0.0, "plane"), (0.05, "plane"), (0.3, "product")):
        fit = analysis.nearest(plane(lambda a, b: 0.5 * a - 2 * b + 1 + bend * a * b), of, starts=1)  # noqa: B023
        assert fit.name == name
        assert fit.r2["plane"] == pytest.approx(4.25 / (4.25 + bend**2), abs=0.003)


@pytest.mark.slow
def test_quadratics_that_no_named_function_is_are_called_quadratic():
    fit = analysis.nearest(plane(lambda a, b: a**2 + b**2), density(np.random.default_rng(0).normal(size=(9999, 2))))
    assert fit.name == "quadratic" and fit.r2["quadratic"] > 0.999 and fit.r2["product"] < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_a_named_curve_behind_affine_maps_is_found_again(name):
    of = density(np.random.default_rng(0).normal(size=(20_000, 1)))
    fit = analysis.nearest(2 - 3 * CURVES[name](0.3 - 1.5 * of.axis), of)
    assert fit.r2[name] > 0.999
    assert fit.name == name or fit.r2[fit.name] >= fit.r2[name] - 0.01


@pytest.mark.slow
def test_a_parabola_is_called_quadratic():
    of = density(np.random.default_rng(0).normal(size=(20_000, 1)))
    fit = analysis.nearest((of.axis - 0.5) ** 2, of)
    assert fit.name == "quadratic" and fit.r2["quadratic"] > 0.999 and fit.r2["identity"] < 0.9


def test_phis_that_are_swapped_turned_or_mirrored_are_one():
    of = density(gaussian())
    field, other = surfaces.random_field(3, blur=1.0), surfaces.random_field(4, blur=1.0)

    def away(function):
        return analysis.distance_up_to_symmetry(plane(function), plane(field), of)

    assert away(lambda a, b: 2 - 3 * field(b, a)) < 1e-9
    assert away(lambda a, b: field(-a, b)) < 1e-9
    assert away(lambda a, b: field(0.8 * a - 0.6 * b, -0.6 * a - 0.8 * b)) < 0.02  # between two of the rotations
    assert 0.1 < away(other) < analysis.distance(plane(other), plane(field), of)
    assert away(lambda a, b: field(3 * a, 3 * b)) > 0.1


def test_pooling_densities_is_the_density_of_all_tuples(rng):
    first, second = rng.normal(size=(500, 2)) * 3, rng.normal(size=(1500, 2))
    together, pooled = density(np.concatenate([first, second])), analysis.pool([density(first), density(second)])
    np.testing.assert_allclose(pooled.values, together.values, atol=1e-15)
    np.testing.assert_allclose([pooled.outside, pooled.number], [together.outside, together.number])


def test_pre_activations_of_a_recurrent_layer_are_those_of_every_step(rng):
    cell = TwoArgRNNCell(4, InnerNetwork((4,)))
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.RNN(cell)])
    (tuples,) = pre_activations(model, rng.normal(size=(6, 5, 3)).astype("float32")).values()
    assert np.isfinite(tuples).all()
    assert np.unique(tuples, axis=0).shape == (6 * 5 * 4, 2)  # TensorFlow computes the first step twice


def test_pre_activations_of_nested_and_subclassed_models(rng):
    inner = InnerNetwork(hidden_units=(5, 5))
    x = rng.normal(size=(600, 6)).astype("float32")
    block = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16), TwoArgActivation(inner, name="place")])
    nested = keras.Sequential([keras.Input((6,)), block, keras.layers.Dense(2)])
    tuples = pre_activations(nested, x)
    expected = keras.ops.convert_to_numpy(block.layers[0](x)).reshape(-1, 2)
    np.testing.assert_allclose(tuples["place"], expected, atol=1e-6)

    subclassed = Subclassed([Block(TwoArgActivation(inner)), Block(TwoArgActivation(inner))])
    assert [t.shape for t in pre_activations(subclassed, x).values()] == [(4800, 2), (4800, 2)]


def test_recording_leaves_the_model_as_it_was(rng):
    model = shared_mlp()
    x = rng.normal(size=(5, 6)).astype("float32")
    before = model.predict(x, verbose=0)
    pre_activations(model, x)
    assert all("call" not in vars(layer) for layer in model.layers)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


def three_arguments():
    return keras.Sequential([keras.Input((6,)), TwoArgActivation(InnerNetwork((4,), arity=3))])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: density(np.full((3, 2), np.nan)), "finite argument tuples.*6 of the values not finite"),
        (lambda: density(np.zeros((0, 2))), r"shape=\(0, 2\)"),
        (lambda: density(gaussian()).support(0), "`mass` must be in"),
        (
            lambda: fit_quadratic(on(surfaces.product), density(np.zeros((9, 2)))),
            "at least 6 occupied cells.* 1, and 0.00% of",
        ),
        (lambda: fit_quadratic(on(surfaces.product), density(np.zeros((9, 3)))), "two arguments.*of 3"),
        (lambda: analysis.SurfaceDisplay.from_model(three_arguments(), np.ones((9, 6))), "one or two arguments.*of 3"),
        (lambda: analysis.pool([]), "one arity. Received: ..$"),
        (lambda: analysis.pool([density(gaussian()), density(np.zeros((9, 1)))]), r"one arity. Received: .2, 1.$"),
        (lambda: analysis.spectrum(np.zeros(101), density(gaussian())), "two arguments"),
        (
            lambda: analysis.distance_up_to_symmetry(np.eye(101), np.zeros(101), density(gaussian())),
            "surfaces of two arguments",
        ),
        (lambda: analysis.nearest(np.zeros((101, 101)), density(gaussian())), "flat surface"),
        (lambda: analysis.nearest(np.zeros(101), density(gaussian())), "phi of one or two arguments"),
        (lambda: analysis.mean_interval([]), "one finite number"),
        (lambda: pre_activations(keras.Sequential([keras.layers.Dense(1)]), np.zeros((1, 1))), "no TwoArgActivation"),
        (lambda: analysis.inner_network(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])), "with 0"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action()


@pytest.mark.parametrize("x", [[[0.0] * 6] * 4, ([np.zeros((4, 6))] for _ in range(2)), None])
def test_samples_that_are_no_arrays_are_told(x):
    with pytest.raises(TypeError, match="`x` must be an array, or a list or dict of arrays.*Received: "):
        pre_activations(shared_mlp(), x)


def test_no_samples_are_no_measurement():
    with pytest.raises(ValueError, match="at least one sample"):
        pre_activations(shared_mlp(), np.zeros((0, 6), "float32"))


def test_densities_and_surfaces_can_be_compared_and_kept_in_sets():
    measured, field = density(np.zeros((1, 2))), surfaces.random_field(0)
    assert measured != density(np.zeros((1, 2))) and field != surfaces.random_field(0)
    assert {measured, field} == {field, measured}


def test_what_callers_share_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        surfaces.gaussian(1 / 3)[0, 0] = 1.0


def test_a_display_takes_every_option_of_matplotlib():
    pytest.importorskip("matplotlib")
    measured = density(gaussian(200))
    display = analysis.SurfaceDisplay(np.outer(measured.axis, measured.axis), measured)
    ax = display.plot(rasterized=False, cmap="viridis", with_colorbar=False)
    assert not ax.collections[0].get_rasterized() and ax.collections[0].get_cmap().name == "viridis"


MEASURED = density(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: analysis.distance(np.zeros(101), np.zeros((101, 101)), MEASURED), "surfaces on the density's nodes"),
        (lambda: analysis.distance_up_to_symmetry(*[np.zeros(101)] * 2, density(np.zeros((1, 1)))), "two arguments"),
        (lambda: analysis.settled({}), "end at or below 0.1"),
        (lambda: analysis.settled({0: 0.0, 1: 0.5}), "end at or below 0.1. Received: .0: 0.0, 1: 0.5"),
        (lambda: analysis.settled({0: 0.0, 1: float("nan")}), "end at or below 0.1. Received: .0: 0.0, 1: nan"),
        (lambda: analysis.nearest(np.zeros((101, 101)), MEASURED, starts=9), "`starts` must be from 1 to 8"),
        (lambda: analysis.null_share([]), "0 densities"),
        (lambda: analysis.null_share(MEASURED, number=0), "number=0"),
    ],
)
def test_what_would_be_silent_or_obscure_is_told(action, message):
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize(
    ("calls", "epochs"),
    [
        ([{"epochs": 2}, {"epochs": 2}], [0, 1, 2, 3, 4]),
        ([{"epochs": 2}, {"initial_epoch": 2, "epochs": 4}], [0, 1, 2, 3, 4]),
        ([{"epochs": 2}, {"epochs": 2}, {"initial_epoch": 4, "epochs": 5}], [0, 1, 2, 3, 4, 5]),
        ([{"initial_epoch": 3, "epochs": 4}], [0, 4]),
    ],
)
def test_the_callback_counts_epochs_on_however_fit_is_called_again(calls, epochs, rng):
    model = shared_mlp()
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(40, 6)).astype("float32"), np.zeros((40, *model.output_shape[1:]), "float32")
    monitor = analysis.SurfaceCallback(x)
    for call in calls:
        model.fit(x, y, verbose=0, callbacks=[monitor], **call)
    assert list(monitor.displays) == epochs
