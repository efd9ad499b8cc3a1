"""Every private name of Keras that the package uses, each behind a function that says what it is for."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras


class Producer(NamedTuple):
    """What computed a symbolic tensor.

    Attributes:
        operation: The layer or operation.
        call: Which of its calls, counted from 0.
        inputs: The symbolic tensors that this call was given.
    """

    operation: Any
    call: int
    inputs: list[Any]


def producer(tensor: Any) -> Producer | None:
    """Return what computed a symbolic tensor, or None for any other value."""
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    node = history.operation._inbound_nodes[history.node_index]
    return Producer(history.operation, history.node_index, node.input_tensors)


def calling_layers() -> list[Any]:
    """Return the layers whose `call` is being run, the outermost first."""
    from keras.src.backend.common import global_state

    callers = [scope.caller for scope in global_state.get_global_attribute("name_scope_stack") or ()]
    return [caller for caller in callers if isinstance(caller, keras.layers.Layer)]


def outermost_scope() -> Any:
    """Return an object that lives as long as the outermost layer is being called, or None outside of any layer."""
    from keras.src.backend.common import global_state

    stack = global_state.get_global_attribute("name_scope_stack")
    return stack[0] if stack else None


def flatten_layers(model: Any) -> list[Any]:
    """Return a model or layer and all layers within it, each once."""
    return list(model._flatten_layers())


def is_rematerialized(layer: Any) -> bool:
    """Return whether the layer was made in a `keras.RematScope`: its forward pass is then run again for gradients."""
    return getattr(layer, "_remat_mode", None) is not None


def stateless_values() -> list[Any] | None:
    """Return the values that stand for variables in the current `keras.StatelessScope`, or None outside of one."""
    scope = stateless_scope()
    return None if scope is None else list(scope.state_mapping.values())


def stateless_scope() -> Any:
    """Return the current `keras.StatelessScope`, or None."""
    from keras.src.backend.common.stateless_scope import get_stateless_scope

    return get_stateless_scope()


def uncast_values(variables: Iterable[Any]) -> list[Any]:
    """Return the values of variables in their own dtype, whatever a layer with mixed precision casts them to."""
    from keras.src.backend.common.variables import AutocastScope

    with AutocastScope(None):
        return [variable.value for variable in variables]


def is_tracing_a_step() -> bool:
    """Return whether Keras traces a step of `fit`, `evaluate` or `predict` on TensorFlow.

    In doubt the answer is no.
    """
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", "").startswith(("one_step_on_data", "multi_step_on_data")):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def trace_anew(model: Any) -> None:
    """Have `fit`, `evaluate` and `predict` of a model traced anew, and nothing else of the process."""
    model.train_function = model.test_function = model.predict_function = None
    if keras.backend.backend() == "jax":
        import jax

        # JAX knows a trace by the method, and would use it again as long as anything refers to it.
        for step in (model.train_step, model.test_step):
            jax.jit(step).clear_cache()


def models_with(layers: Iterable[Any]) -> list[Any]:
    """Return all models of the process that hold one of the layers: Keras has no way from a layer to its models."""
    wanted = {id(layer) for layer in layers}
    models = [thing for thing in gc.get_objects() if issubclass(type(thing), keras.Model)]
    return [model for model in models if not wanted.isdisjoint(map(id, flatten_layers(model)))]


@contextmanager
def replaced_call(layer: Any, call: Any) -> Iterator[None]:
    """Run another function in place of a layer's `call`, whose attribute Keras would track if it were set."""
    layer.__dict__["call"] = call
    try:
        yield
    finally:
        del layer.__dict__["call"]


def has_named_outputs(model: Any) -> bool:
    """Return whether a functional model's outputs are a dict."""
    return isinstance(getattr(model, "_outputs_struct", None), dict)


def was_called(layer: Any) -> bool:
    """Return whether a layer has been called, with tensors or symbolically; in doubt yes."""
    return bool(getattr(layer, "_called", True))
