"""Comparisons of arms over seeds: differences, intervals, tests and effect sizes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from keras_twoarg.utils.optional import optional

_LEVEL = 0.95
_SAME = 1e-6  # numbers of single precision that differ by a smaller share are equal but for rounding


@dataclass(frozen=True)
class Paired:
    """How two arms differ over the seeds that both ran.

    Attributes:
        difference: Mean difference, first minus second.
        low: Lower end of its 95 % interval, by Student's t over seeds. NaN for a single seed, and if all seeds differ
            by the same but for rounding.
        high: Upper end of the interval.
        p: Two-sided p-value of Wilcoxon's signed-rank test from SciPy. SciPy 1.17 computes it exactly up to 50 seeds,
            or 13 if differences are 0 or tied, and approximates it by a normal distribution beyond. It is 1 for a
            single seed, and if all differences are 0.
        least_p: The smallest possible p-value for this number of seeds: 0.0625 for five.
        effect: Cohen's d of the differences, their mean divided by their standard deviation. NaN if there is no
            interval.
        number: Number of seeds.
    """

    difference: float
    low: float
    high: float
    p: float
    least_p: float
    effect: float
    number: int

    @property
    def has_interval(self) -> bool:
        """Whether the seeds give an interval: there are two or more, and they do not all differ by the same.

        A few hundred test samples give few values of an accuracy. Two seeds then easily agree in their difference,
        whose interval, of no width, would seem to be certainty.
        """
        return bool(np.isfinite(self.low))


def paired(first: Sequence[float], second: Sequence[float]) -> Paired:
    """Compare two arms that ran the same seeds, in the same order.

    Args:
        first: One number per seed, such as a test accuracy.
        second: The other arm's numbers for the same seeds.

    Examples:
        >>> comparison = analysis.paired([0.971, 0.972, 0.970], [0.961, 0.963, 0.962])
        >>> round(comparison.difference, 4), comparison.low > 0, comparison.least_p
        (0.009, True, 0.25)

    Raises:
        ValueError: If the arms do not have one finite number per seed, for the same number of seeds.
        ImportError: If SciPy is not installed.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    if one.ndim != 1 or one.shape != other.shape or len(one) == 0 or not np.isfinite(one - other).all():
        raise ValueError(
            "Expected two finite numbers for each seed, one of each arm. Leave out seeds that only one arm ran. "
            f"Received: {list(first)} and {list(second)}"
        )
    differences = one - other
    number, (mean, low, high) = len(differences), _interval(differences, float(np.abs([one, other]).max()))
    p = float(scipy_stats().wilcoxon(differences).pvalue) if number > 1 and differences.any() else 1.0
    effect = mean / float(differences.std(ddof=1)) if np.isfinite(low) else float("nan")
    return Paired(mean, low, high, p, 2.0 ** (1 - number), effect, number)


def in_both(first: Mapping[int, float | None], second: Mapping[int, float | None]) -> tuple[list[float], list[float]]:
    """Return the numbers of two arms for the seeds of which both have a finite one, in the order of the seeds.

    A seed that one arm did not run, or for which it has None, NaN or infinity, is left out of both.
    """
    one, other = ({s: x for s, x in arm.items() if x is not None and np.isfinite(x)} for arm in (first, second))
    seeds = sorted(one.keys() & other.keys())
    return [one[seed] for seed in seeds], [other[seed] for seed in seeds]


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean over seeds and its 95 % interval by Student's t; NaN for one seed, and if all are the same.

    A percentile bootstrap is too narrow for a handful of seeds: for three or five normal values it covers the mean in
    75 or 83 of 100 cases, where t covers it in 95.

    Examples:
        >>> [round(value, 2) for value in analysis.mean_interval([0.4, 0.5, 0.6])]
        [0.5, 0.25, 0.75]

    Raises:
        ValueError: If there are no numbers, or one is not finite.
        ImportError: If SciPy is not installed.
    """
    array = np.asarray(values, float)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"Expected one finite number for each seed. Received: {list(values)}")
    return _interval(array, float(np.abs(array).max()))


def _interval(values: np.ndarray, scale: float) -> tuple[float, float, float]:
    """Return the mean and its interval, for values that are rounded as numbers of this scale are."""
    mean, number = float(values.mean()), len(values)
    if number == 1 or np.ptp(values) <= _SAME * scale:
        return mean, float("nan"), float("nan")
    half = float(scipy_stats().t.ppf((1 + _LEVEL) / 2, number - 1) * values.std(ddof=1) / np.sqrt(number))
    return mean, mean - half, mean + half


def clopper_pearson(count: int, number: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a proportion, given `count` successes in `number` independent trials.

    Examples:
        >>> [round(end, 3) for end in analysis.clopper_pearson(8, 10)]
        [0.444, 0.975]

    Raises:
        ValueError: If `count` is not between 0 and `number`, or there are no trials.
    """
    each = (1 + _LEVEL) / 2
    high = upper_bound(count, number, each)
    return 1 - upper_bound(number - count, number, each), high


def upper_bound(count: int, number: int, confidence: float = _LEVEL) -> float:
    """Return the exact (Clopper-Pearson) one-sided upper confidence bound of a proportion.

    Args:
        count: Number of successes.
        number: Number of independent trials.
        confidence: Confidence level. Defaults to `0.95`.

    Examples:
        >>> round(upper_bound(0, 2000), 5)  # three in two thousand
        0.0015
    """
    if not 0 <= count <= number or number < 1:
        raise ValueError(f"Expected 0 <= count <= number and number >= 1. Received: {count} of {number}")
    if count == number:
        return 1.0
    k = np.arange(count + 1)
    choices = np.array([_log_choices(number, int(i)) for i in k])
    low, high = count / number, 1.0
    # By bisection, so that baking needs no SciPy: until the probability of at most so many is 1 - confidence.
    for _ in range(60):
        middle = (low + high) / 2
        few = np.exp(choices + k * math.log(middle) + (number - k) * math.log1p(-middle)).sum() if middle > 0 else 1.0
        low, high = (middle, high) if few > 1 - confidence else (low, middle)
    return high


def _log_choices(number: int, k: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)


def scipy_stats() -> ModuleType:
    """Return `scipy.stats`, or raise an ImportError that says how to install it."""
    return optional("scipy.stats", "Comparisons over seeds", "analysis")


def scipy_optimize() -> ModuleType:
    """Return `scipy.optimize`, or raise an ImportError that says how to install it."""
    return optional("scipy.optimize", "Fits of named functions", "analysis")
