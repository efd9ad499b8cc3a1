"""Named surfaces and random fields against their definitions."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_twoarg.analysis import surfaces


def test_named_surfaces_at_points_worked_out_by_hand():
    assert surfaces.product(-2, 3) == -6
    assert surfaces.xnor(-2, 3) == -2 and surfaces.xnor(-2, -3) == 2 and surfaces.xnor(0, 5) == 0
    assert surfaces.maxout(-2, 3) == 3
    np.testing.assert_allclose(surfaces.swiglu(1, 2), 2 / (1 + np.exp(-1)))
    assert surfaces.swiglu(-1000, 1) == 0
    assert surfaces.quadratic(1, 2, 3, 4, 5, 6)(2, -1) == 4 + 2 - 6 + 8 - 5 + 6


@pytest.mark.parametrize("arity", [1, 2])
def test_random_field_is_the_blurred_noise_of_the_paper(arity):
    noise = np.random.default_rng(7).uniform(-1, 1, (101,) * arity)
    expected = gaussian_filter(noise, sigma=(1 / 3) / 0.1, mode="constant", truncate=20)
    np.testing.assert_allclose(surfaces.random_field(7, arity).values, expected, atol=1e-12)


@pytest.mark.parametrize(("arity", "deviation"), [(1, 0.168), (2, 0.049), (3, 0.0142)])
def test_random_field_has_the_published_deviation(arity, deviation):
    squares = [np.mean(surfaces.random_field(seed, arity).values ** 2) for seed in range({1: 300, 2: 30, 3: 2}[arity])]
    np.testing.assert_allclose(np.sqrt(np.mean(squares)), deviation, rtol=0.05)


def test_random_field_repeats_by_seed_and_scales_to_the_amplitude():
    field = surfaces.random_field(3)
    np.testing.assert_array_equal(field.values, surfaces.random_field(3).values)
    assert not np.array_equal(field.values, surfaces.random_field(4).values)
    scaled = surfaces.random_field(3, std=2.0)
    np.testing.assert_allclose(scaled.values.std(), 2.0)
    np.testing.assert_allclose(scaled.values / field.values, scaled.values[0, 0] / field.values[0, 0])


@pytest.mark.parametrize("arity", [1, 2, 3])
def test_between_nodes_a_field_is_multilinear(arity, rng):
    field = surfaces.random_field(0, arity)
    node = rng.integers(0, 100, arity)
    at_node = field(*(field.axis[i] for i in node))
    np.testing.assert_allclose(at_node, field.values[tuple(node)], atol=1e-9)
    for dimension in range(arity):
        step = np.eye(arity, dtype=int)[dimension]
        middle = field(*(field.axis[node] + 0.05 * step))
        np.testing.assert_allclose(middle, (at_node + field.values[tuple(node + step)]) / 2, atol=1e-9)
    assert field(*[9.0] * arity) == field.values[(-1,) * arity]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: surfaces.random_field(0, arity=4), "`arity` must be 1, 2 or 3"),
        (lambda: surfaces.random_field(0, blur=0), "must be positive"),
        (lambda: surfaces.random_field(0, std=-1), "must be positive"),
        (lambda: surfaces.random_field(0)(1.0), "2 arguments. Received: 1"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("surface", [surfaces.quadratic(c5=1.0), lambda x1, x2: x1 * x2 / 0.0])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_surface_without_a_deviation_is_not_scaled(surface):
    with pytest.raises(ValueError, match="not constant. Received: a standard deviation of"):
        surfaces.scaled(surface, 0.01)
    assert surfaces.scaled(surface, None) is surface
