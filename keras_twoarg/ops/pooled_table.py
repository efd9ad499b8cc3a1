"""Look-up and max-pooling as one: gradients are computed only for the largest output of each window.

After max-pooling over 2 x 2, three of four outputs have a gradient of zero. The forward pass records which output of a
window was the largest (the first among equals, as in TensorFlow's max-pooling); the backward pass computes slopes and
sums over cells for these only, and scatters the slopes.

On TensorFlow, XLA compiles each step separately: in one piece it would repeat the look-up wherever a value is used. On
torch all tuples are looked up without gradients, and the largest again with gradients. JAX gains from neither.
"""

from collections.abc import Callable
from functools import cache, lru_cache, partial

import keras
from keras import ops

from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.look_up import look_up
from keras_twoarg.ops.table import compiled_gradients, compiled_look_up, fastest_look_up, second_gradients
from keras_twoarg.ops.windows import Size, entries, is_larger, max_pool
from keras_twoarg.ops.xla import with_gradient
from keras_twoarg.utils.types import Function, Tensor

BACKENDS = ("tensorflow", "torch")
"""Backends on which this is faster."""


def evaluate(tuples: Tensor, cells: Tensor, grid: Interpolation, size: Size, frozen: bool) -> Tensor:
    """Look up argument tuples in a table of phi, and take the largest output of each window.

    Args:
        tuples: Tensor of shape `(batch, height, width, units, arity)`, in float32, with known height and width.
        cells: The table, as from `table.make_table`.
        grid: Its nodes.
        size: Rows and columns of a window.
        frozen: Whether no gradient with respect to the table is wanted.

    Returns:
        A tensor of shape `(batch, height // rows, width // columns, units)`.
    """
    if keras.backend.backend() == "torch":
        return _look_up_the_largest(tuples, cells, grid, size)
    return _differentiable(grid, size, frozen, tuple(tuples.shape[1:]))(tuples, cells)


def _look_up_the_largest(tuples: Tensor, cells: Tensor, grid: Interpolation, size: Size) -> Tensor:
    def looked_up(tuples: Tensor, cells: Tensor) -> Tensor:
        flat = fastest_look_up(ops.reshape(tuples, (-1, tuples.shape[-1])), cells, grid)
        return ops.reshape(flat, (-1, *tuples.shape[1:-1]))

    values = entries(looked_up(ops.stop_gradient(tuples), ops.stop_gradient(cells)), size)
    best, *others = values
    won, *candidates = entries(tuples, size)
    for value, candidate in zip(others, candidates, strict=True):
        larger = is_larger(value, best)
        best = ops.where(larger, value, best)
        won = ops.where(larger[..., None], candidate, won)
    return looked_up(won, cells)


@lru_cache(maxsize=128)
def _differentiable(
    grid: Interpolation, size: Size, frozen: bool, shape: tuple[int, int, int, int]
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function of tuples `(batch, *shape)` and cells, with a custom gradient."""
    import tensorflow as tf

    height, width, units, arity = shape
    compiled = compiled_look_up(grid, arity)

    def pooled(tuples: Tensor, cells: Tensor) -> tuple[Tensor, Function]:
        flat = compiled(tf.reshape(tuples, (-1, arity)), cells)
        best, which = _largest(size)(tf.reshape(flat, (-1, height, width, units)))
        gradients = _gradients(grid, size, frozen, shape)
        # The gradient of the gradient needs tensors of the graph that it is traced into: the identities.
        return best, lambda upstream: gradients(tf.identity(tuples), tf.identity(cells), which, upstream)

    signature = [tf.TensorSpec([None, *shape]), tf.TensorSpec([grid.cells(arity), 2**arity])]
    return with_gradient(pooled, signature)


def _gradients(grid: Interpolation, size: Size, frozen: bool, shape: tuple[int, int, int, int]) -> Function:
    """Return the gradients with respect to tuples and cells; their own gradients are those of portable operations."""
    import tensorflow as tf

    height, width, _, arity = shape
    rest, packed = (height % size[0], width % size[1]), compiled_gradients(grid, arity, frozen)

    @tf.custom_gradient
    def gradients(
        tuples: Tensor, cells: Tensor, which: Tensor, upstream: Tensor
    ) -> tuple[tuple[Tensor, ...], Function]:
        words = tuples[..., 0] if arity == 1 else tf.bitcast(tuples, tf.uint64)  # one per unit
        won = _chosen(size)(words, which)
        pairs = won[..., None] if arity == 1 else tf.bitcast(won, tf.float32)
        slopes, by_cell = packed(tf.reshape(pairs, (-1, arity)), cells, tf.reshape(upstream, (-1,)))
        spread = _spread(size, rest)(tf.reshape(slopes, tf.shape(upstream)), which)
        by_tuple = spread[..., None] if arity == 1 else tf.bitcast(spread, tf.float32)

        def second(*upstreams: Tensor) -> tuple[Tensor | None, ...]:
            one_by_one = partial(_one_by_one, grid, size)
            by_tuple, by_cell, by_upstream = second_gradients(one_by_one, (tuples, cells, upstream), upstreams)
            return by_tuple, by_cell, None, by_upstream

        return ((by_tuple,) if frozen else (by_tuple, by_cell)), second

    return lambda *arguments: (*gradients(*arguments), None) if frozen else gradients(*arguments)


def _one_by_one(grid: Interpolation, size: Size, tuples: Tensor, cells: Tensor) -> Tensor:
    """Look up and pool one after the other, in portable operations."""
    values = look_up(ops.reshape(tuples, (-1, tuples.shape[-1])), cells, grid)
    return max_pool(ops.reshape(values, ops.shape(tuples)[:-1]), size)


@cache
def _largest(size: Size) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that gives each window's largest entry and its index, in one byte if that suffices."""
    import tensorflow as tf

    rows, columns = size
    numbers = tf.uint8 if rows * columns <= 256 else tf.int32

    @tf.function(jit_compile=True, autograph=False)
    def largest(values: Tensor) -> tuple[Tensor, Tensor]:
        each = entries(values, size)
        best = each[0]
        for entry in each[1:]:
            best = tf.maximum(best, entry)
        which = tf.zeros(tf.shape(best), numbers)
        for place, entry in reversed(list(enumerate(each))):
            which = tf.where(entry == best, tf.constant(place, numbers), which)
        return best, which

    return largest


@cache
def _chosen(size: Size) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that gives each window's entry at an index."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def chosen(words: Tensor, which: Tensor) -> Tensor:
        word, *others = entries(words, size)
        for place, entry in enumerate(others, start=1):
            word = tf.where(which == place, entry, word)
        return word

    return chosen


@cache
def _spread(size: Size, rest: Size) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that puts each window's word at an index, and zero elsewhere."""
    import tensorflow as tf

    rows, columns = size

    @tf.function(jit_compile=True, autograph=False)
    def spread(words: Tensor, which: Tensor) -> Tensor:
        _, height, width, units = words.shape
        places = tf.reshape(tf.range(rows * columns), (1, 1, rows, 1, columns, 1))
        there = tf.cast(which, tf.int32)[:, :, None, :, None, :] == places
        spread_words = tf.where(there, words[:, :, None, :, None, :], tf.zeros((), words.dtype))
        spread_words = tf.reshape(spread_words, (-1, height * rows, width * columns, units))
        return tf.pad(spread_words, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0)))

    return spread
