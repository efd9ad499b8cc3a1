"""Baked evaluation: phi as a constant table, in a layer without an inner network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict

import keras
import numpy as np
from keras import ops

from keras_twoarg.layers.pairing_layer import PairingLayer
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.look_up import look_up_by_numbers
from keras_twoarg.ops.pairing import to_arguments
from keras_twoarg.ops.table import apply, compiled_look_up, fastest_look_up, make_cells
from keras_twoarg.ops.windows import check_pool_size, max_pool, pooled_shape
from keras_twoarg.ops.xla import may_compile
from keras_twoarg.utils.types import ArrayLike, Config, Shape, Shapes, Tensor, Tensors

LookUp = Callable[[Tensors, Tensor, Interpolation], Tensor]

_look_up: ContextVar[LookUp] = ContextVar("keras_twoarg_look_up", default=fastest_look_up)
_plane_by_plane: ContextVar[bool] = ContextVar("keras_twoarg_plane_by_plane", default=False)


@contextmanager
def looking_up_with(function: LookUp) -> Iterator[None]:
    """Make baked layers traced within use the look-up that an export's runtime runs fastest."""
    token = _look_up.set(function)
    try:
        yield
    finally:
        _look_up.reset(token)


@contextmanager
def looking_up_plane_by_plane() -> Iterator[None]:
    """Make baked layers traced within keep first and second arguments apart, which is fastest in ONNX Runtime."""
    token = _plane_by_plane.set(True)
    try:
        yield
    finally:
        _plane_by_plane.reset(token)


@keras.saving.register_keras_serializable(package="keras_twoarg")
class BakedActivation(PairingLayer):
    """Activation layer that looks up its units' arguments in a constant table: what `bake` puts into a model.

    It computes what `TwoArgActivation` computes with `evaluation=Interpolation(...)` of the same grid, from the values
    that phi had when it was baked.

    Args:
        grid: The table's nodes, an `Interpolation`.
        arity: Number of arguments, 1 or 2. Defaults to `2`.
        pairing: As in `TwoArgActivation`. Defaults to `"adjacent"`.
        pool_size: As in `TwoArgMaxPooling2D`, to max-pool the outputs; `None` for no pooling. Defaults to `None`.
        axis: As in `TwoArgActivation`. Defaults to `-1`.
        **kwargs: `name` and `dtype`, as for every Keras layer. The table is always float32.

    Input shape:
        `(batch, ..., arity * n)`, the width on axis `axis`, or `arity` tensors `(batch, ..., n)`

    Output shape:
        `(batch, ..., n)`, pooled if there is a `pool_size`

    Examples:
        >>> grid = Interpolation(extent=4.0, resolution=3)  # nodes at -4, 0 and 4
        >>> layer = BakedActivation(grid)
        >>> layer.build((None, 2))
        >>> layer.fill(surfaces.product(*grid.nodes(arity=2).T))
        >>> float(layer(np.array([[2.0, -3.0]], "float32"))[0, 0])
        -6.0

    Raises:
        ValueError: If `arity` is neither 1 nor 2, `pool_size` is not one or two positive integers, or `pairing`, `axis`
            or the inputs are invalid as in `TwoArgActivation`.
    """

    def __init__(
        self,
        grid: Interpolation | Config,
        arity: int = 2,
        pairing: str = "adjacent",
        pool_size: int | Sequence[int] | None = None,
        axis: int = -1,
        **kwargs: object,
    ) -> None:
        super().__init__(pairing, axis, **kwargs)
        self.grid = grid if isinstance(grid, Interpolation) else Interpolation(**grid)
        if arity not in (1, 2):
            raise ValueError(f"A table takes one or two arguments. Received: arity={arity!r}")
        self._arity = arity
        self.pool_size = None if pool_size is None else check_pool_size(pool_size)
        self.supports_masking = pool_size is None

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        return self._arity

    def build(self, input_shape: Shapes) -> None:
        """Create the table, which holds the coefficients of a polynomial for each cell."""
        self.compute_output_shape(input_shape)
        shape = (self.grid.cells(self.arity), 2**self.arity)
        self.cells = self.add_weight(name="cells", shape=shape, dtype="float32", autocast=False, trainable=False)

    def fill(self, values: ArrayLike) -> None:
        """Fill the table from phi's values at the grid's nodes, in the order of `grid.nodes(arity)`."""
        if not self.built:
            raise ValueError(f"{self.name!r} has no table yet. Call its `build` with the shape of its inputs first")
        expected = self.grid.resolution**self.arity
        if np.size(values) != expected:
            raise ValueError(
                f"Expected one value for each of the grid's {expected:,} nodes. Received: {np.size(values):,} values"
            )
        nodes = ops.convert_to_tensor(np.asarray(values, "float32"))
        self.cells.assign(make_cells(nodes, self.grid.resolution, self.arity))

    def load_own_variables(self, store: Mapping[str, ArrayLike]) -> None:
        """Load the table; add the cells beyond the grid, which older files lack."""
        cells = np.asarray(store["0"])
        if len(cells) == (self.grid.resolution - 1) ** self.arity:
            self.fill(_nodes_of(cells, self.arity))
        else:
            super().load_own_variables(store)

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        """Look up each unit's arguments; XLA compiles the look-up in Keras' `predict` on TensorFlow."""
        cells = ops.convert_to_tensor(self.cells.value)
        if _plane_by_plane.get():
            values = self._from_planes(inputs, cells)
        else:
            values = self._looked_up(inputs, cells, compiled=not training and may_compile(False))
        values = ops.cast(values, self.compute_dtype)
        return values if self.pool_size is None else max_pool(values, self.pool_size, self.axis)

    def _looked_up(self, inputs: Tensors, cells: Tensor, compiled: bool) -> Tensor:
        flat = keras.tree.map_structure(lambda one: ops.cast(one, "float32"), self.flat_arguments(inputs))
        if compiled:
            look_up = compiled_look_up(self.grid, self.arity, apart=isinstance(flat, list))
            values = apply(lambda *own: look_up(*own, cells), flat, self.is_varied(inputs))
        else:
            values = _look_up.get()(flat, cells, self.grid)
        return self.in_units_shape(values, inputs)

    def _from_planes(self, inputs: Tensors, cells: Tensor) -> Tensor:
        arguments = to_arguments(inputs, self.arity, self.pairing, self.axis)
        flat = [ops.cast(ops.reshape(argument, (-1,)), "float32") for argument in arguments]
        values = ops.reshape(look_up_by_numbers(flat, cells, self.grid), ops.shape(arguments[0]))
        return values if isinstance(inputs, list | tuple) else ops.moveaxis(values, 1, self.axis)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        """Return the shape of the outputs: one entry per unit, or per unit and window."""
        shape = super().compute_output_shape(input_shape)
        return shape if self.pool_size is None else pooled_shape(shape, self.pool_size, self.axis)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        own = {"arity": self.arity, "pool_size": self.pool_size}
        return {**super().get_config(), "grid": asdict(self.grid), **own}


def _nodes_of(cells: np.ndarray, arity: int) -> np.ndarray:
    """Return the values at all nodes, `(nodes,)`, given the coefficients of the cells between them."""
    size = round(len(cells) ** (1 / arity))
    coefficients = cells.reshape(*[size] * arity, *[2] * arity)  # by the powers of f2, then of f1
    index = np.arange(size + 1)
    cell = np.minimum(index, size - 1)
    powers = np.stack([np.ones(size + 1), index - cell], axis=-1)
    if arity == 1:
        return np.einsum("ia,ia->i", coefficients[cell], powers)
    return np.einsum("ijba,ia,jb->ij", coefficients[np.ix_(cell, cell)], powers, powers).ravel()
