"""Batches of arrays for `fit` and `evaluate`, for which TensorFlow does not wait at the end.

What `fit` makes of arrays tunes itself: a thread of tf.data looks after 10 ms, and then after twice as long each
time. At the end of an epoch TensorFlow waits until it has looked once more, which may take as long as the epoch took.
"""

from typing import Any

import keras
import numpy as np

Arrays = Any
"""An array, or lists, tuples or dicts of arrays."""


def for_fit(x: Arrays, y: Arrays, batch_size: int, shuffle: bool = False) -> dict[str, Any]:
    """Return what `fit` is to be called with.

    Args:
        x: Inputs, one array or several.
        y: Targets, likewise.
        batch_size: Samples for each step.
        shuffle: Whether each epoch has an order of its own. Defaults to `False`.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> model.compile(loss="mse")
        >>> history = model.fit(**for_fit(np.zeros((8, 28, 28, 1)), np.zeros((8, 10)), batch_size=4), verbose=0)
    """
    if keras.backend.backend() == "tensorflow":
        return {"x": _batches(x, y, batch_size, shuffle), "shuffle": False}
    return {"x": x, "y": y, "batch_size": batch_size, "shuffle": shuffle}


def for_evaluate(x: Arrays, y: Arrays, batch_size: int) -> dict[str, Any]:
    """Return what `evaluate` is to be called with, from the arguments of `for_fit`."""
    if keras.backend.backend() == "tensorflow":
        return {"x": _batches(x, y, batch_size, shuffle=False)}
    return {"x": x, "y": y, "batch_size": batch_size}


def for_validation(x: Arrays, y: Arrays, batch_size: int) -> Any:
    """Return what `fit` takes as `validation_data`, from the arguments of `for_fit`."""
    return _batches(x, y, batch_size, shuffle=False) if keras.backend.backend() == "tensorflow" else (x, y)


def _batches(x: Arrays, y: Arrays, batch_size: int, shuffle: bool) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    with tf.device("cpu:0"):
        # In the pipeline, not in the function that takes rows: that is freed when Python next looks for cycles.
        whole = tf.data.Dataset.from_tensors(keras.tree.map_structure(_tensor, (x, y))).repeat()
        number = len(keras.tree.flatten(y)[0])
        rows = tf.data.Dataset.range(number)
        rows = (rows.shuffle(number) if shuffle else rows).batch(batch_size)
        # Not converted: TensorFlow would write code into the temporary folder, and leave it there when it is killed.
        take = tf.autograph.experimental.do_not_convert(_take)
        return tf.data.Dataset.zip((rows, whole)).map(take).prefetch(2).with_options(options)


def _take(rows: Any, arrays: Any) -> Any:
    import tensorflow as tf

    return keras.tree.map_structure(lambda array: tf.gather(array, rows), arrays)


def _tensor(array: np.ndarray) -> Any:
    """Convert as Keras does: numbers that are not whole become its own float type."""
    return keras.ops.convert_to_tensor(array, keras.config.floatx() if array.dtype.kind == "f" else None)
