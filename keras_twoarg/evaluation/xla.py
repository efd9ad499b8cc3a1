"""When TensorFlow may compile a part of a model with XLA: never in a graph that could be exported."""

from typing import Any

import keras


def may_compile(training: Any) -> bool:
    """Return whether what is being called now runs under TensorFlow, and in a graph that no export will contain."""
    return keras.backend.backend() == "tensorflow" and (bool(training) or _in_a_step_of_keras())


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
