"""Look-up and max-pooling in one: gradients are computed for the largest output of each window alone. TensorFlow.

Behind a window of 2 x 2 three of four outputs have a gradient of zero. The forward pass remembers which output of a
window was the largest (the first among equals, as TensorFlow's max-pooling does), in one byte; the backward pass finds
slopes and sums over cells for these alone, and spreads the slopes.

Every step is compiled by XLA by itself: in one piece XLA would look up again wherever a value is used.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from keras_twoarg.ops.table import Interpolation, compiled_gradients, compiled_look_up
from keras_twoarg.ops.windows import Size


def evaluate(tuples: Any, cells: Any, grid: Interpolation, size: Size, frozen: bool) -> Any:
    """Look argument tuples up in a table of phi, and take the largest output of each window.

    Args:
        tuples: Tensor of shape `(batch, height, width, units, arity)`, in float32, with known height and width.
        cells: The table, as from `interpolated.make_table`.
        grid: Its nodes.
        size: Rows and columns of a window.
        frozen: Whether no gradient to the table is wanted.

    Returns:
        A tensor of shape `(batch, height // rows, width // columns, units)`.
    """
    import tensorflow as tf

    _, height, width, units, arity = tuples.shape
    rest = (height % size[0], width % size[1])
    look_up, gradients = compiled_look_up(grid, arity), compiled_gradients(grid, arity, frozen)

    @tf.custom_gradient
    def differentiable(tuples: Any, cells: Any) -> Any:
        flat = look_up(tf.reshape(tuples, (-1, arity)), cells)
        best, which = _largest(size)(tf.reshape(flat, (-1, height, width, units)))

        def gradient(upstream: Any) -> Any:
            words = tuples[..., 0] if arity == 1 else tf.bitcast(tuples, tf.uint64)  # one for each unit
            won = _chosen(size)(words, which)
            pairs = won[..., None] if arity == 1 else tf.bitcast(won, tf.float32)
            slopes, by_cell = gradients(tf.reshape(pairs, (-1, arity)), cells, tf.reshape(upstream, (-1,)))
            spread = _spread(size, rest)(tf.reshape(slopes, tf.shape(upstream)), which)
            return spread[..., None] if arity == 1 else tf.bitcast(spread, tf.float32), by_cell

        return best, gradient

    return differentiable(tuples, cells)


@cache
def _largest(size: Size) -> Callable[[Any], Any]:
    """Return a function that gives the largest entry of each window, and its place in it as uint8."""
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def largest(values: Any) -> Any:
        entries = _entries(values, size)
        best = entries[0]
        for entry in entries[1:]:
            best = tf.maximum(best, entry)
        which = tf.zeros(tf.shape(best), tf.uint8)
        for place, entry in reversed(list(enumerate(entries))):
            which = tf.where(entry == best, tf.constant(place, tf.uint8), which)
        return best, which

    return largest


@cache
def _chosen(size: Size) -> Callable[[Any, Any], Any]:
    """Return a function that gives each window's entry at a place."""
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def chosen(words: Any, which: Any) -> Any:
        found, *others = _entries(words, size)
        for place, entry in enumerate(others, start=1):
            found = tf.where(which == place, entry, found)
        return found

    return chosen


@cache
def _spread(size: Size, rest: Size) -> Callable[[Any, Any], Any]:
    """Return a function that puts each window's word at a place, and zero elsewhere."""
    import tensorflow as tf

    rows, columns = size

    @tf.function(jit_compile=True)
    def spread(words: Any, which: Any) -> Any:
        _, height, width, units = words.shape
        places = tf.reshape(tf.range(rows * columns), (1, 1, rows, 1, columns, 1))
        there = tf.cast(which, tf.int32)[:, :, None, :, None, :] == places
        found = tf.where(there, words[:, :, None, :, None, :], tf.zeros((), words.dtype))
        found = tf.reshape(found, (-1, height * rows, width * columns, units))
        return tf.pad(found, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0)))

    return spread


def _entries(values: Any, size: Size) -> list[Any]:
    """Return each place's entry of all windows, row by row."""
    import tensorflow as tf

    rows, columns = size
    _, height, width, units = values.shape
    high, wide = height // rows, width // columns
    windows = tf.reshape(values[:, : high * rows, : wide * columns], (-1, high, rows, wide, columns, units))
    return [windows[:, :, i, :, j] for i in range(rows) for j in range(columns)]
