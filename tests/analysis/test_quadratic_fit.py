"""Quadratic fits and the soft-XOR score against closed forms."""

import numpy as np
import pytest

from keras_twoarg import InnerNetwork, analysis
from keras_twoarg.analysis import density, fit_quadratic, soft_xor, surfaces
from keras_twoarg.analysis.density import Unmeasurable
from tests.helpers import gaussian, on, plane

pytestmark = pytest.mark.jax


@pytest.mark.parametrize("weighted", [True, False])
def test_a_quadratic_is_its_own_fit(weighted, rng):
    coefficients = rng.normal(size=6)
    fit = fit_quadratic(on(surfaces.quadratic(*coefficients)), density(gaussian()), mass=0.9, weighted=weighted)
    np.testing.assert_allclose(fit.surface.coefficients, coefficients, atol=1e-5)
    np.testing.assert_allclose(fit.r2, 1)


def test_weighted_fit_is_the_projection_of_a_cubic_under_a_gaussian():
    # E[x^3 | Hermite]: under a standard normal density the best linear fit of x^3 is 3 x, with R2 = 9/15.
    tuples = np.random.default_rng(0).normal(size=(400_000, 2))
    fit = fit_quadratic(lambda t: t[:, 0] ** 3, density(tuples))
    np.testing.assert_allclose(fit.surface.coefficients, [0, 0, 0, 3, 0, 0], atol=0.06)
    np.testing.assert_allclose(fit.r2, 0.6, atol=0.01)


SCORES = {
    "product": ((0, 0, 1, 0, 0, 0), 1.0),
    "difference of squares": ((1, -1, 0, 2, -3, 1), 1.0),
    "negated product": ((0, 0, -5, 1, 1, 1), 1.0),
    "ridge": ((1, 0, 0, 0, 0, 0), 0.0),
    "oblique ridge": ((1, 1, 2, 0, 0, 0), 0.0),
    "bowl": ((1, 1, 0, 0, 0, 0), -1.0),
    "hill": ((-2, -2, 0, 1, 0, 0), -1.0),
}


@pytest.mark.parametrize(("coefficients", "score"), SCORES.values(), ids=SCORES)
def test_score_of_known_shapes(coefficients, score):
    fitted = soft_xor(fit_quadratic(on(surfaces.quadratic(*coefficients)), density(gaussian())))
    np.testing.assert_allclose(fitted.score, score, atol=1e-4)
    if abs(score) == 1:
        assert fitted.negative_curvature == (score > 0)
        assert fitted.verdict.startswith("soft XOR" if score > 0 else "no soft XOR")


def test_score_does_not_change_under_rotation_and_swap(rng):
    coefficients = rng.normal(size=6)
    quadratic = surfaces.quadratic(*coefficients)
    angle = 0.7
    c, s = np.cos(angle), np.sin(angle)
    original = soft_xor(fit_quadratic(on(quadratic), density(gaussian()))).score
    turned = soft_xor(fit_quadratic(on(lambda a, b: quadratic(c * a - s * b, s * a + c * b)), density(gaussian())))
    swapped = soft_xor(fit_quadratic(on(lambda a, b: quadratic(b, a)), density(gaussian())))
    np.testing.assert_allclose([turned.score, swapped.score], original, atol=1e-4)


def test_a_plane_has_no_curvature():
    fitted = soft_xor(fit_quadratic(lambda t: np.zeros(len(t)), density(gaussian())))
    assert np.isnan(fitted.score) and fitted.verdict.startswith("flat")


@pytest.mark.parametrize("offset", [0, 0.3, 1e4])
def test_the_rounding_of_a_plane_is_no_curvature(offset, rng):
    # The score of what rounding leaves is anything from -1 to 1: it was told as a soft XOR, or none.
    measured, (a, b) = density(gaussian()), rng.normal(size=2)
    straight = plane(lambda x1, x2: a * x1 + b * x2 + offset)
    phi = InnerNetwork((8,))  # all of its units are on
    phi.build((None, 2))
    phi.set_weights([rng.normal(size=(2, 8)), np.full(8, 40 + offset), rng.normal(size=(8, 1)), np.zeros(1)])
    for surface in (straight.astype("float32"), straight, lambda t: t.astype("float64") @ (a, b) + offset, phi.predict):
        fitted = soft_xor(fit_quadratic(surface, measured))
        assert np.isnan(fitted.score) and fitted.determined and fitted.verdict.startswith("flat"), fitted


def test_a_slight_curvature_is_more_than_rounding():
    measured, slight = density(gaussian()), plane(lambda a, b: a + 1e-4 * a * b)
    assert soft_xor(fit_quadratic(slight.astype("float32"), measured)).score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_phi_that_is_not_finite_is_not_measured(wrong):
    # Of a network that diverged phi was told to be flat; with one layer of units its arguments are finite.
    measured, curve = density(gaussian()), density(gaussian()[:, :1])
    for measure in (
        lambda: fit_quadratic(np.full((101, 101), wrong), measured),
        lambda: analysis.nearest(np.full((101, 101), wrong), measured),
        lambda: analysis.SurfaceDisplay(np.full(101, wrong), curve),
    ):
        with pytest.raises(Unmeasurable, match="finite values of phi where its arguments fall. Received: [0-9]+ of"):
            measure()


@pytest.mark.parametrize("value", [0.0, 0.1, -2.0, 1e8])
def test_a_constant_phi_has_nothing_to_explain(value):
    # Rounding leaves a variance of some 1e-32 times the square, which no share may be taken of.
    measured = density(gaussian())
    flat = np.full(measured.values.shape, value)
    fit = fit_quadratic(lambda tuples: np.full(len(tuples), value), measured)
    assert np.isnan(fit.r2) and soft_xor(fit).verdict.startswith("flat")
    assert np.isnan(analysis.spectrum(flat, measured).shares).all()
    with pytest.raises(ValueError, match="flat surface"):
        analysis.nearest(flat, measured)


def test_a_small_surface_on_a_large_offset_is_not_constant():
    measured = density(gaussian())
    fit = fit_quadratic(lambda tuples: 1e6 + 1e-3 * tuples[:, 0].astype("float64") * tuples[:, 1], measured)
    np.testing.assert_allclose([fit.r2, soft_xor(fit).score], 1, atol=1e-3)


@pytest.mark.parametrize("arguments", [gaussian()[:, [0, 0]], gaussian() * [1, 0]], ids=["equal", "second is 0"])
def test_arguments_on_a_line_say_nothing_of_the_curvature_beside_it(arguments):
    # A product is a saddle; on the line x1 = x2 it cannot be told from a bowl, which was the verdict.
    fit = fit_quadratic(on(lambda a, b: a * b + a**2), density(arguments))
    verdict = soft_xor(fit)
    assert fit.r2 == pytest.approx(1) and not fit.determined
    assert np.isnan(verdict.score) and verdict.verdict.startswith("open: ") and not verdict.negative_curvature
    assert fit_quadratic(on(surfaces.product), density(gaussian())).determined


def test_a_poor_fit_is_said_to_be_poor():
    ripples = soft_xor(fit_quadratic(lambda t: np.cos(9 * t[:, 0]), density(gaussian())))
    assert ripples.r2 < 0.1 and "poorly" in ripples.verdict
