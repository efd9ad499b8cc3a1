"""Comparisons of arms over seeds: difference, interval, test, effect size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_twoarg.utils.optional import optional

_RESAMPLES = 9999


@dataclass(frozen=True)
class Paired:
    """How one arm differs from another over the seeds that both ran.

    Attributes:
        difference: Mean difference, first minus second.
        low: Lower end of its 95 % interval: percentile bootstrap over seeds. Narrow for very few seeds.
        high: Upper end of the interval.
        p: Two-sided p-value of Wilcoxon's signed-rank test, exact where there are no ties.
        least_p: The smallest p-value that so many seeds can give: five give 0.0625 at best.
        effect: Cohen's d of the differences: their mean over their standard deviation. NaN for a single seed.
        number: Number of seeds.
    """

    difference: float
    low: float
    high: float
    p: float
    least_p: float
    effect: float
    number: int


def paired(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Paired:
    """Compare two arms that ran the same seeds, in the same order.

    Args:
        first: One number for each seed, such as a test accuracy.
        second: The other arm's numbers for the same seeds.
        seed: Seed of the bootstrap. Defaults to `0`.

    Example:
        >>> found = analysis.paired([0.971, 0.972, 0.970], [0.961, 0.963, 0.962])
        >>> round(found.difference, 4), found.low > 0, found.least_p
        (0.009, True, 0.25)

    Raises:
        ValueError: If the arms do not have one finite number for each seed.
        ImportError: If SciPy is not installed.
    """
    differences = np.subtract(np.asarray(first, float), np.asarray(second, float))
    if differences.ndim != 1 or len(differences) == 0 or not np.isfinite(differences).all():
        raise ValueError(f"Expected one finite number for each seed. Received: {list(first)} and {list(second)}")
    number, mean = len(differences), float(differences.mean())
    deviation = float(differences.std(ddof=1)) if number > 1 else float("nan")
    if number == 1 or not differences.any() or deviation == 0:
        p = 1.0 if number == 1 or not differences.any() else _wilcoxon(differences)
        effect = float("nan") if number == 1 else 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
        return Paired(mean, mean, mean, p, 2.0 ** (1 - number), effect, number)
    low, high = _bootstrap(differences, seed)
    return Paired(mean, low, high, _wilcoxon(differences), 2.0 ** (1 - number), mean / deviation, number)


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Return the mean over seeds and its 95 % interval by percentile bootstrap; NaN for an interval of one seed.

    Example:
        >>> analysis.mean_interval([0.5, 0.5, 0.5])
        (0.5, 0.5, 0.5)
    """
    found = np.asarray(values, float)
    if found.ndim != 1 or len(found) == 0 or not np.isfinite(found).all():
        raise ValueError(f"Expected one finite number for each seed. Received: {list(values)}")
    mean = float(found.mean())
    if len(found) == 1:
        return mean, float("nan"), float("nan")
    low, high = (mean, mean) if np.ptp(found) == 0 else _bootstrap(found, seed)
    return mean, low, high


def _wilcoxon(differences: np.ndarray) -> float:
    stats = scipy_stats()
    return float(stats.wilcoxon(differences).pvalue)


def _bootstrap(differences: np.ndarray, seed: int) -> tuple[float, float]:
    stats = scipy_stats()
    found = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def scipy_stats() -> Any:
    """Return SciPy's statistics, or say how to install them."""
    return optional("scipy.stats", "Comparisons over seeds", "analysis")


def scipy_optimize() -> Any:
    """Return SciPy's optimizers, or say how to install them."""
    return optional("scipy.optimize", "Fits of named functions", "analysis")
