"""Where a model can be converted: its activations, what feeds each one, and why some are left as they are."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from keras_twoarg.models.conversion import activations
from keras_twoarg.models.conversion.activations import APART, DEPTHWISE, LINEAR, Activation
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
_SHAPING = ("Reshape", "Flatten", "Permute", "RepeatVector", "Identity", "ExpandDims", "Squeeze", "Transpose")
_PRODUCTS = ("Multiply",)
OUTPUT = "it gives the model's output; name it in `where` to convert it"
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
        ValueError: If `where` matches nothing, or it cannot be determined what an activation does.
    """
    finder = _Finder(where, any_function)
    finder.search(model, "", {id(tensor) for tensor in model.outputs})
    if where is not None and not finder.matched:
        raise ValueError(
            f"`where` matches no activation of the model {model.name!r}. Received: where={where!r}. "
            f"There are: {', '.join(place.name for place in finder.places) or 'none'}"
        )
    return finder.places


class _Finder:
    """Goes through a model and the models nested in it."""

    def __init__(self, where: str | Sequence[str] | None, any_function: bool) -> None:
        self.places: list[Place] = []
        self.matched = False
        self._patterns = [where] if isinstance(where, str) else where
        self._any_function = any_function
        self._own: dict[int, Place] = {}
        self._searched: set[int] = set()

    def search(self, model: Model, prefix: str, ends: set[int]) -> None:
        """Add the places of one graph, where `ends` are its tensors that the whole model returns."""
        self._searched.add(id(model))
        wiring = Wiring(model)
        for call in wiring.calls:
            operation = call.operation
            if is_graph(operation):
                self._nested(operation, wiring, prefix, ends)
            elif activations.is_activation(operation):
                self._activation(call, wiring, prefix, ends)
            elif activations.is_linear(operation, LINEAR + DEPTHWISE) and activations.own_activation(operation):
                self._activation(call, wiring, prefix, ends)
            elif isinstance(operation, LINEAR + DEPTHWISE) and (own := activations.own_activation(operation)):
                reason = f"its class {type(operation).__name__} overrides `call`"
                self._add(Place(prefix + operation.name, Activation(_name(own), None), operation, reason=reason))
            elif held := _held_activations(operation):
                self._add(Place(prefix + operation.name, Activation(held, None), operation, reason=_inside(operation)))

    def _nested(self, model: Model, wiring: Wiring, prefix: str, ends: set[int]) -> None:
        if id(model) in self._searched:
            return
        inner_ends = set()
        for call in wiring.calls:
            if call.operation is model:
                pairs = zip(call.outputs, model.outputs, strict=True)
                inner_ends |= {id(inner) for outer, inner in pairs if _reaches(outer, ends, wiring)}
        self.search(model, f"{prefix}{model.name}/", inner_ends)

    def _activation(self, call: Call, wiring: Wiring, prefix: str, ends: set[int]) -> None:
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
            place.reason = self._reason_to_leave(place, call, wiring, ends)
            place.by_choice = bool(place.reason)

    def _place(self, call: Call, prefix: str) -> Place:
        """Return the place that a call belongs to: a new one, unless it is a linear layer's further call."""
        operation = call.operation
        if id(operation) in self._own:
            return self._own[id(operation)]
        earlier = sum(place.operation is operation for place in self.places)
        name = f"{prefix}{operation.name}" + (f"_{earlier + 1}" if earlier else "")
        place = Place(name, Activation("", None), operation)
        self._add(place)
        if place.is_own:
            self._own[id(operation)] = place
        if not place.reason:  # what `where` leaves out need not be known
            place.activation = activations.activation_of(operation)
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

    @staticmethod
    def _reason_to_leave(place: Place, call: Call, wiring: Wiring, ends: set[int]) -> str:
        if any(_reaches(tensor, ends, wiring) for tensor in call.outputs):
            return OUTPUT
        function = place.activation.function
        bounded = function is not None and np.abs(function(np.linspace(-20, 20, 81))).max() <= 1.01
        if bounded and any(_is_multiplied(tensor, wiring) for tensor in call.outputs):
            return GATE
        return ""


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


def _reaches(tensor: keras.KerasTensor, ends: set[int], wiring: Wiring) -> bool:
    """Tell whether a tensor is one of `ends`, or becomes one by a change of shape alone."""
    return id(tensor) in ends or any(_reaches(out, ends, wiring) for out in _reshaped(tensor, wiring))


def _is_multiplied(tensor: keras.KerasTensor, wiring: Wiring) -> bool:
    products = [c for c in wiring.readers(tensor) if type(c.operation).__name__ in _PRODUCTS and len(c.inputs) > 1]
    return bool(products) or any(_is_multiplied(out, wiring) for out in _reshaped(tensor, wiring))


def _reshaped(tensor: keras.KerasTensor, wiring: Wiring) -> Iterator[keras.KerasTensor]:
    for call in wiring.readers(tensor):
        if type(call.operation).__name__ in _SHAPING:
            yield from call.outputs


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
    return str(getattr(activation, "__name__", type(activation).__name__))


def _rough_label(operation: keras.Operation) -> str:
    own = activations.own_activation(operation)
    return _name(own) if own is not None else type(operation).__name__.lower()


def _inside(operation: keras.Operation) -> str:
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.RNN | keras.layers.Bidirectional) or hasattr(operation, "cell"):
        return f"the gates inside {kind} sum several projections; use RNN(TwoArgRNNCell(units))"
    if isinstance(operation, keras.layers.Wrapper):
        return f"it lies inside {kind}; use the layer without the wrapper where that computes the same"
    return f"it lies inside a layer of class {kind}, which is rebuilt as a whole; use TwoArgDense in it"
