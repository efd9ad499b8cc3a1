"""Saddles before and after training: the counts and the p-value by hand, and the share among untrained surfaces."""

import numpy as np
import pytest

from keras_twoarg import analysis
from keras_twoarg.analysis import density, fit_quadratic, soft_xor, surfaces


def test_mcnemar_counts_the_seeds_that_changed_alone():
    start = [0.5, 0.5, 0.5, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5]
    learned = [0.5, 0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5]
    result = analysis.saddle_test(start, learned)
    assert (result.number, result.start, result.learned, result.became, result.ceased) == (9, 3, 7, 5, 1)
    # Of six that changed, at most one or at least five one way: (1 + 6 + 6 + 1) / 2^6.
    assert result.p == pytest.approx(14 / 64)


def test_the_same_seeds_counted_five_times_would_be_significant_and_are_not_counted_so():
    start, learned = [-0.5, -0.5, -0.5, 0.5], [0.5, 0.5, 0.5, 0.5]
    assert analysis.saddle_test(start, learned).p == 0.25
    assert analysis.saddle_test(5 * start, 5 * learned).p < 0.001  # what the unit of analysis guards against


def test_nothing_changed_is_no_evidence():
    result = analysis.saddle_test([0.1, -0.2], [0.3, -0.4])
    assert result.p == 1.0 and (result.became, result.ceased) == (0, 0)


@pytest.mark.parametrize("scores", [([], []), ([0.5], [np.nan]), ([0.5], [0.5, 0.4])])
def test_scores_that_do_not_pair_are_refused(scores):
    with pytest.raises(ValueError, match="two finite scores for each seed"):
        analysis.saddle_test(*scores)


@pytest.mark.slow
@pytest.mark.parametrize(("mass", "weighted"), [(1.0, True), (0.9, False)])
def test_chance_of_a_saddle_is_that_of_fits_one_by_one(rng, mass, weighted):
    densities = [density(rng.normal(size=(2000, 2))), density(rng.normal(size=(2000, 2)) * [2, 0.5])]
    negative = 0
    for i in range(40):
        where = densities[i % 2]
        used = where.support(mass) & (where.values > 0)
        surface = surfaces.random_field(10**6 + i).values
        fit = fit_quadratic(lambda _, s=surface, u=used: s[u], where, mass=mass, weighted=weighted)
        negative += soft_xor(fit).negative_curvature
    assert analysis.null_share(densities, 40, mass=mass, weighted=weighted) == negative / 40
    assert 0.5 < analysis.null_share(densities[0], 300) < 0.8


def test_chance_may_be_that_of_other_surfaces(rng):
    axis = np.linspace(-5, 5, 101)
    bowl_and_saddle = (axis[:, None] ** 2 + axis**2, axis[:, None] * axis)
    share = analysis.null_share(density(rng.normal(size=(2000, 2))), 10, lambda i: bowl_and_saddle[i % 2])
    assert share == 0.5
