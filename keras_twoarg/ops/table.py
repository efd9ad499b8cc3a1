"""Interpolated evaluation: phi at the nodes of a grid once per step, and a look-up for every argument tuple.

With nodes t_0 ... t_(R-1) a step h apart on [-extent, extent], cell i = floor((x - t_0) / h) and position
f = (x - t_i) / h within it, phi is replaced by the function that is linear in each argument between nodes:

    one argument    y = T_i + f (T_(i+1) - T_i)
    two arguments   y = (1 - f1)(1 - f2) T_ij + f1 (1 - f2) T_(i+1)j + (1 - f1) f2 T_i(j+1) + f1 f2 T_(i+1)(j+1)

Beyond the grid lie unbounded cells, one on each side, which continue the border cells along straight lines, and at the
corners along planes, as a ReLU network does far out. Where phi is smooth, the error within the grid is at most h^2 / 8
times the sum of the largest second derivatives along each argument.

Gradients are exact for this function: for the pre-activations, the slopes of the cell; for phi, a sum over the tuples
in each cell, propagated through the exact evaluations at the nodes. If phi is frozen, that sum is not computed.
"""

from collections.abc import Sequence
from functools import lru_cache

import keras
import numpy as np
from keras import ops

from keras_twoarg.ops.exact import in_float32
from keras_twoarg.ops.gpu import COPIES, in_private_copies, on_gpu
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.look_up import (
    fetch_by_numbers,
    kept_apart,
    look_up,
    look_up_by_numbers,
    row_and_positions,
    vectors,
)
from keras_twoarg.ops.xla import at_few_lengths, may_compile, with_gradient
from keras_twoarg.utils.types import Function, Tensor, Tensors


def evaluate(
    arguments: Tensors, cells: Tensor, grid: Interpolation, training: bool, frozen: bool, varied: bool = False
) -> Tensor:
    """Look up arguments in a table of phi.

    Args:
        arguments: Tuples `(N, arity)`, with an arity of 1 or 2; or one vector `(N,)` per argument.
        cells: The table, as from `make_table`.
        grid: Its nodes.
        training: Whether gradients will be wanted.
        frozen: Whether no gradient with respect to the table is wanted.
        varied: Whether N varies from step to step, as with sequences of any length.

    Returns:
        A tensor of shape `(N,)`, in float32.
    """
    # Half precision cannot tell neighbouring nodes apart.
    arguments = keras.tree.map_structure(lambda one: ops.cast(one, "float32"), arguments)
    if may_compile(training):
        if isinstance(arguments, list | tuple):
            compiled = _tensorflow_look_up(grid, len(arguments), frozen, apart=True)
        else:
            compiled = _tensorflow_look_up(grid, arguments.shape[-1], frozen)
        return apply(lambda *own: compiled(*own, cells), arguments, varied)
    if keras.backend.backend() == "jax" and training:
        return kept_apart(_by_rows(grid, COPIES if on_gpu() and not frozen else 1), arguments, cells)
    return fastest_look_up(arguments, cells, grid)


def apply(compiled: Function, arguments: Tensors, varied: bool) -> Tensor:
    """Apply a compiled look-up to tuples or vectors, whose number may vary from step to step."""
    own = arguments if isinstance(arguments, list | tuple) else [arguments]
    return at_few_lengths(compiled, *own) if varied else compiled(*own)


def fastest_look_up(arguments: Tensors, cells: Tensor, grid: Interpolation) -> Tensor:
    """Look up like `look_up`, without gradients on JAX, and with torch's native operation where it applies."""
    if keras.backend.backend() == "jax" and not on_gpu():
        # Gathered rows would be kept until the polynomial reads them, in memory allocated at each call.
        return kept_apart(_by_numbers(grid), arguments, cells)
    if keras.backend.backend() == "torch":
        from keras_twoarg.ops import grid_sample

        tuples = ops.stack(arguments, axis=-1) if isinstance(arguments, list | tuple) else arguments
        if grid_sample.applies(tuples):
            return grid_sample.sample(tuples, cells, grid)
    return look_up(arguments, cells, grid)


@lru_cache(maxsize=32)  # JAX traces a branch once for each function
def _by_rows(grid: Interpolation, copies: int) -> Function:
    return lambda arguments, cells: look_up(arguments, cells, grid, copies)


@lru_cache(maxsize=32)
def _by_numbers(grid: Interpolation) -> Function:
    return lambda arguments, cells: look_up_by_numbers(arguments, cells, grid)


def evaluate_at_corners(
    tuples: Tensor, weights: list[Tensor], phi: Function, grid: Interpolation, training: bool
) -> Tensor:
    """Evaluate the piecewise polynomial without a table, from phi at the corners of each tuple's cell.

    Args:
        tuples: Tensor of shape `(N, arity)`, with an arity of 1 or 2.
        weights: As in `make_table`.
        phi: As in `make_table`.
        grid: The nodes of the table.
        training: Whether gradients will be wanted.

    Returns:
        A tensor of shape `(N, 1)`, in float32, which equals `evaluate` of the table to within rounding.
    """
    tuples, arity = ops.cast(tuples, "float32"), tuples.shape[-1]
    scaled = tuples * (1 / grid.step) + grid.extent / grid.step
    cell = ops.clip(ops.floor(scaled), 0, grid.resolution - 2)  # (N, arity)
    offsets = np.indices((2,) * arity).reshape(arity, -1).T.astype("float32")  # of a cell's corners
    corners = ops.reshape(ops.add(cell[:, None], offsets) * grid.step - grid.extent, (-1, arity))
    with in_float32(corners):
        values = phi(corners, [ops.cast(weight, "float32") for weight in weights], training)
    values = ops.unstack(ops.reshape(values, (-1, 2**arity)), axis=-1)
    positions = ops.unstack(scaled - cell, axis=-1)
    if arity == 1:
        (low, high), (f1,) = values, positions
        return (low + f1 * (high - low))[:, None]
    (corner, up, right, far), (f1, f2) = values, positions
    within1, within2 = ops.clip(f1, 0, 1), ops.clip(f2, 0, 1)
    product = f1 * within2 + within1 * (f2 - within2)  # beyond the grid's corners, that of a plane
    twist = far - right - up + corner
    return (corner + f1 * (right - corner) + f2 * (up - corner) + product * twist)[:, None]


def make_table(weights: list[Tensor], phi: Function, grid: Interpolation, arity: int, training: bool) -> Tensor:
    """Evaluate phi at the nodes and return the cells' coefficients.

    Args:
        weights: Values of the inner network's kernels and biases.
        phi: Function that evaluates phi exactly, given tuples, weights and `training`.
        grid: The table's nodes.
        arity: Arguments of phi, 1 or 2.
        training: Whether gradients will be wanted.

    Returns:
        A tensor of shape `(cells, 2 ** arity)`, in float32.
    """
    weights = [ops.cast(weight, "float32") for weight in weights]

    def cells(*weights: Tensor) -> Tensor:
        nodes = ops.convert_to_tensor(grid.nodes(arity))
        with in_float32(nodes):  # differences of rounded values would be wrong slopes
            values = phi(nodes, list(weights), training)
        return make_cells(values, grid.resolution, arity)

    # In training, XLA is no faster.
    if not training and may_compile(training):
        return _compiled_here(cells)(*weights)
    return cells(*weights)


def _compiled_here(function: Function) -> Function:
    """Return the function compiled by XLA as part of the graph being traced; in eager mode, the function itself."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return function  # it would be compiled at each call
    compiled: Function = tf.function(function, jit_compile=True, autograph=False)
    return compiled


def make_cells(values: Tensor, resolution: int, arity: int) -> Tensor:
    """Return each cell's coefficients of 1, f1 (and f2, f1 f2), `(cells, 2 ** arity)`, given phi at the nodes."""
    table = _with_nodes_beyond(ops.reshape(values, (-1,)), resolution, arity)
    if arity == 1:
        return ops.stack([table[:-1], table[1:] - table[:-1]], axis=-1)
    corner, right, up = table[:-1, :-1], table[1:, :-1], table[:-1, 1:]
    plane = np.ones((resolution + 1,) * 2, "float32")
    plane[::resolution, ::resolution] = 0  # far out, any rounding error of a product would be amplified
    twist = ops.multiply(table[1:, 1:] - right - up + corner, plane)
    return ops.reshape(ops.stack([corner, right - corner, up - corner, twist], axis=-1), (-1, 4))


def _with_nodes_beyond(values: Tensor, resolution: int, arity: int) -> Tensor:
    """Return the nodes' values with one more node at each end of each axis, extrapolated linearly.

    At a corner it lies on the plane through the last three.
    """
    last = resolution - 1
    places = np.indices((resolution + 2,) * arity) - 1
    border = np.clip(places, 0, last)

    def at(nodes: np.ndarray) -> Tensor:
        return ops.take(values, np.ravel_multi_index(tuple(nodes), (resolution,) * arity).astype("int32"), axis=0)

    table = edge = at(border)
    for axis in range(arity):
        inwards = border.copy()
        inwards[axis] -= np.sign(places[axis] - border[axis])
        table = table + (edge - at(inwards))
    return table


def _signature(grid: Interpolation, arity: int, apart: bool) -> list[object]:
    import tensorflow as tf

    arguments = [tf.TensorSpec([None])] * arity if apart else [tf.TensorSpec([None, arity])]
    return [*arguments, tf.TensorSpec([grid.cells(arity), 2**arity])]


@lru_cache(maxsize=32)
def compiled_look_up(grid: Interpolation, arity: int, apart: bool = False) -> Function:
    """Return the look-up compiled by XLA on TensorFlow, for inference that is not exported.

    It takes tuples and the table, or with `apart` one vector per argument and the table.
    """
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False, input_signature=_signature(grid, arity, apart))
    def compiled(*inputs: Tensor) -> Tensor:
        *arguments, cells = inputs
        return look_up_by_numbers(arguments if apart else arguments[0], cells, grid)

    return compiled


@lru_cache(maxsize=32)
def compiled_gradients(grid: Interpolation, arity: int, frozen: bool, apart: bool = False) -> Function:
    """Return the look-up's gradients with respect to arguments and table, compiled by XLA on TensorFlow.

    For tuples the gradients are one vector `(N,)`, which for two arguments holds packed pairs of float32 (see
    `tf.bitcast`); for vectors they are one `(N,)` each. The table's is `(cells, 2 ** arity)`, or None if phi is frozen.
    """
    import tensorflow as tf

    signature = [*_signature(grid, arity, apart), tf.TensorSpec([None])]

    @tf.function(jit_compile=True, autograph=False, input_signature=signature)
    def backward(*inputs: Tensor) -> tuple[Tensor | None, ...]:
        *arguments, cells, upstream = inputs
        row, position = row_and_positions(arguments if apart else vectors(arguments[0]), grid)
        coefficients, scaled = fetch_by_numbers(cells, row), upstream * (1 / grid.step)
        if arity == 1:
            slopes = [scaled * coefficients[1]]
        else:
            (_, c1, c2, twist), (f1, f2) = coefficients, position
            slopes = [scaled * (c1 + twist * f2), scaled * (c2 + twist * f1)]
        by_argument = slopes if apart or arity == 1 else [_pack(*slopes)]
        return *by_argument, None if frozen else _sum_over_cells(row, position, upstream, grid.cells(arity))

    return backward


@lru_cache(maxsize=32)
def _tensorflow_look_up(grid: Interpolation, arity: int, frozen: bool, apart: bool = False) -> Function:
    """Return the look-up with a custom gradient, both compiled by XLA."""
    import tensorflow as tf

    forward, gradients = compiled_look_up(grid, arity, apart), _differentiable_gradients(grid, arity, frozen, apart)

    def differentiable(*inputs: Tensor) -> tuple[Tensor, Function]:
        def gradient(upstream: Tensor) -> Sequence[Tensor | None]:
            # The gradient of the gradient needs tensors of the graph that it is traced into: the identities.
            return gradients(*map(tf.identity, inputs), upstream)

        return forward(*inputs), gradient

    return with_gradient(differentiable, _signature(grid, arity, apart))


@lru_cache(maxsize=32)
def _differentiable_gradients(grid: Interpolation, arity: int, frozen: bool, apart: bool) -> Function:
    """Return the look-up's gradients with respect to arguments and table, which can be differentiated again.

    Second gradients come from portable operations, since packed pairs have none, and are traced only on demand, so
    first gradients cost nothing extra. The gradients have the arguments' shapes and `(cells, 2 ** arity)`; the table's
    is None if phi is frozen.
    """
    import tensorflow as tf

    compiled = compiled_gradients(grid, arity, frozen, apart)

    def looked_up(*inputs: Tensor) -> Tensor:
        *arguments, cells = inputs
        return look_up(arguments if apart else arguments[0], cells, grid)

    @tf.custom_gradient
    def gradients(*inputs: Tensor) -> tuple[tuple[Tensor, ...], Function]:
        *by_argument, by_cell = compiled(*inputs)
        if not apart:
            by_argument = [one[:, None] if arity == 1 else tf.bitcast(one, tf.float32) for one in by_argument]

        def second(*upstreams: Tensor) -> Sequence[Tensor | None]:
            return second_gradients(looked_up, inputs, upstreams)

        return (tuple(by_argument) if frozen else (*by_argument, by_cell)), second

    return lambda *inputs: (*gradients(*inputs), None) if frozen else gradients(*inputs)


def second_gradients(
    function: Function, inputs: Sequence[Tensor], upstreams: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Return the gradients of a function's gradients.

    Args:
        function: Function of arguments and cells that TensorFlow can differentiate twice.
        inputs: Arguments, cells, and the upstream gradient of the first gradients.
        upstreams: Gradients that flow into the first gradients: into those of the arguments and, if there is one, the
            cells'.

    Returns:
        Gradients with respect to the inputs, dense because forward-mode differentiation does not support sparse ones.
    """
    import tensorflow as tf

    def dense(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        return [None if one is None else tf.convert_to_tensor(one) for one in gradients]

    *first_inputs, upstream = inputs
    if not tf.executing_eagerly():  # forward-mode differentiation traces this, and no tape records there
        values = function(*first_inputs)
        gradients = tf.gradients(values, first_inputs[: len(upstreams)], grad_ys=upstream)
        return dense(tf.gradients(dense(gradients), inputs, grad_ys=list(upstreams)))
    with tf.GradientTape() as second:
        second.watch(inputs)
        with tf.GradientTape() as first:
            first.watch(first_inputs)
            values = function(*first_inputs)
        gradients = first.gradient(values, first_inputs[: len(upstreams)], output_gradients=upstream)
        dense_gradients = dense(gradients)
    return dense(second.gradient(dense_gradients, inputs, output_gradients=list(upstreams)))


def _sum_over_cells(row: Tensor, position: list[Tensor], upstream: Tensor, cells: int) -> Tensor:
    """Return the gradient with respect to the cells' coefficients, `(cells, 2 ** arity)`.

    Two sums are computed as one of complex numbers, which XLA does faster on a CPU.
    """
    import tensorflow as tf

    f1, *f2 = position
    factors = [upstream, *(upstream * f for f in f2)]
    if on_gpu():
        added = tf.stack([part for factor in factors for part in (factor, factor * f1)], axis=-1)
        copies = tf.math.unsorted_segment_sum(added, in_private_copies(row, cells), COPIES * cells)
        return tf.reduce_sum(tf.reshape(copies, (COPIES, cells, -1)), axis=0)
    pairs = [tf.complex(factor, factor * f1) for factor in factors]
    sums = [tf.math.unsorted_segment_sum(pair, row, cells) for pair in pairs]
    return tf.stack([take(one) for one in sums for take in (tf.math.real, tf.math.imag)], axis=-1)


def _pack(first: Tensor, second: Tensor) -> Tensor:
    """Pack pairs of float32 into 64-bit integers, which read as float32 are the pairs in order.

    XLA writes such a vector three times faster than the array of pairs.
    """
    import tensorflow as tf

    low, high = (tf.cast(tf.bitcast(part, tf.uint32), tf.uint64) for part in (first, second))
    return tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(high, tf.constant(32, tf.uint64)))
