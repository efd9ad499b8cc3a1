"""All private names of Keras and its backends that the package uses, each behind a function that says why."""

import gc
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import count
from typing import Any, NamedTuple, TypeVar

import keras

from keras_twoarg.utils.types import Config, Function, Layer, Model, Tensor, Tensors, Variable

Watched = TypeVar("Watched", bound=keras.layers.Layer)


class Producer(NamedTuple):
    """What computed a symbolic tensor.

    Attributes:
        operation: The layer or operation.
        call: Index of the call.
        inputs: The symbolic tensors passed to the call.
        position: Index of the tensor among the call's outputs.
    """

    operation: keras.Operation
    call: int
    inputs: list[Tensor]
    position: int


def producer(tensor: object) -> Producer | None:
    """Return what computed a symbolic tensor, or None for any other value."""
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    node = history.operation._inbound_nodes[history.node_index]
    return Producer(history.operation, history.node_index, node.input_tensors, history.tensor_index)


def calls_in_order(
    function: keras.Function,
) -> Iterator[
    tuple[keras.Operation, tuple[object, ...], Config, tuple[keras.KerasTensor, ...], tuple[keras.KerasTensor, ...]]
]:
    """Yield all calls in the graph of a `keras.Function`, in topological order.

    Each is a tuple of the layer or operation, its positional arguments, its keyword arguments, the symbolic inputs and
    the symbolic outputs.
    """
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            arguments = node.arguments
            yield node.operation, arguments.args, arguments.kwargs, tuple(node.input_tensors), tuple(node.outputs)


def layers_being_called() -> list[Layer]:
    """Return the layers whose `call` is running, outermost first."""
    from keras.src.backend.common import global_state

    stack = global_state.get_global_attribute("name_scope_stack") or []
    return [scope.caller for scope in stack if isinstance(scope.caller, keras.layers.Layer)]


def call_under_way() -> object:
    """Return an object that lives as long as the outermost layer's call, or None outside any call."""
    from keras.src.backend.common import global_state

    return global_state.get_global_attribute("current_call_ctx")


def applies_activation(layer: Layer, activation: object) -> bool:
    """Return whether a layer is a Keras layer that applies `activation` as its own activation.

    Such layers declare their output width without regard to the activation.
    """
    bases = [base for base in type(layer).__mro__ if base.__module__.startswith("keras.")]
    if not any("activation" in inspect.signature(base).parameters for base in bases):
        return False
    held = (getattr(layer, name, None) for name in ("activation", "recurrent_activation"))
    own_call = next(base for base in type(layer).__mro__ if "call" in vars(base))
    return any(one is activation for one in held) or own_call in bases  # or a function wraps it


def flatten_layers(model: Layer) -> list[Layer]:
    """Return a model or layer and all layers within it, each once, in the order of addition."""
    layers: dict[int, Layer] = {}

    def visit(layer: Layer) -> None:
        if id(layer) not in layers:
            layers[id(layer)] = layer
            for inside in layer._flatten_layers(recursive=False, include_self=False):
                visit(inside)

    visit(model)
    return list(layers.values())


def graph_of(model: Layer) -> Model | None:
    """Return the functional model behind a Sequential model, or None."""
    return getattr(model, "_functional", None)


def live_models() -> list[Model]:
    """Return all fully constructed Keras models of the process, in about a tenth of a second."""
    return [one for one in gc.get_objects() if issubclass(type(one), keras.Model) and hasattr(one, "_tracker")]


def loaded_so_far() -> dict[Any, Any] | None:
    """Return Keras' own dict of the objects loaded so far, by identity, or None unless it is loading a file."""
    from keras.src.backend.common import global_state

    objects: dict[Any, Any] | None = global_state.get_global_attribute("shared_objects/id_to_obj_map")
    return objects


def replace_layer(owner: keras.layers.Layer, name: str, new: Layer) -> None:
    """Set an attribute of a layer to another layer, even if the owner is built and Keras has locked its layers."""
    tracker, locked = owner._tracker, owner._tracker.locked
    tracker.untrack(getattr(owner, name))
    tracker.unlock()
    try:
        keras.layers.Layer.__setattr__(owner, name, new)
    finally:
        tracker.locked = locked
    if keras.backend.backend() == "torch":
        renew_parameters(owner)


def renew_parameters(layer: keras.layers.Layer) -> None:
    """Update torch's `parameters()` and `state_dict()` of a layer, for which Keras collects variables only once."""
    if "_torch_params" in vars(layer).get("_modules", {}):
        layer._track_variables()


def take_own_paths(layer: keras.layers.Layer, taken: Set[str]) -> None:
    """Number the paths of a layer's variables if they are taken: torch's `parameters()` hold one variable per path."""
    own = [variable.path.rpartition("/") for variable in layer.variables]
    numbered = (["".join(path) for path in own] if n == 0 else [f"{a}_{n}/{b}" for a, _, b in own] for n in count())
    for variable, path in zip(
        layer.variables, next(paths for paths in numbered if taken.isdisjoint(paths)), strict=True
    ):
        variable._path = path
    renew_parameters(layer)


def scope_of(model: Model) -> AbstractContextManager[object]:
    """Return the scope of a model's `tf.distribute` strategy, or a context that does nothing."""
    strategy = getattr(model, "distribute_strategy", None)
    return nullcontext() if strategy is None else strategy.scope()


def are_in_scope(model: Model, variables: Iterable[Variable]) -> bool:
    """Return whether variables were created in the scope of the model's `tf.distribute` strategy, if it has one."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy is None or all(strategy.extended.variable_created_in_scope(one.value) for one in variables)


def renew_optimizer(model: Model) -> None:
    """Give a compiled model a fresh optimizer with the same settings, and retrace its steps."""
    from keras.src.utils.tracking import DotNotTrackScope

    if getattr(model, "optimizer", None) is None:
        return
    with scope_of(model), DotNotTrackScope():  # as in `compile`, the optimizer's variables are not the model's
        model.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        if is_fitted_on_jax(model):  # `fit` builds the optimizer only at its start
            model.optimizer.build(model.trainable_variables)
    trace_anew(model)


def is_fitted_on_jax(model: Model) -> bool:
    """Return whether a callback of a model's `fit` is running on JAX, after the first step."""
    return getattr(model, "_jax_state", None) is not None


def fetch_state(model: keras.Model) -> None:
    """Give a model's variables their values, which a running `fit` on JAX keeps elsewhere."""
    if is_fitted_on_jax(model):
        model.jax_state_sync()


def is_rematerialized(layer: Layer) -> bool:
    """Return whether the layer was created in a `keras.RematScope`, so that gradients rerun its forward pass."""
    return getattr(layer, "_remat_mode", None) is not None


def without_casts(layer: keras.layers.Layer) -> Function:
    """Return a function that calls a layer without casting its inputs to the dtype of its policy."""

    def call(inputs: Tensor) -> Tensor:
        before, layer.autocast = layer.autocast, False
        try:
            return layer(inputs)
        finally:
            layer.autocast = before

    return call


def stateless_scope() -> keras.StatelessScope | None:
    """Return the current `keras.StatelessScope`, or None."""
    from keras.src.backend.common.stateless_scope import get_stateless_scope

    return get_stateless_scope()


def uncast_values(variables: Iterable[Variable]) -> list[Tensor]:
    """Return the values of variables in their own dtype, without mixed-precision casts."""
    from keras.src.backend.common.variables import AutocastScope

    with AutocastScope(None):
        return [variable.value for variable in variables]


def is_tracing_a_step(directly: bool = False) -> bool:
    """Return whether Keras is tracing a step of `fit`, `evaluate` or `predict` on TensorFlow.

    When in doubt it returns False, with `directly` also within a `tf.function` that the step calls, whose trace may
    serve other steps.
    """
    import tensorflow as tf

    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", "").startswith(("one_step_on_data", "multi_step_on_data")):
            return True
        if directly and not is_loop_or_branch(graph):
            return False
        graph = getattr(graph, "outer_graph", None)
    return False


def is_loop_or_branch(graph: object) -> bool:
    """Return whether a TensorFlow graph is that of a loop or a branch."""
    return type(graph).__name__.startswith(("While", "Cond"))


def trace_anew(model: Model) -> None:
    """Make a model's `fit`, `evaluate` and `predict` retrace, without affecting the rest of the process."""
    for kind in ("train", "test", "predict"):
        if getattr(model, f"{kind}_function", None) is not None:
            setattr(model, f"{kind}_function", None)
            getattr(model, f"make_{kind}_function")()  # a running `fit` would not, if a callback is what changed phi
    if keras.backend.backend() == "torch":
        for layer in flatten_layers(model):
            renew_parameters(layer)
    if keras.backend.backend() == "jax":
        import jax

        # JAX caches traces by the method, and would reuse them as long as anything refers to it.
        for step in (model.train_step, model.test_step):
            jax.jit(step).clear_cache()


def models_with(layers: Iterable[Layer]) -> list[Model]:
    """Return all models of the process that hold one of the layers; Keras does not link layers to their models."""
    wanted = {id(layer) for layer in layers}
    return [model for model in live_models() if not wanted.isdisjoint(map(id, flatten_layers(model)))]


@contextmanager
def forgotten_calls(layer: keras.layers.Layer) -> Iterator[None]:
    """Forget the symbolic calls of a layer made within, whose graphs would otherwise live as long as the layer."""
    number = len(layer._inbound_nodes)
    try:
        yield
    finally:
        del layer._inbound_nodes[number:]


@contextmanager
def replaced_call(layer: Layer, call: Function) -> Iterator[None]:
    """Replace a layer's `call`, without the tracking of a normal attribute assignment."""
    layer.__dict__["call"] = call
    try:
        yield
    finally:
        del layer.__dict__["call"]


@contextmanager
def watched_calls(layers: Sequence[Watched], watch: Callable[[Watched, Tensors], object]) -> Iterator[None]:
    """Call `watch` with a layer and its inputs before each call of the layers, in a model that runs eagerly."""

    def watched(layer: Watched, call: Function) -> Function:
        def watch_and_call(inputs: Tensors, **kwargs: object) -> Tensor:
            watch(layer, inputs)
            return call(inputs, **kwargs)

        return watch_and_call

    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced_call(layer, watched(layer, layer.call)))
        yield


def has_named_outputs(model: Model) -> bool:
    """Return whether a functional model's outputs are a dict."""
    return isinstance(getattr(model, "_outputs_struct", None), dict)


def input_signature(model: Model) -> list[object]:
    """Return the signature of a model's exported function: structures of `keras.InputSpec`, one per argument."""
    from keras.src.export.export_utils import get_input_signature

    return list(get_input_signature(model))


def was_called(layer: Layer) -> bool:
    """Return whether a layer has been called, with tensors or symbolically; when in doubt True."""
    return bool(getattr(layer, "_called", True))


def torch_is_transforming() -> bool:
    """Return whether a `torch.func` transformation is running; when in doubt False."""
    import torch

    peek = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
    return peek is not None and peek() is not None


def recorders(tensors: list[Tensor]) -> int:
    """Return how many TensorFlow tapes and forward accumulators watch tensors; 2 stands for two or more."""
    try:
        from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes
    except ImportError:
        return 2  # nothing is certain
    return int(PossibleTapeGradientTypes(tensors))


def writes_before(read: Any) -> int:
    """Return how often a TensorFlow graph may write a variable before this operation reads it; when in doubt more."""
    others = (consumer for consumer in read.inputs[0].consumers() if consumer.type != "ReadVariableOp")
    return sum(getattr(other, "_id", 0) < getattr(read, "_id", 1) for other in others)


def trace_state() -> object:
    """Return an identifier of the current JAX trace; if there is none, a unique object."""
    from jax.extend import core

    return getattr(core, "get_opaque_trace_state", object)()


def is_of_trace(value: object, trace: object) -> bool:
    """Return whether a JAX value belongs to a trace, given its state; when in doubt False."""
    own, wanted = getattr(value, "_trace", None), getattr(trace, "_trace_ref", None)
    return own is not None and wanted is not None and own is wanted()


def metric_directions(model: Model) -> dict[str, bool]:
    """Return, by name, which of a compiled model's metrics are better the larger they are, as far as Keras knows."""
    held = [getattr(metric, "metrics", [metric]) for metric in model.metrics]
    ways = {metric.name: getattr(metric, "_direction", None) for metrics in held for metric in metrics}
    return {name: way == "up" for name, way in ways.items() if way in ("up", "down")}


def lambda_arguments(layer: keras.layers.Lambda) -> Config:
    """Return a `Lambda` layer's constructor arguments with the function objects, which Keras' config lacks."""
    held = {"function": layer.function, "output_shape": layer._output_shape, "mask": layer.mask}
    return {**keras.layers.Layer.get_config(layer), **held, "arguments": layer.arguments}
