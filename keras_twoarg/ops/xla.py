"""When TensorFlow may compile a part of a model with XLA: never in a graph that could be exported."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

_promised: ContextVar[bool] = ContextVar("_promised", default=False)


def may_compile(training: Any) -> bool:
    """Return whether what is being called now runs under TensorFlow, and in a graph that no export will contain."""
    if keras.backend.backend() != "tensorflow":
        return False
    return bool(training) or _promised.get() or _in_a_step_of_keras()


@contextmanager
def not_for_export() -> Iterator[None]:
    """Promise that nothing which is traced within will be exported."""
    token = _promised.set(True)
    try:
        yield
    finally:
        _promised.reset(token)


def _in_a_step_of_keras() -> bool:
    """Return whether Keras traces a step of `fit`, `evaluate` or `predict`.

    In doubt the answer is no, which costs time and nothing else.
    """
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", "").startswith(("one_step_on_data", "multi_step_on_data")):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False
