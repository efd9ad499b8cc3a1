"""The look-up in a table, in portable operations: one function, written for each runtime as it is fastest there.

`table` defines what it computes, makes tables and has their gradients. Exports, whose tables are constant, need only
this module. Arguments are tuples `(N, arity)`, or `arity` vectors `(N,)` if first and second arguments are separate in
memory: interleaving them would take one more pass over all of them.
"""

from collections.abc import Sequence
from functools import reduce

import keras
from keras import ops

from keras_twoarg.ops.gpu import in_private_copies
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Function, Tensor, Tensors

PART, MANY = 65_536, 1_000_000
"""Tuples per part, which fit into a core's cache, and the number of tuples from which on they are split into parts."""
_AT_ONCE = 16


def look_up(arguments: Tensors, cells: Tensor, grid: Interpolation, copies: int = 1) -> Tensor:
    """Evaluate the piecewise polynomial at arguments, given cells `(cells, 2 ** arity)`; returns `(N,)`.

    It gathers rows of the table, which compilers do faster than gathering single numbers; of several copies of the
    table in turn, to which gradients then add (see `gpu`).
    """
    row, positions = row_and_positions(vectors(arguments), grid)
    if copies > 1:
        row, cells = in_private_copies(row, cells.shape[0]), ops.concatenate([cells] * copies)
    return _polynomial(ops.unstack(_fetch(cells, row), axis=-1), positions)


def vectors(arguments: Tensors) -> list[Tensor]:
    """Return arguments as vectors `(N,)`.

    Tuples are split first: without a compiler, strided slices are the most expensive operations.
    """
    return list(arguments if isinstance(arguments, list | tuple) else ops.unstack(arguments, axis=-1))


def row_and_positions(arguments: Sequence[Tensor], grid: Interpolation) -> tuple[Tensor, list[Tensor]]:
    """Return each tuple's cell, `(N,)`, and its position in the cell along each argument."""
    row, positions = _float_row_and_positions(arguments, grid)
    # Clamped again, since NaN may become any integer.
    return ops.clip(ops.cast(row, "int32"), 0, grid.cells(len(arguments)) - 1), positions


def _float_row_and_positions(arguments: Sequence[Tensor], grid: Interpolation) -> tuple[Tensor, list[Tensor]]:
    rows, positions = [], []
    for argument in arguments:
        scaled = argument * (1 / grid.step) + (grid.extent / grid.step + 1)  # the first cell lies before the grid
        cell = ops.clip(ops.floor(scaled), 0, grid.resolution)
        positions.append(scaled - cell)
        rows.append(cell)
    return reduce(lambda before, cell: before * (grid.resolution + 1) + cell, rows), positions


def look_up_in_parts(arguments: Tensors, cells: Tensor, grid: Interpolation) -> Tensor:
    """Look up like `look_up`, part by part, in portable TensorFlow operations.

    Each of some twenty operations reads and writes all tuples. Millions of them go through memory that Linux clears
    first; a part stays in the cache. Parts run in parallel.
    """
    import tensorflow as tf

    apart = isinstance(arguments, list | tuple)
    number = tf.shape(arguments[0] if apart else arguments)[0]
    cells = tf.convert_to_tensor(cells)  # some runtimes cannot `gather_nd` from a variable

    def in_parts() -> Tensor:
        parts = number // PART
        size = -(-number // parts)
        values = tf.TensorArray(tf.float32, parts, infer_shape=False, element_shape=[None])

        def write(i: Tensor, values: tf.TensorArray) -> tuple[Tensor, tf.TensorArray]:
            part = slice(i * size, (i + 1) * size)
            row, positions = row_and_positions(
                [one[part] for one in arguments] if apart else vectors(arguments[part]), grid
            )
            coefficients = tf.gather_nd(cells, row[:, None])  # a little faster than `gather`
            return i + 1, values.write(i, _polynomial(tf.unstack(coefficients, axis=-1), positions))

        _, values = tf.while_loop(lambda i, _: i < parts, write, (0, values), parallel_iterations=_AT_ONCE)
        return values.concat()

    return tf.cond(number < MANY, lambda: look_up(arguments, cells, grid), in_parts)


def look_up_by_columns(arguments: Tensors, cells: Tensor, grid: Interpolation) -> Tensor:
    """Look up like `look_up` where transposing is cheap but strided access and integers are not, as in LiteRT."""
    apart = isinstance(arguments, list | tuple)
    columns = list(arguments if apart else ops.unstack(ops.transpose(arguments), axis=0))
    row, positions = _float_row_and_positions(columns, grid)
    row = ops.cast(ops.where(ops.isnan(row), 0.0, row), "int32")
    return _polynomial(ops.unstack(ops.transpose(_fetch(cells, row)), axis=0), positions)


def look_up_by_numbers(arguments: Tensors, cells: Tensor, grid: Interpolation) -> Tensor:
    """Look up like `look_up`, but fetch a cell's coefficients one by one.

    XLA turns that into vector instructions where the processor has them: with AVX-512 it takes a quarter less time than
    rows, with AVX2 a tenth more.
    """
    row, positions = row_and_positions(vectors(arguments), grid)
    return _polynomial(fetch_by_numbers(cells, row), positions)


def fetch_by_numbers(cells: Tensor, row: Tensor) -> list[Tensor]:
    """Return each coefficient of the cells in some rows, `(N,)`."""
    return [_fetch(column, row) for column in ops.unstack(cells, axis=-1)]


def _fetch(values: Tensor, rows: Tensor) -> Tensor:
    """Return `values[rows]` for rows that are known to exist.

    `ops.take` checks them: for negative rows on TensorFlow and torch, in several operations; for all invalid rows on
    JAX, in a pass over all values.
    """
    if keras.backend.backend() == "jax":
        from jax import numpy as jnp

        return jnp.asarray(values).at[rows].get(mode="promise_in_bounds")
    if keras.backend.backend() == "torch":
        import torch

        return torch.index_select(values, 0, rows)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(values, rows)
    return ops.take(values, rows, axis=0)


def _polynomial(coefficients: list[Tensor], position: list[Tensor]) -> Tensor:
    """Evaluate the polynomials of cells at positions in them."""
    if len(position) == 1:
        return coefficients[0] + position[0] * coefficients[1]
    (c0, c1, c2, twist), (f1, f2) = coefficients, position
    return c0 + f1 * c1 + f2 * (c2 + f1 * twist)


def kept_apart(look_up: Function, arguments: Tensors, cells: Tensor) -> Tensor:
    """Look up in a step that JAX compiles for a CPU, without what comes before and after.

    XLA would compute the arguments, with the normalization that they come from, again for each number that is fetched,
    and the outputs again for each window of a pooling. It leaves the branches of a condition alone, so the look-up is
    one; the condition always holds.
    """
    import jax
    from jax import lax
    from jax import numpy as jnp

    bit = lax.bitcast_convert_type(jnp.asarray(cells)[0, 0], jnp.int32) & 1  # unknown to the compiler
    if jax.default_backend() != "cpu" or _is_known(bit):
        return look_up(arguments, cells)
    return lax.cond(bit < 2, look_up, _nothing, arguments, cells)


def _is_known(value: Tensor) -> bool:
    """Return whether a JAX value can be read now, and so is not part of a function that is being compiled."""
    import jax

    try:
        return bool(value < 2)
    except jax.errors.TracerBoolConversionError:
        return False


def _nothing(arguments: Tensors, cells: Tensor) -> Tensor:
    """Return zeros with the look-up's dtype, and the axes of the mesh along which it varies in `shard_map`."""
    one = arguments[0] if isinstance(arguments, list | tuple) else arguments[:, 0]
    return 0 * one + 0 * cells[0, 0]
