"""Comparisons over seeds, against SciPy, closed forms and what must not depend on order."""

import numpy as np
import pytest

from keras_twoarg.analysis import clopper_pearson, mean_interval, paired
from keras_twoarg.analysis.statistics import in_both, upper_bound


def test_difference_and_effect_are_those_of_the_pairs(rng):
    first, second = rng.normal(size=(2, 9))
    comparison, d = paired(first, second), first - second
    assert comparison.difference == pytest.approx(d.mean()) and comparison.number == 9
    assert comparison.effect == pytest.approx(d.mean() / d.std(ddof=1))
    assert comparison.low < comparison.difference < comparison.high


def test_swapping_the_arms_changes_signs_and_nothing_else(rng):
    first, second = rng.normal(size=(2, 8))
    there, back = paired(first, second), paired(second, first)
    assert back.difference == pytest.approx(-there.difference) and back.p == there.p
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_five_seeds_that_agree_reach_the_smallest_p():
    comparison = paired([0.97, 0.972, 0.971, 0.975, 0.969], [0.96, 0.961, 0.963, 0.962, 0.964])
    assert comparison.p == comparison.least_p == 0.0625
    assert comparison.low > 0


@pytest.mark.parametrize("number", [3, 5, 30])
def test_the_interval_covers_the_truth_as_often_as_it_says(rng, number):
    draws = rng.normal(0.3, 1.0, size=(2000, number))
    covered = np.mean([low <= 0.3 <= high for _, low, high in map(mean_interval, draws.tolist())])
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize(("number", "covered"), [(3, 0.75), (5, 0.83)])  # of three: unless all are on one side, 2 of 8
def test_a_percentile_bootstrap_of_few_seeds_covers_it_less_often(rng, number, covered):
    resamples = np.stack(np.meshgrid(*[np.arange(number)] * number), -1).reshape(-1, number)
    draws = rng.normal(size=(2000, number))
    low, high = np.percentile(draws[:, resamples].mean(-1), [2.5, 97.5], axis=1, method="inverted_cdf")
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(covered, abs=0.02)


def test_the_interval_by_hand():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    half = 4.302653 / np.sqrt(3)  # t at 2 degrees of freedom, deviation 1
    assert (mean, low, high) == pytest.approx((2.0, 2 - half, 2 + half), rel=1e-6)


def test_one_seed_has_no_interval_and_equal_arms_no_difference():
    one = paired([0.9], [0.8])
    assert one.difference == pytest.approx(0.1) and one.p == 1.0 and np.isnan([one.low, one.high, one.effect]).all()
    equal = paired([0.9, 0.8], [0.9, 0.8])
    assert equal.difference == 0 and equal.p == 1.0 and not equal.has_interval


@pytest.mark.parametrize("to", [np.float64, np.float32])
@pytest.mark.parametrize("better", [[0.9712, 0.9623, 0.9811], [0.971, 0.962], [0.98, 0.98]])
def test_seeds_that_differ_by_the_same_have_no_interval_and_no_effect(better, to):
    found = paired(np.array(better, to), np.array(better, to) - to(0.01))
    assert found.difference == pytest.approx(0.01, abs=1e-6) and not found.has_interval
    assert np.isnan([found.low, found.high, found.effect]).all()
    assert np.isnan(mean_interval(np.array([0.1, 0.3 - 0.2, 0.1], to))[1:]).all()


def test_differences_that_are_small_but_differ_have_an_interval():
    found = paired([0.9712, 0.9623, 0.9812], [0.9712, 0.9622, 0.9811])
    assert found.has_interval and found.low < found.difference < found.high and np.isfinite(found.effect)


def test_a_share_has_an_exact_interval():
    low, high = clopper_pearson(7, 10)
    stats = pytest.importorskip("scipy.stats")
    assert stats.binom.sf(6, 10, low) == pytest.approx(0.025) and stats.binom.cdf(7, 10, high) == pytest.approx(0.025)
    assert clopper_pearson(0, 4)[0] == 0.0 and clopper_pearson(4, 4)[1] == 1.0
    with pytest.raises(ValueError, match="Received: 5 of 4"):
        clopper_pearson(5, 4)


def test_a_seed_counts_only_if_both_arms_have_a_finite_number():
    first = {3: 1.0, 1: 5.0, 2: None, 4: np.nan, 5: 2.0, 6: 1.0}
    second = {1: 4.0, 2: 5.0, 3: 2.0, 4: 1.0, 5: np.inf, 7: 1.0}
    assert in_both(first, second) == ([5.0, 1.0], [4.0, 2.0])
    assert in_both(first, {}) == ([], [])


@pytest.mark.parametrize(
    ("count", "number"), [(0, 1), (0, 2000), (1, 2000), (9, 10_000), (500, 1000), (60_000, 60_001)]
)
def test_the_bound_is_that_of_clopper_and_pearson(count, number):
    stats = pytest.importorskip("scipy.stats")
    assert upper_bound(count, number) == pytest.approx(stats.beta.ppf(0.95, count + 1, number - count), rel=1e-6)


def test_the_bound_covers_the_share_as_often_as_it_says():
    share, number = 0.01, 300
    bounds = {k: upper_bound(k, number) for k in range(30)}
    counts = np.random.default_rng(0).binomial(number, share, 20_000)
    assert np.mean([bounds[k] >= share for k in counts]) >= 0.95


def test_all_successes_bound_nothing_and_impossible_numbers_are_refused():
    assert upper_bound(5, 5) == 1.0
    for count, number in ((6, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="Expected 0 <= count <= number"):
            upper_bound(count, number)


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1.0, np.nan], [1.0, 2.0]), ([0.9, 0.8, 0.7], [0.5]), ([[0.9]], [[0.5]])]
)
def test_errors(first, second):
    with pytest.raises(ValueError, match="finite numbers? for each seed"):
        paired(first, second)
