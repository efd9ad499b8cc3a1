"""When phi has taken its final shape."""

from collections.abc import Mapping

import numpy as np

from keras_twoarg.analysis.density import Density

SETTLED = 0.1
"""A surface has settled when it explains all but this share of the final surface's variance."""


def distance(surface: np.ndarray, final: np.ndarray, density: Density) -> float:
    """Return how far a surface is from its final shape: the share of the final variance that it does not explain.

    `1 - r^2` for the correlation r of both over the density: 0 for the same shape, 1 for an unrelated one. The scale
    and the offset of phi's output do not count, since the next linear layer can undo them.

    Examples:
        >>> density = analysis.density(np.random.default_rng(0).normal(size=(1_000, 2)))
        >>> final = surfaces.product(density.axis[:, None], density.axis[None, :])
        >>> round(analysis.distance(3 * final + 1, final, density), 9) + 0.0
        0.0

    Raises:
        ValueError: If the surfaces are not of the density's shape.
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


def settled(distances: Mapping[int, float], limit: float = SETTLED) -> int:
    """Return the first epoch from which on every distance is at or below the limit; NaN is not.

    Examples:
        >>> analysis.settled({0: 1.0, 1: 0.05, 2: 0.2, 3: 0.09, 4: 0.0})
        3

    Raises:
        ValueError: If there is no such epoch: no distance, or the last one is above the limit.
    """
    above = [epoch for epoch, value in distances.items() if not value <= limit]  # NaN, too
    below = [epoch for epoch in distances if not above or epoch > max(above)]
    if not below:
        raise ValueError(f"Expected distances that end at or below {limit:g}. Received: {dict(distances)}")
    return min(below)
