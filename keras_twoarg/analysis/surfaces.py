"""Named functions of two arguments and random smooth fields, for pretraining and comparison.

Surfaces are called with one array per argument, which are broadcast as in NumPy:

>>> surfaces.product(2.0, np.array([-1.0, 3.0])).tolist()
[-2.0, 6.0]
>>> surfaces.random_field(seed=0)(0.0, 0.0).shape
()
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from keras_twoarg.utils.types import ArrayLike

Array = npt.NDArray[np.float64]

EXTENT = 5.0
"""Pretraining samples surfaces on [-EXTENT, EXTENT] along each argument."""
NODES = 101
"""Grid nodes along each argument: a step of 0.1, as in the paper."""


def axis() -> Array:
    """Return the grid's nodes along each argument, `(101,)`."""
    return np.linspace(-EXTENT, EXTENT, NODES)


def nodes(arity: int) -> Array:
    """Return all nodes of the grid as argument tuples, `(101 ** arity, arity)`."""
    return np.stack(np.meshgrid(*[axis()] * arity, indexing="ij"), axis=-1).reshape(-1, arity)


def product(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Return `x1 x2`, the pure saddle."""
    return np.asarray(x1, float) * np.asarray(x2, float)


def xnor(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Return the approximate logit XNOR, `sign(x1 x2) min(|x1|, |x2|)` (Lowe et al., arXiv 2110.11940)."""
    x1, x2 = np.asarray(x1, float), np.asarray(x2, float)
    return np.sign(x1 * x2) * np.minimum(np.abs(x1), np.abs(x2))


def maxout(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Return `max(x1, x2)` (Goodfellow et al., arXiv 1302.4389)."""
    return np.maximum(np.asarray(x1, float), np.asarray(x2, float))


def swiglu(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Return `x1 sigmoid(x1) x2` (Shazeer, arXiv 2002.05202)."""
    x1 = np.asarray(x1, float)
    return x1 * 0.5 * (1 + np.tanh(x1 / 2)) * np.asarray(x2, float)


def glu(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Return `sigmoid(x1) x2` (Dauphin et al., arXiv 1612.08083)."""
    return 0.5 * (1 + np.tanh(np.asarray(x1, float) / 2)) * np.asarray(x2, float)


NAMED = {"product": product, "maxout": maxout, "xnor": xnor, "glu": glu, "swiglu": swiglu}
"""The functions that are also arms, by name. Simpler ones, which others can imitate, come first."""


def scaled(surface: Callable[..., Array], std: float | None) -> Callable[..., Array]:
    """Return a surface scaled to a standard deviation on the pretraining grid, or unchanged for `std=None`.

    Examples:
        >>> float(surfaces.scaled(surfaces.product, 0.01)(5.0, 5.0)) < 0.05
        True

    Raises:
        ValueError: If the surface is constant or not finite on the grid.
    """
    if std is None:
        return surface
    deviation = float(np.std(surface(axis()[:, None], axis()[None, :])))
    if not 0 < deviation < np.inf:
        raise ValueError(
            f"Expected a finite surface that is not constant. Received: a standard deviation of {deviation}"
        )
    factor = std / deviation
    return lambda x1, x2: np.asarray(factor * surface(x1, x2))


@dataclass(frozen=True)
class Quadratic:
    """`c0 x1^2 + c1 x2^2 + c2 x1 x2 + c3 x1 + c4 x2 + c5`."""

    coefficients: tuple[float, float, float, float, float, float]

    def __call__(self, x1: ArrayLike, x2: ArrayLike) -> Array:
        """Evaluate the polynomial."""
        x1, x2 = np.asarray(x1, float), np.asarray(x2, float)
        c = self.coefficients
        return c[0] * x1**2 + c[1] * x2**2 + c[2] * x1 * x2 + c[3] * x1 + c[4] * x2 + c[5]


def quadratic(
    c0: float = 0.0, c1: float = 0.0, c2: float = 0.0, c3: float = 0.0, c4: float = 0.0, c5: float = 0.0
) -> Quadratic:
    """Return the surface `c0 x1^2 + c1 x2^2 + c2 x1 x2 + c3 x1 + c4 x2 + c5`.

    Examples:
        >>> float(surfaces.quadratic(c2=1.0, c5=0.5)(2.0, 3.0))
        6.5
    """
    return Quadratic((c0, c1, c2, c3, c4, c5))


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class GridSurface:
    """A surface given on the nodes of the pretraining grid, multilinear between them and constant outside.

    Attributes:
        values: Array of shape `(101,) * arity`.
        arity: Number of arguments.
        axis: The nodes along each argument.
    """

    values: Array = field(repr=False)

    @property
    def arity(self) -> int:
        """Number of arguments."""
        return self.values.ndim

    @property
    def axis(self) -> Array:
        """The nodes along each argument."""
        return axis()

    def __call__(self, *arguments: ArrayLike) -> Array:
        """Interpolate at `arity` arrays of arguments."""
        if len(arguments) != self.arity:
            raise ValueError(f"This surface has {self.arity} arguments. Received: {len(arguments)} arrays")
        position = [
            (np.clip(np.asarray(x, float), -EXTENT, EXTENT) + EXTENT) * (NODES - 1) / (2 * EXTENT) for x in arguments
        ]
        cell = [np.minimum(p.astype(int), NODES - 2) for p in position]
        total = np.zeros(np.broadcast_shapes(*(p.shape for p in position)))
        for corner in np.ndindex(*(2,) * self.arity):
            weight = np.ones_like(total)
            for p, c, upper in zip(position, cell, corner, strict=True):
                weight = weight * ((p - c) if upper else 1 - (p - c))
            total += weight * self.values[tuple(c + upper for c, upper in zip(cell, corner, strict=True))]
        return total


def blurred(values: Array, deviation: float) -> Array:
    """Return values on the pretraining grid convolved with a Gaussian, with zeros outside the grid."""
    kernel = gaussian(deviation)
    for dimension in range(values.ndim):
        values = np.moveaxis(np.tensordot(kernel, values, axes=(1, dimension)), 0, dimension)
    return values


@lru_cache(maxsize=8)
def gaussian(blur: float) -> Array:
    """Return the matrix that convolves values along one axis of the grid with a Gaussian, `(101, 101)`."""
    kernel = np.exp(-(np.subtract.outer(axis(), axis()) ** 2) / (2 * blur**2))
    matrix = np.asarray(kernel / kernel[NODES // 2].sum())  # the middle row contains the whole Gaussian
    matrix.flags.writeable = False  # all callers share it
    return matrix


def random_field(seed: int, arity: int = 2, *, blur: float = 1 / 3, std: float | None = None) -> GridSurface:
    """Return a random smooth surface: uniform noise on a grid, blurred.

    Independent uniform noise on [-1, 1] at 101 nodes on [-5, 5] along each argument, convolved with a Gaussian whose
    weights sum to one, with zeros outside the grid.

    Args:
        seed: Seed of the noise. The same seed always gives the same field.
        arity: Number of arguments: 1, 2 or 3. Defaults to `2`.
        blur: Standard deviation of the Gaussian, in units of the arguments. Defaults to `1/3`, the paper's.
        std: Standard deviation to which the field is scaled. Defaults to `None`: unscaled, as in the paper, which gives
            about 0.17, 0.05 and 0.014 for 1, 2 and 3 arguments.

    Returns:
        A `GridSurface`.

    Examples:
        >>> field = surfaces.random_field(seed=1, std=1.0)
        >>> field.values.shape, round(float(field.values.std()), 3)
        ((101, 101), 1.0)

    Raises:
        ValueError: If `arity`, `blur` or `std` is out of range.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871), Session I.
    """
    if arity not in (1, 2, 3):
        raise ValueError(f"`arity` must be 1, 2 or 3. Received: arity={arity!r}")
    if not blur > 0 or (std is not None and not std > 0):
        raise ValueError(f"`blur` and `std` must be positive. Received: blur={blur!r}, std={std!r}")
    values = blurred(np.random.default_rng(seed).uniform(-1, 1, (NODES,) * arity), blur)
    if std is not None:
        values *= std / values.std()
    return GridSurface(values)
