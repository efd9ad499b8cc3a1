"""Widths with which a converted model has as many parameters as it had before.

Each linear layer's outputs form a group of channels. What keeps channels apart (normalization, activations, pooling,
depthwise convolution) hands the group on; a product of two tensors makes their groups one; flattening multiplies it; a
concatenation is a sum of groups. A group is fixed where the model returns it, where it goes into a sum such as a
residual connection, or into a frozen layer or one whose shapes are not known here. Groups that are not fixed, and that
an activation with two arguments reads, are scaled together.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import keras

from keras_twoarg.models.conversion import activations
from keras_twoarg.models.conversion.activations import APART, CONVOLUTIONS, DEPTHWISE, SEPARABLE
from keras_twoarg.models.conversion.graph import Call, calls, graphs, is_graph
from keras_twoarg.models.conversion.places import Place
from keras_twoarg.models.matching import nearest_widths
from keras_twoarg.utils.rebuilding import is_given
from keras_twoarg.utils.types import Config, Model

_layers = keras.layers
_NORMALIZATIONS = (_layers.BatchNormalization, _layers.LayerNormalization, _layers.RMSNormalization)
_CHANNELWISE = (*APART, _layers.Activation, _layers.ReLU, _layers.LeakyReLU, _layers.ELU, _layers.PReLU)
_SCALAR_OPERATIONS = ("Add", "Subtract", "Multiply", "TrueDivide", "Divide")  # with a number, in a functional graph


LARGEST_MISS = 0.1
"""Widths may miss the number of parameters by at most this share, with a warning."""
_SMALLER_PHIS = ((32, 32), (16, 16), (8, 8), (4, 4), (4,))


@dataclass(frozen=True)
class Width:
    """The size of a tensor's last axis: a constant and a multiple of the width of each of some groups."""

    constant: int
    terms: tuple[tuple[int, int], ...] = ()  # (group, factor)

    def times(self, factor: int) -> "Width":
        """Return a multiple."""
        return Width(factor * self.constant, tuple((group, factor * f) for group, f in self.terms))

    def plus(self, other: "Width") -> "Width":
        """Return the sum, as of two tensors that are concatenated."""
        return Width(self.constant + other.constant, self.terms + other.terms)


class _Channels:
    """The groups of channels of a model, and what each layer's number of parameters depends on."""

    def __init__(self, model: Model, places: list[Place], arity: int) -> None:
        self.sizes: list[int] = []
        self.fixed: set[int] = set()
        self.outputs: dict[int, int] = {}  # by linear layer: its group
        self.reshapes: list[tuple[keras.Operation, int]] = []
        self.nested_inputs: list[tuple[keras.Operation, Width]] = []
        self.counts: list[Callable[[], int]] = []
        self._parent: list[int] = []
        self._current: dict[int, int] = {}
        second = places if arity == 2 else []
        self._twice = {id(call.operation) for place in second for path in place.path for call in path}
        self._gone = {id(place.operation) for place in places if not place.is_own}
        self._linear: dict[int, tuple[Width, Width]] = {}
        self._models: dict[int, tuple[list[Width], list[Width]]] = {}
        self._counted: set[int] = set()
        outputs = self._walk(model, [Width(x.shape[-1] or 0) if x.shape else Width(0) for x in model.inputs])
        self.fix(outputs)

    def find(self, group: int) -> int:
        """Return the representative of a group."""
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def fix(self, widths: Iterable[Width]) -> None:
        """Keep the groups of some tensors as wide as they are."""
        self.fixed |= {group for width in widths for group, _ in width.terms}

    def value(self, width: Width) -> int:
        """Return a width under the present widths of the groups."""
        return width.constant + sum(f * self._current.get(self.find(g), self.sizes[g]) for g, f in width.terms)

    def parameters(self, widths: dict[int, int]) -> int:
        """Return the number of parameters with other widths of some groups, phi's not counted."""
        self._current = widths
        return sum(count() for count in self.counts)

    def _walk(self, model: Model, inputs: list[Width]) -> list[Width]:
        if id(model) in self._models:
            earlier, outputs = self._models[id(model)]
            if earlier != inputs:
                self.fix([*earlier, *inputs])
            return outputs
        widths = {id(tensor): width for tensor, width in zip(model.inputs, inputs, strict=True)}
        for call in calls(model):
            if call.is_input:
                self.nested_inputs.append((call.operation, widths.get(call.key, Width(0))))
                widths.setdefault(call.key, Width(call.outputs[0].shape[-1] or 0 if call.outputs[0].shape else 0))
                continue
            incoming = [widths[id(tensor)] for tensor in call.data]
            if is_graph(call.operation):
                returned = self._walk(call.operation, incoming)
            else:
                returned = [self._call(call, incoming)] * len(call.outputs)
            widths.update({id(tensor): width for tensor, width in zip(call.outputs, returned, strict=True)})
        outputs = [widths[id(tensor)] for tensor in model.outputs]
        self._models[id(model)] = (inputs, outputs)
        return outputs

    def _call(self, call: Call, incoming: list[Width]) -> Width:
        """Return the width of what a call returns, and remember how its layer's parameters depend on widths."""
        operation, shape = call.operation, call.outputs[0].shape
        size = (shape[-1] or 0) if shape else 0
        if is_given(operation):  # it keeps its weights, so what it reads keeps its shape
            return self._fixed(operation, incoming, size)
        if _is_linear(operation) and len(incoming) == 1:
            return self._linear_layer(operation, incoming[0], size)
        if len(incoming) == 1 and self._keeps_channels(call, size):
            self._count_by_channel(operation, incoming[0], call.inputs[0].shape[-1])
            return incoming[0]
        if isinstance(operation, keras.layers.Flatten) and len(incoming) == 1 and _last(operation):
            positions = call.inputs[0].shape[1:-1]
            if None not in positions:
                return incoming[0].times(prod(positions))
        if isinstance(operation, keras.layers.Reshape) and prod(operation.target_shape) == size == self.value(
            incoming[0]
        ):
            if len(incoming[0].terms) == 1 and not incoming[0].constant:
                self.reshapes.append((operation, incoming[0].terms[0][0]))
                return incoming[0]
        joined = self._joined(call, incoming)
        if joined is not None:
            return joined
        return self._fixed(operation, incoming, size)

    def _fixed(self, operation: keras.Operation, incoming: list[Width], size: int) -> Width:
        self.fix(incoming)
        self._count(operation, lambda: int(operation.count_params()))
        return Width(size)

    def _linear_layer(self, layer: keras.layers.Layer, incoming: Width, size: int) -> Width:
        if id(layer) in self._linear:
            earlier, returned = self._linear[id(layer)]
            if earlier != incoming:
                self.fix([earlier, incoming])
            return returned
        group = len(self.sizes)
        self.sizes.append(size)
        self._parent.append(group)
        self.outputs[id(layer)] = group
        returned = Width(0, ((group, 1),))
        self._linear[id(layer)] = (incoming, returned)
        self._count(layer, lambda: _linear_parameters(layer, self.value(incoming), self.value(returned)))
        return returned

    def _count_by_channel(self, operation: keras.Operation, incoming: Width, channels: int) -> None:
        if isinstance(operation, keras.layers.Layer) and operation.count_params():
            each = operation.count_params() // channels
            self._count(operation, lambda: each * self.value(incoming))

    def _count(self, operation: keras.Operation, count: Callable[[], int]) -> None:
        """Remember a layer's parameters, once, twice if it is on a second path, or not if phi takes its place."""
        if not isinstance(operation, keras.layers.Layer) or id(operation) in self._counted:
            return
        self._counted.add(id(operation))
        if id(operation) not in self._gone:
            self.counts += [count] * (2 if id(operation) in self._twice else 1)

    def _keeps_channels(self, call: Call, size: int) -> bool:
        operation, channels = call.operation, call.inputs[0].shape[-1]
        if channels != size or not _last(operation):
            return False
        if isinstance(operation, DEPTHWISE):
            return operation.depth_multiplier == 1
        if isinstance(operation, _NORMALIZATIONS):
            rank = len(call.inputs[0].shape)
            axes = operation.axis if isinstance(operation.axis, list | tuple) else [operation.axis]
            return axes in ([-1], [rank - 1]) or operation.count_params() == 0
        if isinstance(operation, _CHANNELWISE):
            return True
        if isinstance(operation, keras.layers.Layer):
            return False
        scalar = type(operation).__name__ in _SCALAR_OPERATIONS and len(call.inputs) == 1
        return scalar or activations.is_activation_operation(operation)

    def _joined(self, call: Call, incoming: list[Width]) -> Width | None:
        """Return the width of a product or concatenation of several tensors, if it can be scaled."""
        kind, rank = type(call.operation).__name__, len(call.outputs[0].shape)
        if kind == "Concatenate" and getattr(call.operation, "axis", None) in (-1, rank - 1):
            total = incoming[0]
            for width in incoming[1:]:
                total = total.plus(width)
            return total
        if kind != "Multiply":
            return None
        if all(width == incoming[0] for width in incoming):
            return incoming[0]
        single = [width.terms[0] for width in incoming if len(width.terms) == 1 and not width.constant]
        if len(single) < len(incoming) or len({(self.sizes[g], factor) for g, factor in single}) > 1:
            return None
        for group, _ in single[1:]:
            self._parent[self.find(group)] = self.find(single[0][0])
        return incoming[0]


def _last(operation: keras.Operation) -> bool:
    """Tell whether channels are on the last axis, as far as a layer has a say in it."""
    return getattr(operation, "data_format", None) in (None, "channels_last")


def _is_linear(layer: keras.layers.Layer) -> bool:
    if not _last(layer) or getattr(layer, "groups", 1) != 1 or getattr(layer, "lora_enabled", False):
        return False
    return isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS, *SEPARABLE))


def _linear_parameters(layer: keras.layers.Layer, fan_in: int, units: int) -> int:
    bias = units if layer.use_bias else 0
    if isinstance(layer, keras.layers.Dense):
        return fan_in * units + bias
    positions = prod(layer.kernel_size)
    if isinstance(layer, SEPARABLE):
        return (positions + units) * fan_in * layer.depth_multiplier + bias
    return positions * fan_in * units + bias


def matched_changes(model: Model, places: list[Place], inner_parameters: int, arity: int = 2) -> dict[int, Config]:
    """Return what to change in layers' configs so that the converted model has as many parameters as the model.

    Args:
        model: The model before it is converted.
        places: Where it is converted.
        inner_parameters: Parameters of phi.
        arity: Arguments of a unit, one or two. Defaults to `2`.

    Raises:
        ValueError: If no width may be changed, or none comes near enough.
    """
    channels, target = _Channels(model, places, arity), int(model.count_params())
    read = {channels.outputs.get(id(path[0].operation)) for place in places for path in place.path}
    fixed = {channels.find(group) for group in channels.fixed}
    free = sorted({channels.find(group) for group in read if group is not None} - fixed)
    if not free:
        raise ValueError(
            f"keep='parameters' has no width to change in {model.name!r}: all are fixed by the model's outputs, by "
            "sums such as residual connections, by frozen layers, or by layers whose shapes are not known here, "
            "such as those of channels_first images. Use keep='function'"
        )

    def parameters(widths: tuple[int, ...]) -> int:
        return channels.parameters(dict(zip(free, widths, strict=True))) + inner_parameters

    widths = nearest_widths(tuple(channels.sizes[group] for group in free), parameters, target)
    if abs(parameters(widths) / target - 1) > LARGEST_MISS:
        raise ValueError(
            f"No widths give the converted {model.name!r} its {target:,} parameters: the nearest are "
            f"{parameters(widths):,}, of which phi has {inner_parameters:,}. "
            f"{_remedy(target, parameters(widths) - inner_parameters, inner_parameters)}"
        )
    chosen = dict(zip(free, widths, strict=True))
    return _changes(model, channels, chosen)


def _remedy(target: int, rest: int, inner_parameters: int) -> str:
    """Return what to do about a model that is too small for its phi."""
    for hidden_units in _SMALLER_PHIS:
        number = sum((a + 1) * b for a, b in pairwise((2, *hidden_units, 1)))
        if number < inner_parameters and number <= target / 4 and rest + number <= (1 + LARGEST_MISS) * target:
            return (
                f"Pass a smaller phi, such as InnerNetwork({hidden_units}) with {number:,} (commands: --phi "
                f"{','.join(map(str, hidden_units))}; compare: hidden_units={hidden_units}), or use keep='function'"
            )
    return "The model is too small, or too much of it is fixed: use keep='function', or a larger model"


def _changes(model: Model, channels: _Channels, chosen: dict[int, int]) -> dict[int, Config]:
    changes: dict[int, Config] = {}
    by_identity = {id(call.operation): call.operation for graph in graphs(model) for call in calls(graph)}
    for identity, group in channels.outputs.items():
        width = chosen.get(channels.find(group))
        if width is not None:
            name = "units" if isinstance(by_identity[identity], keras.layers.Dense) else "filters"
            changes[identity] = {name: width}
    for layer, group in channels.reshapes:
        width = chosen.get(channels.find(group))
        if width is not None:
            changes[id(layer)] = {"target_shape": (*layer.target_shape[:-1], width)}
    channels.parameters(chosen)  # `value` counts with these widths from here on
    for layer, incoming in channels.nested_inputs:
        if incoming.terms:
            changes[id(layer)] = {"batch_shape": (*layer.batch_shape[:-1], channels.value(incoming))}
    return changes
