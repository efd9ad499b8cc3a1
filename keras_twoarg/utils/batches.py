"""Batches of arrays for `fit` and `evaluate` that do not make TensorFlow wait at the end of an epoch.

The pipeline that `fit` makes of arrays tunes itself: a tf.data thread checks it after 10 ms, and then at doubling
intervals. At the end of an epoch TensorFlow waits for the next check, which may take as long as the epoch did.
"""

from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_twoarg.utils.types import Arrays, Config, Tensor

if TYPE_CHECKING:
    import tensorflow as tf


def for_fit(
    x: Arrays, y: Arrays, batch_size: int, shuffle: bool = False, sample_weight: Arrays | None = None
) -> Config:
    """Return the keyword arguments for `fit`.

    Args:
        x: Inputs, one array or several.
        y: Targets, likewise.
        batch_size: Samples per step.
        shuffle: Whether to reshuffle the samples for each epoch. Defaults to `False`.
        sample_weight: A weight for each sample. Defaults to `None`.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> model.compile(loss="mse")
        >>> history = model.fit(**for_fit(np.zeros((8, 28, 28, 1)), np.zeros((8, 10)), batch_size=4), verbose=0)
    """
    if keras.backend.backend() == "tensorflow":
        return {"x": _batches(_parts(x, y, sample_weight), batch_size, shuffle), "shuffle": False}
    return {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size, "shuffle": shuffle}


def for_evaluate(x: Arrays, y: Arrays, batch_size: int) -> Config:
    """Return the keyword arguments for `evaluate`; the arguments are those of `for_fit`."""
    if keras.backend.backend() == "tensorflow":
        return {"x": _batches((x, y), batch_size, shuffle=False)}
    return {"x": x, "y": y, "batch_size": batch_size}


def for_validation(x: Arrays, y: Arrays, batch_size: int, sample_weight: Arrays | None = None) -> object:
    """Return `validation_data` for `fit`; the arguments are those of `for_fit`."""
    parts = _parts(x, y, sample_weight)
    return _batches(parts, batch_size, shuffle=False) if keras.backend.backend() == "tensorflow" else parts


def number_of(samples: Arrays) -> int:
    """Return how many samples there are."""
    return len(keras.tree.flatten(samples)[0])


def taken(samples: Arrays, rows: slice | np.ndarray) -> Arrays:
    """Return some of the samples."""
    return keras.tree.map_structure(lambda array: array[rows], samples)


def _parts(x: Arrays, y: Arrays, sample_weight: Arrays | None) -> tuple[Arrays, ...]:
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def _batches(parts: tuple[Arrays, ...], batch_size: int, shuffle: bool) -> "tf.data.Dataset":
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    with tf.device("cpu:0"):
        # Arrays in the pipeline, not captured by the function that takes rows, which is freed only by Python's cycle
        # collector.
        whole = tf.data.Dataset.from_tensors(keras.tree.map_structure(_tensor, parts)).repeat()
        number = number_of(parts)
        rows = tf.data.Dataset.range(number)
        rows = (rows.shuffle(number) if shuffle else rows).batch(batch_size)
        # Not converted by AutoGraph, which would write code into the temporary folder and leave it there if killed.
        take = tf.autograph.experimental.do_not_convert(_take)
        return tf.data.Dataset.zip((rows, whole)).map(take).prefetch(2).with_options(options)


def _take(rows: Tensor, arrays: Arrays) -> Arrays:
    import tensorflow as tf

    return keras.tree.map_structure(lambda array: tf.gather(array, rows), arrays)


def _tensor(array: np.ndarray) -> Tensor:
    """Convert as Keras does: floats become `keras.config.floatx()`."""
    return keras.ops.convert_to_tensor(array, keras.config.floatx() if array.dtype.kind == "f" else None)
