"""Where a model can be converted: its activations, what feeds each one, and why some are left as they are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import keras
import numpy as np

from keras_twoarg.models.conversion import activations
from keras_twoarg.models.conversion.activations import APART, DEPTHWISE, LINEAR, Activation
from keras_twoarg.models.conversion.destinations import gives_output, is_multiplied
from keras_twoarg.models.conversion.graph import Call, Wiring, is_graph
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Function, Model

_BETWEEN = (
    *APART,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
)
OUTPUT = "it gives the model's output; name it in `where` to convert it"
ARITHMETIC = "it may be mere arithmetic; if it is an activation, put it into a keras.layers.Activation"
GATE = "it is a gate, multiplied with another tensor; name it in `where` to convert it"


@dataclass(eq=False)
class Place:
    """An activation of a model.

    Attributes:
        name: Name of the layer or operation, with those of the models that it is nested in: `"encoder/relu"`.
        activation: What it does to each value.
        operation: The layer or operation itself; the linear layer, if the activation is its `activation=`.
        calls: Its calls. All calls of a linear layer with an activation of its own make one place.
        path: For each call, the calls that lead to it, from the linear layer on.
        reason: Why it is not converted; empty if it is.
        by_choice: Whether naming it in `where` would convert it.
    """

    name: str
    activation: Activation
    operation: keras.Operation
    calls: list[Call] = field(default_factory=list)
    path: list[tuple[Call, ...]] = field(default_factory=list)
    reason: str = ""
    by_choice: bool = False

    @property
    def label(self) -> str:
        """The activation's name."""
        return self.activation.label

    @property
    def policy(self) -> keras.DTypePolicy:
        """The dtype policy of the activation: its layer's, or that of the linear layer in front."""
        layer = self.operation if isinstance(self.operation, keras.layers.Layer) else self.path[0][0].operation
        return layer.dtype_policy

    @property
    def is_own(self) -> bool:
        """Whether it is a linear layer's own activation."""
        return activations.is_linear(self.operation, LINEAR + DEPTHWISE)


def find_places(model: Model, where: str | Sequence[str] | None, any_function: bool) -> list[Place]:
    """Return every activation of a model, with the reason why it is left or none.

    Args:
        model: A Sequential or functional model.
        where: As in `convert`.
        any_function: Whether any activation that acts on each unit separately can be converted, whatever it computes.

    Raises:
        ValueError: If `where` matches nothing.
    """
    finder = _Finder(model, where, any_function)
    finder.search(model, "")
    if where is not None and not finder.matched:
        raise ValueError(
            f"`where` matches no activation of the model {model.name!r}. Received: where={where!r}. "
            f"There are: {', '.join(place.name for place in finder.places) or 'none'}"
        )
    return finder.places


class _Finder:
    """Goes through a model and the models nested in it."""

    def __init__(self, model: Model, where: str | Sequence[str] | None, any_function: bool) -> None:
        self.places: list[Place] = []
        self.matched = False
        self._outputs, self._multiplied = gives_output(model), is_multiplied(model)
        self._patterns = [where] if isinstance(where, str) else where
        self._any_function = any_function
        self._own: dict[int, Place] = {}
        self._searched: set[int] = set()
        self._names: set[str] = set()

    def search(self, model: Model, prefix: str) -> None:
        """Add the places of one graph."""
        if id(model) in self._searched:
            return
        self._searched.add(id(model))
        wiring = Wiring(model)
        self._names |= {prefix + call.operation.name for call in wiring.calls}
        for call in wiring.calls:
            operation = call.operation
            if is_graph(operation):
                self.search(operation, f"{prefix}{operation.name}/")
            elif activations.is_activation(operation):
                self._activation(call, wiring, prefix)
            elif isinstance(operation, LINEAR + DEPTHWISE) and (own := activations.own_activation(operation)):
                if reason := activations.held_by_class(operation):
                    self._leave(call, prefix, _name(own), reason)
                else:
                    self._activation(call, wiring, prefix)
            elif activations.is_arithmetic(operation) and len(call.inputs) == 1:
                if not isinstance(_path(call, wiring), str):
                    self._leave(call, prefix, _rough_label(operation), ARITHMETIC)
            elif held := _held_activations(operation):
                self._leave(call, prefix, held, _inside(operation))

    def _leave(self, call: Call, prefix: str, label: str, reason: str) -> None:
        operation = call.operation
        self._add(Place(prefix + operation.name, Activation(label, None), operation, reason=reason))

    def _activation(self, call: Call, wiring: Wiring, prefix: str) -> None:
        place = self._place(call, prefix)
        if place.reason and not place.by_choice:
            return
        path = _path(call, wiring)
        if isinstance(path, str):
            place.reason, place.by_choice = path, False
            return
        place.calls.append(call)
        place.path.append(path)
        if not place.reason and not self._named(place):
            place.reason = self._reason_to_leave(place, call)
            place.by_choice = bool(place.reason)

    def _place(self, call: Call, prefix: str) -> Place:
        """Return the place that a call belongs to: a new one, unless it is a linear layer's further call."""
        operation = call.operation
        if id(operation) in self._own:
            return self._own[id(operation)]
        name = prefix + operation.name
        if any(place.operation is operation for place in self.places):
            name = next(other for number in count(2) if (other := f"{name}_{number}") not in self._names)
            self._names.add(name)
        place = Place(name, Activation("", None), operation)
        self._add(place)
        if place.is_own:
            self._own[id(operation)] = place
        if not place.reason:  # what `where` leaves out need not be known
            place.activation = activations.activation_of(operation, call.outputs[0].shape)
            prelu = isinstance(operation, keras.layers.PReLU) and self._any_function
            if place.activation.function is None and not prelu:
                place.reason = place.activation.reason
        return place

    def _add(self, place: Place) -> None:
        self.places.append(place)
        if self._patterns is not None:
            if self._named(place):
                self.matched = True
            else:
                place.reason = place.reason or "`where` leaves it out"
                place.activation = Activation(place.label or _rough_label(place.operation), None)

    def _named(self, place: Place) -> bool:
        return any(re.fullmatch(pattern, place.name) for pattern in self._patterns or ())

    def _reason_to_leave(self, place: Place, call: Call) -> str:
        if any(id(tensor) in self._outputs for tensor in call.outputs):
            return OUTPUT
        function = place.activation.function
        bounded = function is not None and np.abs(function(np.linspace(-20, 20, 81))).max() <= 1.01
        return GATE if bounded and any(id(tensor) in self._multiplied for tensor in call.outputs) else ""


def _path(call: Call, wiring: Wiring) -> tuple[Call, ...] | str:
    """Return the calls from a linear layer up to an activation, or the reason why it has none in front."""
    if activations.is_linear(call.operation, LINEAR + DEPTHWISE):
        return _quantized(call.operation) or (call,)
    between: list[Call] = []
    depthwise: tuple[Call, ...] | None = None  # where the path begins if nothing better is further up
    tensor = call.inputs[0]
    while True:
        maker = wiring.maker(tensor)
        operation = maker.operation
        own = activations.own_activation(operation)
        if activations.is_linear(operation) and own is None:
            return _quantized(operation) or (maker, *reversed(between))
        if activations.is_linear(operation, DEPTHWISE) and own is None:
            depthwise = (maker, *reversed(between))
        elif not isinstance(operation, _BETWEEN) or len(maker.data) != 1:
            return depthwise or f"its values come from {_describe(maker)}, not from one linear layer"
        between.append(maker)
        tensor = maker.inputs[0]


def _describe(call: Call) -> str:
    name = call.operation.name
    if call.is_input:
        return "the model's input"
    if is_graph(call.operation):
        return f"the model {name!r}"
    if len(call.data) > 1:
        return f"{name!r}, which several layers feed"
    if activations.is_activation(call.operation) or activations.own_activation(call.operation) is not None:
        return f"the activation of {name!r}"
    return f"{type(call.operation).__name__} {name!r}"


def _quantized(layer: keras.layers.Layer) -> str:
    mode = getattr(layer, "quantization_mode", None)
    return f"{layer.name!r} is quantized ({mode}); convert the model before quantizing it" if mode else ""


def _held_activations(operation: keras.Operation) -> str:
    """Return the names of the activations inside a layer, where they cannot be replaced."""
    if not isinstance(operation, keras.layers.Layer) or isinstance(operation, keras.layers.InputLayer):
        return ""
    names = []
    own = {id(part) for layer in flatten_layers(operation) if _is_ours(layer) for part in flatten_layers(layer)}
    for layer in (layer for layer in flatten_layers(operation) if id(layer) not in own):
        held = [getattr(layer, name, None) for name in ("activation", "recurrent_activation")]
        if layer is not operation and not isinstance(layer, keras.layers.Softmax):
            held += [layer] if activations.is_activation(layer) and not held[0] else []
        names += [_name(one) for one in held if one not in (None, keras.activations.linear, keras.activations.softmax)]
    return ", ".join(dict.fromkeys(names))


def _is_ours(layer: keras.Operation) -> bool:
    """Tell whether a layer is one of this package, whose inner network holds no activation to convert."""
    return type(layer).__module__.startswith("keras_twoarg.")


def _name(activation: Function) -> str:
    if isinstance(activation, keras.layers.Layer):
        return _rough_label(activation)
    return activations.name_of(activation)


def _rough_label(operation: keras.Operation) -> str:
    own = activations.own_activation(operation)
    return _name(own) if own is not None else type(operation).__name__.lower()


def _inside(operation: keras.Operation) -> str:
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.LSTM | keras.layers.GRU | keras.layers.SimpleRNN):
        return f"the gates inside {kind} sum several projections; use RNN(TwoArgRNNCell(units))"
    if isinstance(operation, keras.layers.Bidirectional):
        return f"the gates inside {kind} sum several projections; use Bidirectional(RNN(TwoArgRNNCell(units)))"
    if isinstance(operation, keras.layers.RNN) or hasattr(operation, "cell"):
        return f"the gates inside {kind} sum several projections"
    if isinstance(operation, keras.layers.Wrapper):
        return f"it lies inside {kind}; use the layer without the wrapper where that computes the same"
    return f"it lies inside a layer of class {kind}, rebuilt as a whole; if the class is yours, use TwoArgDense in it"
