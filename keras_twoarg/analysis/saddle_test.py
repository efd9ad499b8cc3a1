"""Whether more surfaces are soft XORs than chance makes: an exact binomial test against a measured null."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.quadratic_fit import least_squares
from keras_twoarg.analysis.statistics import scipy_stats
from keras_twoarg.analysis.surfaces import random_field


@dataclass(frozen=True)
class CurvatureTest:
    """How many surfaces have negative curvature, against what random surfaces have.

    Attributes:
        negative: Surfaces whose quadratic fit is a saddle.
        number: Surfaces in all.
        null: Share of random surfaces with a saddle, the null hypothesis.
        p: Two-sided p-value of the exact binomial test.
    """

    negative: int
    number: int
    null: float
    p: float


def curvature_test(scores: Sequence[float], null: float) -> CurvatureTest:
    """Test the number of positive soft-XOR scores against a share expected by chance.

    Example:
        >>> analysis.curvature_test([0.9, 0.8, 0.7, 0.6, -0.2], null=0.5)
        CurvatureTest(negative=4, number=5, null=0.5, p=0.375)

    Raises:
        ValueError: If there are no finite scores.
        ImportError: If SciPy is not installed.
    """
    finite = [score for score in scores if np.isfinite(score)]
    if not finite:
        raise ValueError("A test of curvature needs at least one finite score")
    negative = sum(score > 0 for score in finite)
    return CurvatureTest(
        negative, len(finite), null, float(scipy_stats().binomtest(negative, len(finite), null).pvalue)
    )


def null_share(density: Density, number: int = 1000, seed: int = 0) -> float:
    """Return the share of random surfaces, as pretraining draws them, whose quadratic fit is a saddle.

    It is not one half: of random symmetric matrices more have eigenvalues of opposite than of equal sign.

    Args:
        density: Where the arguments fall; it weights the fits.
        number: Random surfaces. Defaults to `1000`, which leaves a standard error of about 1.5 points.
        seed: The first surface's seed; far from those of usual runs by itself. Defaults to `0`.
    """
    solve = least_squares(density)
    negative = 0
    for i in range(number):
        c = solve(random_field(10**6 + seed + i).values)
        negative += 4 * c[0] * c[1] - c[2] ** 2 < 0
    return negative / number
