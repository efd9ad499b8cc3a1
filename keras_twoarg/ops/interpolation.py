"""Settings of interpolated evaluation: the nodes of a table of phi."""

from dataclasses import dataclass

import numpy as np

from keras_twoarg.utils.types import ArrayLike

RESOLUTION = 81
"""Nodes of a table along each argument, unless others are chosen."""


def check_resolution(name: str, nodes: object) -> int:
    """Return the nodes along each argument as a Python `int`, or raise a ValueError unless a table can have them."""
    # Cells, one more than nodes along each argument, are numbered in float32, which is exact up to 4096 squared.
    if not isinstance(nodes, int | np.integer) or not 2 <= nodes <= 4095:
        raise ValueError(f"`{name}` must be an integer from 2 to 4095. Received: {name}={nodes!r}")
    return int(nodes)


@dataclass(frozen=True)
class Interpolation:
    """Settings of interpolated evaluation.

    Attributes:
        extent: The nodes lie on [-extent, extent] along each argument. Defaults to `5.0`: after a LayerNorm nearly all
            pre-activations fall inside.
        resolution: Nodes along each argument. Defaults to `81`: a step of 0.125.

    Examples:
        >>> layer = TwoArgActivation(evaluation=Interpolation(extent=4.0, resolution=65))
        >>> layer.evaluation.step
        0.125
    """

    extent: float = 5.0
    resolution: int = RESOLUTION

    def __post_init__(self) -> None:
        if not 0 < self.extent < np.inf:
            raise ValueError(f"`extent` must be positive and finite. Received: extent={self.extent!r}")
        object.__setattr__(self, "resolution", check_resolution("resolution", self.resolution))  # it is frozen

    @property
    def step(self) -> float:
        """Distance between neighbouring nodes."""
        return 2 * self.extent / (self.resolution - 1)

    @classmethod
    def from_data(cls, tuples: ArrayLike, resolution: int = RESOLUTION, mass: float = 0.9999) -> "Interpolation":
        """Return settings whose grid covers a fraction `mass` of argument tuples, as from `analysis.pre_activations`.

        Examples:
            >>> Interpolation.from_data(np.array([[0.5, -2.0], [1.0, 1.5]]), mass=1.0).extent
            2.0
        """
        return cls(float(np.quantile(np.abs(np.asarray(tuples)).max(axis=-1), mass)), resolution)

    def nodes(self, arity: int) -> np.ndarray:
        """Return all nodes as argument tuples, `(resolution ** arity, arity)`."""
        axis = np.linspace(-self.extent, self.extent, self.resolution, dtype="float32")
        return np.stack(np.meshgrid(*[axis] * arity, indexing="ij"), axis=-1).reshape(-1, arity)

    def cells(self, arity: int) -> int:
        """Return the number of cells, including those beyond the grid."""
        return int((self.resolution + 1) ** arity)
