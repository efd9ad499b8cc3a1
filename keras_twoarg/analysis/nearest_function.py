"""The named function that phi comes nearest to, up to affine maps of its arguments and of its output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.quadratic_fit import features, variance
from keras_twoarg.analysis.statistics import scipy_optimize

Named: TypeAlias = Callable[..., np.ndarray]
FUNCTIONS: dict[str, Named] = {
    "product": surfaces.product,
    "maxout": surfaces.maxout,
    "xnor": surfaces.xnor,
    "glu": surfaces.glu,
    "swiglu": surfaces.swiglu,
}
"""What is compared, beside the general `"quadratic"`; the simpler ones, which others can imitate, come first."""
CURVES: dict[str, Named] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "quadratic": np.square,
    "tanh": np.tanh,
    "silu": lambda x: surfaces.swiglu(x, 1),
    "gelu": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
}
"""The same for a phi of one argument; the identity stands for straight lines; tanh, silu and gelu imitate others."""

STARTS = 8
_DRAWN = 800
"""Argument tuples on which good maps are sought from all starts."""
_REFINED = 2
"""How many of these maps, the best ones on all nodes, are then fitted there."""
_FAR = 1e6
"""Arguments end here, lest they overflow: far enough that no function gains a bend by it."""


@dataclass(frozen=True)
class Nearest:
    """How well named functions describe a surface.

    Attributes:
        r2: For each function, the share of the surface's variance over the density that
            `a f(A x + b) + c` explains, with the best A (2x2, or a number), b, a and c found; the simpler functions
            come first. The quadratic has its coefficients and no maps beside: it holds the product, and every bowl
            and ridge. With such maps the product holds every ridge x^2 too, and comes as near as one likes to a
            plane: whether phi bends at all is for `soft_xor` and `spectrum` to say.
    """

    r2: dict[str, float]

    @property
    def name(self) -> str:
        """The simplest function that explains all but a percent of what the best one explains."""
        best = max(self.r2.values())
        return next(name for name, r2 in self.r2.items() if r2 >= best - 0.01)


def nearest(surface: np.ndarray, density: Density, seed: int = 0, starts: int = STARTS) -> Nearest:
    """Fit every named function of as many arguments to a surface or a curve, where its arguments fall.

    Args:
        surface: Values on the nodes of the grid of pretraining, `(101, 101)` or `(101,)`.
        density: Where the arguments fall.
        seed: Seed of the starts of the nonlinear least-squares fits, and of the nodes they seek on. Defaults to `0`.
        starts: Starts of each fit, 1 to 8; fewer take less time and miss more. Defaults to `8`.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(5_000, 2)))
        >>> axis = density.axis
        >>> fit = analysis.nearest(surfaces.maxout(0.5 * axis[:, None], -axis[None, :]), density)
        >>> fit.name, round(fit.r2["maxout"], 3)
        ('maxout', 1.0)

    Raises:
        ValueError: If the surface is not one of one or two arguments on the density's nodes, or is flat; if `starts` is
            out of range.
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
    deviation = np.sqrt(variance(values, weights))
    if not deviation > 0:
        raise ValueError("A flat surface is near every function")
    problem = _Problem(nodes, (values - weights @ values) / deviation, np.sqrt(weights))
    sample = problem.drawn(rng, _DRAWN)
    functions = FUNCTIONS if surface.ndim == 2 else CURVES
    r2 = {}
    for name, function in functions.items():
        near = sample.maps(function, _starts(rng, surface.ndim)[:starts])
        near.sort(key=lambda maps: problem.r2(function, maps), reverse=True)
        r2[name] = max(problem.r2(function, maps) for maps in problem.maps(function, near[:_REFINED]))
    return Nearest(r2 if surface.ndim == 1 else {**r2, "quadratic": problem.quadratic_r2()})


@dataclass(frozen=True)
class _Problem:
    """A surface of mean 0 and variance 1 on nodes with weights, of which `root` is the square root.

    R² is then 1 minus the squared residual, for every function over the same nodes and weights.
    """

    nodes: np.ndarray
    values: np.ndarray
    root: np.ndarray

    def drawn(self, rng: np.random.Generator, number: int) -> "_Problem":
        """Return nodes drawn by their weights, with replacement: maps are sought on them, whatever the data's size."""
        if len(self.nodes) <= number:
            return self
        counts = rng.multinomial(number, self.root**2)
        seen = counts > 0
        weights, values = counts[seen] / number, self.values[seen]
        return _Problem(self.nodes[seen], values - weights @ values, np.sqrt(weights))

    def maps(self, function: Named, starts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the maps of the arguments that are found from some starts, until one leaves no residual."""
        optimize, found = scipy_optimize(), []
        for start in starts:
            fit = optimize.least_squares(lambda maps: self.residual(function, maps), start, max_nfev=100)
            found.append(np.asarray(fit.x))
            if 2 * fit.cost < 1e-6:
                break
        return found

    def r2(self, function: Named, maps: np.ndarray) -> float:
        """Return the share of the variance that a function of mapped arguments explains."""
        residual = self.residual(function, maps)
        return float(1 - residual @ residual)

    def residual(self, function: Named, maps: np.ndarray) -> np.ndarray:
        """Return the weighted residual with the best map of the output, which is a line through the weighted means."""
        arity = self.nodes.shape[1]
        arguments = np.clip(self.nodes @ maps[: arity**2].reshape(arity, arity) + maps[arity**2 :], -_FAR, _FAR).T
        found = function(*arguments)
        found = (found - self.root @ (self.root * found)) * self.root
        values = self.values * self.root
        return np.asarray(found * (found @ values / max(found @ found, 1e-30)) - values)

    def quadratic_r2(self) -> float:
        """Return the share of the variance that the best quadratic explains."""
        columns, values = features(*self.nodes.T) * self.root[:, None], self.values * self.root
        solved, *_ = np.linalg.lstsq(columns, values, rcond=None)
        return float(1 - ((columns @ solved - values) ** 2).sum())


def _starts(rng: np.random.Generator, arity: int) -> list[np.ndarray]:
    """Return maps of the arguments: rotations and mirror images of several sizes, a little moved."""
    if arity == 1:
        return [np.array([(-1) ** i * (0.5, 1.0, 2.0)[i % 3], 0.3 * i * rng.normal()]) for i in range(STARTS)]
    starts = []
    for i in range(STARTS):
        angle, size = 2 * np.pi * (i + rng.uniform()) / STARTS, (0.5, 1.0, 2.0)[i % 3]
        rotation = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        starts.append(np.concatenate([(rotation * [1, (-1) ** i]).ravel(), 0.3 * rng.normal(size=2)]))
    return starts
