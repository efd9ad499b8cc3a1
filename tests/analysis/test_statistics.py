"""Comparisons over seeds, against SciPy, closed forms and what must not depend on order."""

import numpy as np
import pytest

from keras_twoarg.analysis import paired


def test_difference_and_effect_are_those_of_the_pairs(rng):
    first, second = rng.normal(size=(2, 9))
    found, d = paired(first, second), first - second
    assert found.difference == pytest.approx(d.mean()) and found.number == 9
    assert found.effect == pytest.approx(d.mean() / d.std(ddof=1))
    assert found.low < found.difference < found.high


def test_swapping_the_arms_changes_signs_and_nothing_else(rng):
    first, second = rng.normal(size=(2, 8))
    there, back = paired(first, second), paired(second, first)
    assert back.difference == pytest.approx(-there.difference) and back.p == there.p
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.05)


def test_five_seeds_that_agree_reach_the_smallest_p():
    found = paired([0.97, 0.972, 0.971, 0.975, 0.969], [0.96, 0.961, 0.963, 0.962, 0.964])
    assert found.p == found.least_p == 0.0625
    assert found.low > 0


def test_the_interval_covers_the_truth_in_most_experiments(rng):
    draws = rng.normal(0.3, 1.0, size=(200, 30))
    covered = np.mean([(f := paired(d, np.zeros(30))).low <= 0.3 <= f.high for d in draws])
    assert 0.88 <= covered <= 0.99


def test_one_seed_and_equal_arms():
    one = paired([0.9], [0.8])
    assert one.low == one.high == pytest.approx(0.1) and one.p == 1.0 and np.isnan(one.effect)
    equal = paired([0.9, 0.8], [0.9, 0.8])
    assert equal.difference == 0 and equal.p == 1.0 and equal.effect == 0.0


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0, np.nan], [1.0, 2.0])])
def test_errors(first, second):
    with pytest.raises(ValueError, match="one finite number for each seed"):
        paired(first, second)
