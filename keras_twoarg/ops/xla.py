"""What TensorFlow needs to be told: when it may compile a part of a model with XLA, and how it forgets gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import keras

from keras_twoarg.utils.keras_internals import is_tracing_a_step
from keras_twoarg.utils.types import Function

_promised: ContextVar[bool] = ContextVar("_promised", default=False)
_whole: ContextVar[bool] = ContextVar("_whole", default=False)


def may_compile(training: object) -> bool:
    """Return whether what is being called now runs under TensorFlow, and in a graph that no export will contain.

    In doubt the answer is no, which costs time and nothing else.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    return bool(training) or _promised.get() or is_tracing_a_step()


@contextmanager
def not_for_export() -> Iterator[None]:
    """Promise that nothing which is traced within will be exported."""
    token = _promised.set(True)
    try:
        yield
    finally:
        _promised.reset(token)


@contextmanager
def compiled_as_a_whole() -> Iterator[None]:
    """Say that what is traced within is part of one function that XLA compiles, for inference alone.

    Then nothing in it is compiled by itself, and layers compute with what XLA fuses best.
    """
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def is_compiled_as_a_whole() -> bool:
    """Return whether what is being called now is part of one function that XLA compiles."""
    return _whole.get()


def with_gradient(function: Function, signature: Sequence[object] | None = None) -> Function:
    """Return a TensorFlow function with a gradient of its own, traced once for each signature.

    TensorFlow keeps every custom gradient that is traced, and the graph it was traced into, until the process ends.
    Here that is a graph of the function alone, whatever models call it; otherwise each model that was ever trained
    would stay in memory.

    Args:
        function: As for `tf.custom_gradient`.
        signature: As `input_signature` of `tf.function`. Defaults to what the calls ask for.
    """
    import tensorflow as tf

    retracing = {} if signature else {"reduce_retracing": True}
    return tf.function(tf.custom_gradient(function), input_signature=signature, autograph=False, **retracing)
