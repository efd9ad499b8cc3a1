"""When TensorFlow may compile part of a model with XLA, and custom gradients that do not leak memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import keras

from keras_twoarg.utils.keras_internals import is_tracing_a_step
from keras_twoarg.utils.types import Function, Tensor

_promised: ContextVar[bool] = ContextVar("_promised", default=False)
_whole: ContextVar[bool] = ContextVar("_whole", default=False)


def may_compile(training: object) -> bool:
    """Return whether the current call runs on TensorFlow, in code that will not be exported.

    When in doubt it returns False, which only costs time. A call with `training=True` is taken for a training step: an
    exported function of one's own that makes such calls needs a runtime with XLA.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    return bool(training) or _promised.get() or is_tracing_a_step()


@contextmanager
def not_for_export() -> Iterator[None]:
    """Promise that nothing traced within will be exported."""
    token = _promised.set(True)
    try:
        yield
    finally:
        _promised.reset(token)


@contextmanager
def compiled_as_a_whole() -> Iterator[None]:
    """Declare that everything traced within is part of one function that XLA compiles, for inference only.

    Nothing in it is then compiled separately, and layers use the operations that XLA fuses best.
    """
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def is_compiled_as_a_whole() -> bool:
    """Return whether the current call is part of one function that XLA compiles."""
    return _whole.get()


def is_eager_tensorflow() -> bool:
    """Return whether TensorFlow runs operation by operation, and no later size is known."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.executing_eagerly())


def with_gradient(function: Function, signature: Sequence[object] | None = None) -> Function:
    """Return a TensorFlow function with a custom gradient, traced once per signature.

    TensorFlow keeps every traced custom gradient, and the graph that it was traced into, until the process ends. Here
    that graph is the function's own, whichever models call it; otherwise every model ever trained would stay in memory.

    Args:
        function: As for `tf.custom_gradient`.
        signature: As `input_signature` of `tf.function`. Defaults to `None`: traced as calls require.
    """
    import tensorflow as tf

    retracing = {} if signature else {"reduce_retracing": True}
    return tf.function(tf.custom_gradient(function), input_signature=signature, autograph=False, **retracing)


def at_few_lengths(function: Function, *vectors: Tensor) -> Tensor:
    """Apply a compiled function of vectors `(N, ...)` where N varies, as with sequences; returns `(N,)`.

    XLA compiles anew for every N, which takes longer than a step. So N is rounded up to eighths of a power of two, and
    the rest filled with zeros.
    """
    import tensorflow as tf

    number = tf.shape(vectors[0])[0]
    octave = tf.cast(tf.math.log(tf.cast(tf.maximum(number, 1), tf.float64)) / math.log(2), tf.int32)
    more = -number % tf.bitwise.left_shift(1, tf.maximum(octave - 3, 0))
    padded = (tf.pad(vector, [[0, more], *[[0, 0]] * (len(vector.shape) - 1)]) for vector in vectors)
    return function(*padded)[:number]
