"""Whether training turns phi into a saddle: a paired test of each seed's phi before and after training.

Each seed counts once, since surfaces that start from one phi are not independent, however many tasks they learn. And
the fraction of saddles alone says nothing: more than half of all random surfaces are saddles. The effect of training
shows in the surfaces that change.
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
    """How many phis, one per seed, are saddles before and after training.

    Attributes:
        number: Number of seeds.
        start: Saddles at the start.
        learned: Saddles after training.
        became: Seeds whose phi became a saddle.
        ceased: Seeds whose phi ceased to be one.
        p: Two-sided p-value of the exact McNemar test: whether more became saddles than ceased to be, or fewer.
        low: Lower end of the exact (Clopper-Pearson) 95 % interval of the fraction of saddles after training.
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
        start: Score of each seed's phi at the start, from `soft_xor`; a positive score means a saddle.
        learned: Score of the same seeds' learned phi, fitted over the same density.

    Examples:
        >>> test = analysis.saddle_test([0.9, -0.5, -0.2, 0.1, -0.7], [0.8, 0.4, 0.6, 0.3, 0.2])
        >>> test.start, test.learned, test.became, test.ceased, test.p, round(test.low, 2)
        (2, 5, 3, 0, 0.25, 0.48)

    Raises:
        ValueError: If there are no seeds, or a seed does not have two finite scores.
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
    """Return a random surface as in pretraining, `(101, 101)`, with seeds that runs do not use."""
    return np.asarray(random_field(10**6 + i).values)


def null_share(
    densities: Density | Sequence[Density],
    number: int = 1000,
    surface: Callable[[int], np.ndarray] = random_surface,
    *,
    mass: float = 1.0,
    weighted: bool = True,
) -> float:
    """Return the fraction of untrained surfaces whose quadratic fit is a saddle.

    It exceeds one half: more random symmetric matrices have eigenvalues of opposite than of equal sign.

    Args:
        densities: Density of the arguments, or one per run; the surfaces are fitted over them in turn.
        number: Number of untrained surfaces. Defaults to `1000`, for a standard error of about 1.5 points.
        surface: Function that returns the i-th untrained surface on the density's nodes, `(101, 101)`. Defaults to
            random surfaces as in pretraining.
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
