"""Whether two phis are one function in different words."""

import numpy as np

from keras_twoarg.analysis.convergence import distance
from keras_twoarg.analysis.density import Density
from keras_twoarg.analysis.surfaces import GridSurface

_ANGLES = 72


def distance_up_to_symmetry(surface: np.ndarray, other: np.ndarray, density: Density) -> float:
    """Return how far a surface is from the nearest of another's rotations and mirror images.

    The linear layer in front of phi can swap, turn and mirror both arguments, and the next one can change the output's
    sign, scale and offset: phis that differ in that alone make the same networks, but for the mean that a LayerNorm
    between would take away. Of 72 rotations of the other surface
    and of its mirror image, by 5 degrees each, this is the smallest `distance`. The arguments' scale is not free: a
    small enough patch of any smooth surface is a plane.

    Args:
        surface: Values on the nodes of the grid of pretraining, `(101, 101)`.
        other: Values of the other surface on the same nodes; outside of the grid it is constant.
        density: Where the first surface's arguments fall.

    Returns:
        The share of the surface's variance over the density that is not explained: 0 for one function, 1 for unrelated
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
        ValueError: If a surface is not one of two arguments on the grid's nodes.
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
