"""Whether phi is a soft XOR where its arguments fall: the quadratic that fits it best, and the shape of that.

A soft XOR is high where one argument is high and the other low, or the reverse.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_twoarg.analysis.density import Density, Unmeasurable, check_measurable
from keras_twoarg.analysis.surfaces import Quadratic
from keras_twoarg.utils.types import ArrayLike

ROUNDING = 1e-26
"""A variance below this fraction of the mean square is rounding error: steps of float32 leave far more."""

_ROUNDED_STEPS = 16
"""A curvature that changes phi by fewer steps of its values' dtype than this is rounding error."""

GOOD_FIT = 0.5
"""A quadratic that explains less of phi's variance than this says little about phi."""


@dataclass(frozen=True)
class QuadraticFit:
    """The weighted least-squares fit of `c0 x1^2 + c1 x2^2 + c2 x1 x2 + c3 x1 + c4 x2 + c5`.

    Attributes:
        surface: The polynomial, as a function of two arrays.
        r2: Fraction of phi's weighted variance that it explains; NaN if phi is constant.
        determined: Whether the fit is unique. It is not if all arguments lie on one line or conic, as when both are
            equal or one is constant; this is then the fit with the smallest coefficients.
        curved: Whether its curvature exceeds the rounding error of phi's values, which a plane has too.
    """

    surface: Quadratic
    r2: float
    determined: bool = True
    curved: bool = True

    @property
    def hessian(self) -> np.ndarray:
        """The matrix of second derivatives, `(2, 2)`, which is constant."""
        c = self.surface.coefficients
        return np.array([[2 * c[0], c[2]], [c[2], 2 * c[1]]])


def features(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Return the terms that the six coefficients multiply, `(..., 6)`."""
    return np.stack([x1**2, x2**2, x1 * x2, x1, x2, np.ones_like(x1)], axis=-1)


def variance(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the variance of values under weights that sum to one; exactly 0 for a constant."""
    found = float(weights @ (values - weights @ values) ** 2)
    return found if found > ROUNDING * float(weights @ values**2) else 0.0


def least_squares(density: Density, *, mass: float = 1.0, weighted: bool = True) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that fits surfaces on the density's nodes, `(101, 101)`, and returns the six coefficients.

    It serves many surfaces over one density. The arguments are those of `fit_quadratic`.
    """
    used, weights = _used(density, mass, weighted)
    root = np.sqrt(weights)
    inverse = np.linalg.pinv(features(*density.nodes[used.ravel()].T) * root[:, None]) * root
    return lambda surface: np.asarray(inverse @ surface[used])


def _used(density: Density, mass: float, weighted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of a fit as a boolean array, and their weights, which sum to one."""
    used = density.support(mass) & (density.values > 0)
    weights = density.values[used] if weighted else np.ones(np.count_nonzero(used))
    return used, weights / weights.sum()


def fit_quadratic(
    phi: np.ndarray | Callable[[np.ndarray], ArrayLike], density: Density, *, mass: float = 1.0, weighted: bool = True
) -> QuadraticFit:
    """Fit a quadratic to a function of two arguments, weighted by their density.

    Args:
        phi: Values on the density's nodes, `(101, 101)`; or a function from argument tuples `(N, 2)` to values `(N,)`
            or `(N, 1)`, such as `inner.predict`.
        density: Density of the arguments.
        mass: Fraction of the density to use, in the densest cells. Defaults to `1.0`.
        weighted: Whether to weight cells by their density. The paper uses `mass=0.9, weighted=False`. Defaults to
            `True`.

    Returns:
        A `QuadraticFit`.

    Examples:
        >>> plane = np.stack(np.meshgrid(*[np.linspace(-2, 2, 41)] * 2), -1).reshape(-1, 2)
        >>> fit = analysis.fit_quadratic(lambda t: 3 * t[:, 0] * t[:, 1] + 1, analysis.density(plane))
        >>> [round(c, 3) + 0.0 for c in fit.surface.coefficients], round(fit.r2, 6)
        ([0.0, 0.0, 3.0, 0.0, 0.0, 1.0], 1.0)

    Raises:
        ValueError: If the density does not have two arguments, or has fewer than six occupied cells; or if phi is not
            finite there.
    """
    if density.values.ndim != 2:
        raise ValueError(f"A quadratic surface has two arguments. Received: a density of {density.values.ndim}")
    used, weights = _used(density, mass, weighted)
    if np.count_nonzero(used) < 6:
        raise Unmeasurable(
            f"A quadratic needs at least 6 occupied cells within [-5, 5]. Received: {np.count_nonzero(used)}, and "
            f"{density.outside:.2%} of the arguments lie outside. Use more samples to fill more cells, or normalize "
            "before the units to bring the arguments inside"
        )
    nodes = density.nodes[used.ravel()]
    if callable(phi):
        nodes = nodes.astype("float32")  # the fit, too, is at the nodes as phi takes them
    found = np.asarray(phi(nodes) if callable(phi) else phi[used]).reshape(-1)
    check_measurable(found)
    values = found.astype("float64")
    x1, x2 = nodes.T.astype("float64")
    columns = features(x1, x2)
    coefficients, residual, rank = _solve(columns, values, weights)
    _, residual_of_plane, _ = _solve(columns[:, 3:], values, weights)
    step = np.finfo(found.dtype if found.dtype.kind == "f" else "float32").eps
    bend = residual_of_plane - residual
    total = variance(values, weights)
    c0, c1, c2, c3, c4, c5 = (float(c) for c in coefficients)
    r2 = float(1 - residual / total) if total > 0 else float("nan")
    curved = bool(bend > (_ROUNDED_STEPS * step) ** 2 * float(weights @ values**2))
    return QuadraticFit(Quadratic((c0, c1, c2, c3, c4, c5)), r2, bool(rank == columns.shape[1]), curved)


def _solve(columns: np.ndarray, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Return the weighted least-squares coefficients, the variance that they leave, and the columns' rank."""
    root = np.sqrt(weights)
    coefficients, _, rank, _ = np.linalg.lstsq(columns * root[:, None], values * root, rcond=None)
    return coefficients, float(weights @ (values - columns @ coefficients) ** 2), int(rank)


@dataclass(frozen=True)
class SoftXOR:
    """Whether a surface is a soft XOR.

    Attributes:
        score: `-2 det(H) / ||H||_F^2` for the Hessian H of the quadratic fit, within [-1, 1]: +1 for a pure saddle, the
            soft XOR; 0 for a ridge; -1 for a bowl. It is invariant to rotating or swapping the arguments. NaN if the
            curvature is zero or not determined.
        r2: Fraction of phi's variance that the quadratic explains.
        determined: Whether the arguments determine the curvature; on one line or conic they do not.
    """

    score: float
    r2: float
    determined: bool = True

    @property
    def negative_curvature(self) -> bool:
        """Whether the fit's principal curvatures have opposite signs, the paper's criterion of a soft XOR."""
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
    """Return whether, and how clearly, a quadratic fit is a saddle.

    Examples:
        >>> plane = np.stack(np.meshgrid(*[np.linspace(-2, 2, 41)] * 2), -1).reshape(-1, 2)
        >>> fit = analysis.fit_quadratic(lambda tuples: tuples[:, 0] * tuples[:, 1], analysis.density(plane))
        >>> analysis.soft_xor(fit).verdict
        'soft XOR (score +1.00, quadratic R² 1.00)'
    """
    if not fit.determined:
        return SoftXOR(float("nan"), fit.r2, determined=False)
    norm = float((fit.hessian**2).sum())
    if norm == 0 or not fit.curved:
        return SoftXOR(float("nan"), fit.r2)
    return SoftXOR(float(-2 * np.linalg.det(fit.hessian) / norm), fit.r2)
