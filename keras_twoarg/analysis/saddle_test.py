"""Whether training turns phi into a saddle: each seed's phi at the start against the same phi learned.

The seed is the unit. Surfaces that start from one phi are not independent of each other, however many tasks they learn,
so each seed counts once. And a share of saddles says nothing by itself: more than half of all random surfaces are
saddles already. What training does is seen in those that change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.quadratic_fit import least_squares
from keras_twoarg.analysis.statistics import clopper_pearson, scipy_stats
from keras_twoarg.analysis.surfaces import random_field


@dataclass(frozen=True)
class SaddleTest:
    """How many phis are saddles before and after training, one of each seed.

    Attributes:
        number: Seeds.
        start: Saddles at the start.
        learned: Saddles after training.
        became: Seeds whose phi became a saddle.
        ceased: Seeds whose phi ceased to be one.
        p: Two-sided p-value of the exact McNemar test: whether more became saddles than ceased to be, or fewer.
        low: Lower end of the exact (Clopper-Pearson) 95 % interval of the share of saddles after training.
        high: Upper end of the interval.
    """

    number: int
    start: int
    learned: int
    became: int
    ceased: int
    p: float
    low: float
    high: float


def saddle_test(start: Sequence[float], learned: Sequence[float]) -> SaddleTest:
    """Test whether training makes saddles, from the soft-XOR scores of each seed's phi before and after it.

    Args:
        start: Score of each seed's phi at the start, from `soft_xor`; above 0 is a saddle.
        learned: Score of the same seeds' learned phi, fitted over the same density.

    Examples:
        >>> test = analysis.saddle_test([0.9, -0.5, -0.2, 0.1, -0.7], [0.8, 0.4, 0.6, 0.3, 0.2])
        >>> test.start, test.learned, test.became, test.ceased, test.p, round(test.low, 2)
        (2, 5, 3, 0, 0.25, 0.48)

    Raises:
        ValueError: If there are no seeds, or not two finite scores for each.
        ImportError: If SciPy is not installed.
    """
    before, after = np.asarray(start, float), np.asarray(learned, float)
    if before.shape != after.shape or before.ndim != 1 or not len(before) or not np.isfinite([before, after]).all():
        raise ValueError(f"Expected two finite scores for each seed. Received: {list(start)} and {list(learned)}")
    was, is_now = before > 0, after > 0
    became, ceased, count = int((~was & is_now).sum()), int((was & ~is_now).sum()), int(is_now.sum())
    changed = became + ceased
    p = float(scipy_stats().binomtest(became, changed, 0.5).pvalue) if changed else 1.0
    return SaddleTest(len(was), int(was.sum()), count, became, ceased, p, *clopper_pearson(count, len(was)))


def random_surface(i: int) -> np.ndarray:
    """Return a random surface as pretraining draws them, on its grid, `(101, 101)`; far from those of usual runs."""
    return np.asarray(random_field(10**6 + i).values)


def null_share(
    densities: Density | Sequence[Density],
    number: int = 1000,
    surface: Callable[[int], np.ndarray] = random_surface,
    *,
    mass: float = 1.0,
    weighted: bool = True,
) -> float:
    """Return the share of untrained surfaces whose quadratic fit is a saddle.

    It is not one half: of random symmetric matrices more have eigenvalues of opposite than of equal sign.

    Args:
        densities: Where the arguments fall, or one density for each run; surface i is fitted over the i-th, and over
            the first again behind the last.
        number: Untrained surfaces. Defaults to `1000`, which leaves a standard error of about 1.5 points.
        surface: The i-th untrained surface on the density's nodes, `(101, 101)`. Defaults to random surfaces as
            pretraining draws them.
        mass: As in `fit_quadratic`.
        weighted: As in `fit_quadratic`.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(1_000, 2)))
        >>> 0.5 < analysis.null_share(density, 100) < 0.8
        True

    Raises:
        ValueError: If there is no density, or no surface.
    """
    some = [densities] if isinstance(densities, Density) else list(densities)
    if not some or number < 1:
        raise ValueError(f"Expected a density and a surface or more. Received: {len(some)} densities, number={number}")
    solvers = [least_squares(density, mass=mass, weighted=weighted) for density in some]
    negative = 0
    for i in range(number):
        c = solvers[i % len(solvers)](surface(i))
        negative += bool(4 * c[0] * c[1] - c[2] ** 2 < 0)
    return negative / number
