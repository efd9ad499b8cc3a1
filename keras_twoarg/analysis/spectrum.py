"""The angular power spectrum of a surface: its dipole, quadrupole, ..."""

from dataclasses import dataclass

import numpy as np

from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.quadratic_fit import ROUNDING
from keras_twoarg.analysis.surfaces import EXTENT, GridSurface

ORDERS = 7
_ANGLES = 128


@dataclass(frozen=True)
class Spectrum:
    """The power of each angular order, averaged over the radii of the arguments.

    On a circle of radius r the surface is a Fourier series in the angle, with coefficients `a_l(r)`. The power of order
    l is `|a_0|^2` for 0 and `2 |a_l|^2` for others, so that all orders except 0 add up to the surface's variance on the
    circle; it is averaged over circles, weighted by the density of arguments at their radii.

    Attributes:
        power: Power of the orders 0 to 6: 0 is the mean over angles, 1 a dipole (a slope), 2 a quadrupole (a saddle).
        angular: Power of all orders except 0. Like `power`, NaN if no arguments fall within radius 5.
    """

    power: np.ndarray
    angular: float

    @property
    def shares(self) -> np.ndarray:
        """Shares of the orders 1 to 6 in the angular power; NaN if that is zero, as for a constant, or NaN."""
        flat = self.angular <= ROUNDING * self.power[0]
        return np.full(ORDERS - 1, np.nan) if flat else np.asarray(self.power[1:] / self.angular)

    @property
    def quadrupole(self) -> float:
        """Share of order 2 in the angular power: 1 for a pure saddle."""
        return float(self.shares[1])


def spectrum(surface: np.ndarray, density: Density) -> Spectrum:
    """Return the angular power spectrum of a surface about the origin.

    Args:
        surface: Values on the nodes of the pretraining grid, `(101, 101)`.
        density: Density of the arguments, which weights the radii.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(10_000, 2)))
        >>> axis = density.axis
        >>> orders = analysis.spectrum(surfaces.product(axis[:, None], axis[None, :]), density)
        >>> round(orders.quadrupole, 6)
        1.0

    Raises:
        ValueError: If the surface does not have two arguments and the density's shape.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871) compare these powers; the weights of the
        radii are ours, since the paper does not state them.
    """
    if surface.ndim != 2 or surface.shape != density.values.shape:
        raise ValueError(f"Expected a surface of two arguments on the density's nodes. Received: {surface.shape}")
    radii, weights = _radii(density)
    angles = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    values = GridSurface(surface)(radii[:, None] * np.cos(angles), radii[:, None] * np.sin(angles))
    amplitudes = np.abs(np.fft.rfft(values, axis=1)) / _ANGLES
    powers = weights @ (amplitudes**2 * np.where(np.arange(amplitudes.shape[1]) % (_ANGLES // 2) == 0, 1, 2))
    return Spectrum(powers[:ORDERS], float(powers[1:].sum()))


def _radii(density: Density) -> tuple[np.ndarray, np.ndarray]:
    """Return the radii of rings as wide as a cell, and the fraction of the arguments in each ring."""
    edges = np.linspace(0, EXTENT, len(density.axis) // 2 + 1)
    distance = np.hypot(*np.meshgrid(density.axis, density.axis, indexing="ij"))
    weights, _ = np.histogram(distance, bins=edges, weights=density.values)
    total = weights.sum() or np.nan  # all arguments may lie in the corners of the grid
    return (edges[1:] + edges[:-1]) / 2, weights / total
