"""The named function nearest to phi, up to affine maps of its arguments and its output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.analysis.density import Density, check_measurable
from keras_twoarg.analysis.quadratic_fit import features, variance
from keras_twoarg.analysis.statistics import scipy_optimize

Named: TypeAlias = Callable[..., np.ndarray]
CURVES: dict[str, Named] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "quadratic": np.square,
    "tanh": np.tanh,
    "silu": lambda x: surfaces.swiglu(x, 1),
    "gelu": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
}
"""The functions compared for phi of one argument; for two, `surfaces.NAMED` between plane and quadratic.

The identity stands for straight lines; tanh, silu and gelu can imitate others.
"""

STARTS = 8
_DRAWN = 800
"""Argument tuples on which maps are fitted from all starts."""
_REFINED = 2
"""How many of these maps, the best on all nodes, are then refined on all nodes."""
_FAR = 1e6
"""Limit of mapped arguments against overflow, too far out to add a bend to any function."""


@dataclass(frozen=True)
class Nearest:
    """How well named functions describe a surface.

    Attributes:
        r2: For each function, the fraction of the surface's variance over the density that `a f(A x + b) + c` explains,
            with the best A (2x2, or a number), b, a and c found; simpler functions come first. Plane and quadratic
            have coefficients instead of maps; the quadratic includes the product and every bowl and ridge. With maps
            the product includes every ridge x^2.
    """

    r2: dict[str, float]

    @property
    def name(self) -> str:
        """The simplest function whose R² is within 0.01 of the best."""
        best = max(self.r2.values())
        return next(name for name, r2 in self.r2.items() if r2 >= best - 0.01)


def nearest(surface: np.ndarray, density: Density, seed: int = 0, starts: int = STARTS) -> Nearest:
    """Fit all named functions of the same arity to a surface or curve, weighted by the density of its arguments.

    Args:
        surface: Values on the nodes of the pretraining grid, `(101, 101)` or `(101,)`.
        density: Density of the arguments.
        seed: Seed of the starts of the nonlinear least-squares fits and of the nodes drawn for them. Defaults to `0`.
        starts: Starts per fit, 1 to 8; fewer are faster and find less. Defaults to `8`.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(5_000, 2)))
        >>> axis = density.axis
        >>> fit = analysis.nearest(surfaces.maxout(0.5 * axis[:, None], -axis[None, :]), density)
        >>> fit.name, round(fit.r2["maxout"], 3)
        ('maxout', 1.0)

    Raises:
        ValueError: If the surface does not have one or two arguments and the density's shape, is flat or not finite, or
            `starts` is out of range.
        ImportError: If SciPy is not installed.
    """
    if not 1 <= starts <= STARTS:
        raise ValueError(f"`starts` must be from 1 to {STARTS}. Received: starts={starts!r}")
    if surface.ndim not in (1, 2) or surface.shape != density.values.shape:
        raise ValueError(f"Expected phi of one or two arguments on the density's nodes. Received: {surface.shape}")
    rng = np.random.default_rng(seed)
    occupied = np.flatnonzero(density.values)
    weights = density.values.ravel()[occupied]
    weights = weights / weights.sum()
    nodes, values = density.nodes[occupied], surface.ravel()[occupied]
    check_measurable(values)
    deviation = np.sqrt(variance(values, weights))
    if not deviation > 0:
        raise ValueError("A flat surface is equally near every function")
    problem = _Problem(nodes, (values - weights @ values) / deviation, np.sqrt(weights))
    sample = problem.drawn(rng, _DRAWN)
    functions = surfaces.NAMED if surface.ndim == 2 else CURVES
    r2 = {"plane": problem.quadratic_r2(slice(3, None))} if surface.ndim == 2 else {}
    for name, function in functions.items():
        near = sample.maps(function, _starts(rng, surface.ndim)[:starts])
        near.sort(key=lambda maps: problem.r2(function, maps), reverse=True)
        r2[name] = max(problem.r2(function, maps) for maps in problem.maps(function, near[:_REFINED]))
    return Nearest(r2 if surface.ndim == 1 else {**r2, "quadratic": problem.quadratic_r2()})


@dataclass(frozen=True)
class _Problem:
    """A surface with mean 0 and variance 1 on weighted nodes; `root` is the square root of the weights.

    R² is then 1 minus the squared residual.
    """

    nodes: np.ndarray
    values: np.ndarray
    root: np.ndarray

    def drawn(self, rng: np.random.Generator, number: int) -> "_Problem":
        """Return nodes drawn by their weights with replacement, on which fits take the same time for any density."""
        if len(self.nodes) <= number:
            return self
        counts = rng.multinomial(number, self.root**2)
        seen = counts > 0
        weights, values = counts[seen] / number, self.values[seen]
        return _Problem(self.nodes[seen], values - weights @ values, np.sqrt(weights))

    def maps(self, function: Named, starts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the fitted maps of the arguments from each start, until one leaves no residual."""
        optimize, found = scipy_optimize(), []
        for start in starts:
            fit = optimize.least_squares(lambda maps: self.residual(function, maps), start, max_nfev=100)
            found.append(np.asarray(fit.x))
            if 2 * fit.cost < 1e-6:
                break
        return found

    def r2(self, function: Named, maps: np.ndarray) -> float:
        """Return the fraction of the variance that a function of mapped arguments explains."""
        residual = self.residual(function, maps)
        return float(1 - residual @ residual)

    def residual(self, function: Named, maps: np.ndarray) -> np.ndarray:
        """Return the weighted residual under the best affine map of the output, in closed form."""
        arity = self.nodes.shape[1]
        arguments = np.clip(self.nodes @ maps[: arity**2].reshape(arity, arity) + maps[arity**2 :], -_FAR, _FAR).T
        found = function(*arguments)
        found = (found - self.root @ (self.root * found)) * self.root
        values = self.values * self.root
        return np.asarray(found * (found @ values / max(found @ found, 1e-30)) - values)

    def quadratic_r2(self, terms: slice = slice(None)) -> float:
        """Return the fraction of the variance that the best quadratic of some terms explains."""
        columns, values = features(*self.nodes.T)[:, terms] * self.root[:, None], self.values * self.root
        solved, *_ = np.linalg.lstsq(columns, values, rcond=None)
        return float(1 - ((columns @ solved - values) ** 2).sum())


def _starts(rng: np.random.Generator, arity: int) -> list[np.ndarray]:
    """Return initial maps of the arguments: slightly shifted rotations and mirror images of several scales."""
    if arity == 1:
        return [np.array([(-1) ** i * (0.5, 1.0, 2.0)[i % 3], 0.3 * i * rng.normal()]) for i in range(STARTS)]
    starts = []
    for i in range(STARTS):
        angle, size = 2 * np.pi * (i + rng.uniform()) / STARTS, (0.5, 1.0, 2.0)[i % 3]
        rotation = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        starts.append(np.concatenate([(rotation * [1, (-1) ** i]).ravel(), 0.3 * rng.normal(size=2)]))
    return starts
