"""Whether a surface is a soft XOR: high where one argument is high and the other low, or the reverse of that."""

from dataclasses import dataclass

import numpy as np

from keras_twoarg.analysis.quadratic_fit import QuadraticFit

GOOD_FIT = 0.5
"""A quadratic that explains less of phi's variance than this says little about phi."""


@dataclass(frozen=True)
class SoftXOR:
    """The verdict on one surface.

    Attributes:
        score: `-2 det(H) / ||H||_F^2` for the Hessian H of the quadratic fit, within [-1, 1]: +1 for a pure saddle, the
            soft XOR; 0 for a ridge; -1 for a bowl. It does not change when the arguments are rotated or swapped.
            NaN where there is no curvature, or it is not determined.
        r2: Share of phi's variance that the quadratic explains.
        determined: Whether the arguments tell the curvature: on one line or conic they leave it open.
    """

    score: float
    r2: float
    determined: bool = True

    @property
    def negative_curvature(self) -> bool:
        """Whether the fit's principal curvatures have opposite signs: the paper's criterion of a soft XOR."""
        return self.score > 0

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if not self.determined:
            return "open: the arguments fall on a line or conic, which leaves the curvature beside it open"
        if not np.isfinite(self.score):
            return "flat: no curvature"
        shape = "soft XOR" if self.negative_curvature else "no soft XOR"
        doubt = "" if self.r2 >= GOOD_FIT else ", but a quadratic describes this surface poorly"
        return f"{shape} (score {self.score:+.2f}, quadratic R² {self.r2:.2f}){doubt}"


def soft_xor(fit: QuadraticFit) -> SoftXOR:
    """Return how much of a saddle a quadratic fit is.

    Examples:
        >>> plane = np.stack(np.meshgrid(*[np.linspace(-2, 2, 41)] * 2), -1).reshape(-1, 2)
        >>> fit = analysis.fit_quadratic(lambda tuples: tuples[:, 0] * tuples[:, 1], analysis.density(plane))
        >>> analysis.soft_xor(fit).verdict
        'soft XOR (score +1.00, quadratic R² 1.00)'
    """
    if not fit.determined:
        return SoftXOR(float("nan"), fit.r2, determined=False)
    norm = float((fit.hessian**2).sum())
    # Curvature that is rounding noise beside the surface's slope and offset is none.
    if norm <= 1e-20 * max(1e-300, float(np.square(fit.surface.coefficients).sum())):
        return SoftXOR(float("nan"), fit.r2)
    return SoftXOR(float(-2 * np.linalg.det(fit.hessian) / norm), fit.r2)
