"""How far one surface is from another, and when training has brought phi to its final shape."""

from collections.abc import Mapping

import numpy as np

from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.surfaces import GridSurface

SETTLED = 0.1
"""A surface has settled when it explains all but this fraction of the final surface's variance."""
_ANGLES = 72


def distance(surface: np.ndarray, final: np.ndarray, density: Density) -> float:
    """Return the distance of a surface from its final shape: the fraction of variance that it leaves unexplained.

    It is `1 - r^2` for the correlation r of both surfaces over the density: 0 for the same shape, 1 for an unrelated
    one. Scale and offset of phi's output are ignored, since the next linear layer can undo them.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(1_000, 2)))
        >>> final = surfaces.product(density.axis[:, None], density.axis[None, :])
        >>> round(analysis.distance(3 * final + 1, final, density), 9) + 0.0
        0.0

    Raises:
        ValueError: If the surfaces do not have the density's shape.
    """
    if not surface.shape == final.shape == density.values.shape:
        raise ValueError(
            f"Expected surfaces on the density's nodes, {density.values.shape}. Received: {surface.shape} and "
            f"{final.shape}"
        )
    weights = density.values / density.values.sum()
    first, second = (values - (weights * values).sum() for values in (surface, final))
    variances = (weights * first**2).sum() * (weights * second**2).sum()
    if variances == 0:
        return 0.0 if np.array_equal(first, second) else 1.0
    return float(1 - (weights * first * second).sum() ** 2 / variances)


def distance_up_to_symmetry(surface: np.ndarray, other: np.ndarray, density: Density) -> float:
    """Return the distance of a surface from the nearest rotation or mirror image of another surface.

    The linear layer before phi can swap, rotate and mirror both arguments, and the one after it can change the output's
    sign, scale and offset: phis that differ only in these make equivalent networks (except for the mean, which a
    LayerNorm in between removes). The result is the smallest `distance` from 72 rotations, in steps of 5 degrees, of
    the other surface and of its mirror image. The arguments' scale is fixed, since a small enough patch of any smooth
    surface is a plane.

    Args:
        surface: Values on the nodes of the grid of pretraining, `(101, 101)`.
        other: Values of the other surface on the same nodes; it is constant outside the grid.
        density: Where the first surface's arguments fall.

    Returns:
        The unexplained fraction of the surface's variance over the density: 0 for equivalent surfaces, 1 for unrelated
        ones.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(5_000, 2)))
        >>> x, y = density.axis[:, None], density.axis[None, :]
        >>> product, squares = surfaces.product(x, y), x**2 - y**2
        >>> round(analysis.distance(product, squares, density), 1)
        1.0
        >>> round(analysis.distance_up_to_symmetry(product, squares, density), 1)
        0.0

    Raises:
        ValueError: If the surfaces do not have two arguments and the density's shape.
    """
    if surface.ndim != 2 or not surface.shape == other.shape == density.values.shape:
        raise ValueError(
            f"Expected surfaces of two arguments on the density's nodes, {density.values.shape}. "
            f"Received: {surface.shape} and {other.shape}"
        )
    interpolated, (x1, x2) = GridSurface(other), density.nodes.T
    turned = (
        interpolated(np.cos(angle) * x1 - np.sin(angle) * x2, sign * (np.sin(angle) * x1 + np.cos(angle) * x2))
        for sign in (1, -1)
        for angle in np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    )
    return min(distance(surface, values.reshape(surface.shape), density) for values in turned)


def settled(distances: Mapping[int, float], limit: float = SETTLED) -> int:
    """Return the first epoch from which on no distance exceeds the limit; NaN exceeds it.

    Examples:
        >>> analysis.settled({0: 1.0, 1: 0.05, 2: 0.2, 3: 0.09, 4: 0.0})
        3

    Raises:
        ValueError: If there is no such epoch.
    """
    above = [epoch for epoch, value in distances.items() if not value <= limit]  # includes NaN
    below = [epoch for epoch in distances if not above or epoch > max(above)]
    if not below:
        raise ValueError(f"Expected distances that end at or below {limit:g}. Received: {dict(distances)}")
    return min(below)
