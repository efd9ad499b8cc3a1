"""Widths with which a converted model has as many parameters as it had before.

Each linear layer's outputs form a group of channels. What keeps channels apart (normalization, activations, pooling,
depthwise convolution) hands the group on; a product of two tensors makes their groups one; flattening multiplies it; a
concatenation is a sum of groups; a recurrent layer reads any width. A group is fixed where the model returns it, where
it goes into a sum such as a residual connection, or into a frozen layer or one whose shapes are not known here. Groups
that are not fixed, and that an activation with two arguments reads, are scaled together, in the steps that
GroupNormalization needs.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, inf, lcm, prod

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models.conversion import activations
from keras_twoarg.models.conversion.activations import APART, CONVOLUTIONS, DEPTHWISE, SEPARABLE
from keras_twoarg.models.conversion.graph import Call, calls, graphs, is_graph
from keras_twoarg.models.conversion.places import Place
from keras_twoarg.models.matching import nearest_widths
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.rebuilding import is_given, live_config
from keras_twoarg.utils.types import Config, Model

_layers = keras.layers
_NORMALIZATIONS = (_layers.BatchNormalization, _layers.LayerNormalization, _layers.RMSNormalization)
_CHANNELWISE = (
    *APART,
    _layers.RepeatVector,
    _layers.Activation,
    _layers.ReLU,
    _layers.LeakyReLU,
    _layers.ELU,
    _layers.PReLU,
)
_RECURRENT = (_layers.LSTM, _layers.GRU, _layers.SimpleRNN)
_SCALAR_OPERATIONS = ("Add", "Subtract", "Multiply", "TrueDivide", "Divide")  # with a number, in a functional graph


LARGEST_MISS = 0.1
"""Widths may miss the number of parameters by at most this share, with a warning."""
_UNKNOWN = "shapes that are not known here, such as those of channels_first images"
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
        self.fixed: dict[int, str] = {}  # by group: what fixes it
        self.steps: dict[int, int] = {}  # by group: what its width is a multiple of
        self.outputs: dict[int, int] = {}  # by linear layer: its group
        self.reshapes: list[tuple[keras.Operation, int]] = []
        self.nested_inputs: list[tuple[keras.Operation, Width]] = []
        self.counts: list[Callable[[], int]] = []
        self._parent: list[int] = []
        self._current: dict[int, int] = {}
        second = places if arity == 2 else []
        self._twice = {id(call.operation) for place in second for path in place.path for call in path}
        self._gone = {id(place.operation) for place in places if not place.is_own}
        self._read: dict[int, Width] = {}  # by layer with weights that depend on its input's width
        self._models: dict[int, tuple[list[Width], list[Width]]] = {}
        self._counted: set[int] = set()
        self._networks: set[int] = set()
        outputs = self._walk(model, [_constant(tensor) for tensor in model.inputs])
        self.fix(outputs, "the model's output")

    def find(self, group: int) -> int:
        """Return the representative of a group."""
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def fix(self, widths: Iterable[Width], by: str) -> None:
        """Keep the groups of some tensors as wide as they are, because of `by`."""
        self.fixed = {group: by for width in widths for group, _ in width.terms} | self.fixed

    def step(self, group: int) -> int:
        """Return what the width of a group is a multiple of."""
        return lcm(*(step for other, step in self.steps.items() if self.find(other) == self.find(group)))

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
                self.fix([*earlier, *inputs], f"{model.name!r}, which is called with several inputs")
            return outputs
        widths = {id(tensor): width for tensor, width in zip(model.inputs, inputs, strict=True)}
        for call in calls(model):
            if call.is_input:
                self.nested_inputs.append((call.operation, widths.get(call.key, Width(0))))
                widths.setdefault(call.key, _constant(call.outputs[0]))
                continue
            incoming = [widths[id(tensor)] for tensor in call.data]
            if is_graph(call.operation):
                returned = self._walk(call.operation, incoming)
            else:
                width = self._call(call, incoming)
                returned = [width if width.terms else _constant(tensor) for tensor in call.outputs]
            widths.update({id(tensor): width for tensor, width in zip(call.outputs, returned, strict=True)})
        outputs = [widths[id(tensor)] for tensor in model.outputs]
        self._models[id(model)] = (inputs, outputs)
        return outputs

    def _call(self, call: Call, incoming: list[Width]) -> Width:
        """Return the width of what a call returns, and remember how its layer's parameters depend on widths."""
        operation, size = call.operation, _constant(call.outputs[0]).constant
        if is_given(operation):  # it keeps its weights, so what it reads keeps its shape
            return self._fixed(operation, incoming, size, "whose weights are kept")
        if _is_linear(operation) and len(incoming) == 1:
            return self._linear_layer(operation, incoming[0], size)
        if len(incoming) == 1 and self._keeps_channels(call, incoming[0], size):
            self._count_by_input(operation, incoming[0], call.inputs[0].shape[-1])
            return incoming[0]
        if cells := _cells(operation):
            self.fix(incoming[1:], _named(operation))  # its first state
            each = sum(cell.kernel.shape[-1] for cell in cells)
            self._count_by_input(operation, incoming[0], call.inputs[0].shape[-1], each)
            return Width(size)
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

    def _fixed(self, operation: keras.Operation, incoming: list[Width], size: int, why: str = "") -> Width:
        self.fix(incoming, f"{_named(operation)}{why and ', '}{why}")
        if isinstance(operation, keras.layers.Layer) and id(operation) not in self._counted:
            networks = [one for one in flatten_layers(operation) if isinstance(one, InnerNetwork)]
            again = sum(one.count_params() for one in networks if id(one) in self._networks)  # of a phi met before
            self._networks |= set(map(id, networks))
            self._count(operation, lambda: int(operation.count_params()) - again)
        return Width(size)

    def _linear_layer(self, layer: keras.layers.Layer, incoming: Width, size: int) -> Width:
        self._reads(layer, incoming)
        if id(layer) in self.outputs:
            return Width(0, ((self.outputs[id(layer)], 1),))
        group = len(self.sizes)
        self.sizes.append(size)
        self._parent.append(group)
        self.outputs[id(layer)] = group
        returned = Width(0, ((group, 1),))
        self._count(layer, lambda: _linear_parameters(layer, self.value(incoming), self.value(returned)))
        return returned

    def _reads(self, layer: keras.Operation, incoming: Width) -> None:
        """Remember the width that a layer with weights reads, which is the same in all of its calls."""
        if (earlier := self._read.setdefault(id(layer), incoming)) != incoming:
            self.fix([earlier, incoming], f"{_named(layer)}, which is called with several inputs")

    def _count_by_input(self, operation: keras.Operation, width: Width, channels: int, each: int | None = None) -> None:
        """Remember a layer's parameters, of which there are `each`, by default all, for every channel of its input."""
        if isinstance(operation, keras.layers.Layer) and operation.count_params():
            self._reads(operation, width)
            each = operation.count_params() // channels if each is None else each
            rest = operation.count_params() - each * channels
            self._count(operation, lambda: rest + each * self.value(width))

    def _count(self, operation: keras.Operation, count: Callable[[], int]) -> None:
        """Remember a layer's parameters, once, twice if it is on a second path, or not if phi takes its place."""
        if not isinstance(operation, keras.layers.Layer) or id(operation) in self._counted:
            return
        self._counted.add(id(operation))
        if id(operation) not in self._gone:
            self.counts += [count] * (2 if id(operation) in self._twice else 1)

    def _keeps_channels(self, call: Call, width: Width, size: int) -> bool:
        operation, channels = call.operation, call.inputs[0].shape[-1]
        if channels != size or not _last(operation):
            return False
        if isinstance(operation, DEPTHWISE):
            return operation.depth_multiplier == 1
        if isinstance(operation, _NORMALIZATIONS):
            rank = len(call.inputs[0].shape)
            axes = operation.axis if isinstance(operation.axis, list | tuple) else [operation.axis]
            return axes in ([-1], [rank - 1]) or operation.count_params() == 0
        if isinstance(operation, keras.layers.GroupNormalization):
            last = operation.axis in (-1, len(call.inputs[0].shape) - 1)
            return last and operation.groups < size and self._steps(width, operation.groups)
        if isinstance(operation, _CHANNELWISE):
            return True
        if isinstance(operation, keras.layers.Layer):
            return False
        scalar = type(operation).__name__ in _SCALAR_OPERATIONS and len(call.inputs) == 1
        return scalar or activations.is_activation_operation(operation)

    def _steps(self, width: Width, groups: int) -> bool:
        """Let a width change only in multiples of `groups`, and tell whether it can."""
        steps = {group: groups // gcd(groups, factor) for group, factor in width.terms}
        if width.constant % groups or any(self.sizes[group] % step for group, step in steps.items()):
            return False
        self.steps |= {group: lcm(step, self.steps.get(group, 1)) for group, step in steps.items()}
        return True

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


def _constant(tensor: keras.KerasTensor) -> Width:
    return Width((tensor.shape[-1] or 0) if tensor.shape else 0)


def _named(operation: keras.Operation) -> str:
    return f"{type(operation).__name__} {operation.name!r}"


def _cells(operation: keras.Operation) -> list[keras.layers.Layer]:
    """Return the cells of one of Keras' recurrent layers, one for each direction; none for other layers."""
    both = type(operation) is keras.layers.Bidirectional
    layers = [operation.forward_layer, operation.backward_layer] if both else [operation]
    return [layer.cell for layer in layers] if all(type(layer) in _RECURRENT for layer in layers) else []


def _last(operation: keras.Operation) -> bool:
    """Tell whether channels are on the last axis, as far as a layer has a say in it."""
    return getattr(operation, "data_format", None) in (None, "channels_last")


def _is_linear(layer: keras.layers.Layer) -> bool:
    if not _last(layer) or getattr(layer, "groups", 1) != 1 or getattr(layer, "lora_enabled", False):
        return False
    if isinstance(layer, keras.layers.EinsumDense):  # where it computes what Dense does
        like_dense = re.fullmatch(r"(.*)(\w),\2(\w)->\1\3", layer.equation)
        by_unit = layer.bias is None or len(layer.bias.shape) == 1
        return like_dense is not None and by_unit and layer.partial_output_shape[-1] == layer.kernel.shape[-1]
    return isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS, *SEPARABLE))


def _linear_parameters(layer: keras.layers.Layer, fan_in: int, units: int) -> int:
    bias = 0 if layer.bias is None else units
    if isinstance(layer, keras.layers.Dense | keras.layers.EinsumDense):
        return fan_in * units + bias
    positions = prod(layer.kernel_size)
    if isinstance(layer, SEPARABLE):
        return (positions + units) * fan_in * layer.depth_multiplier + bias
    return positions * fan_in * units + bias


def matched_changes(model: Model, places: list[Place], inner_parameters: int, arity: int) -> dict[int, Config]:
    """Return what to change in layers' configs so that the converted model has as many parameters as the model.

    Args:
        model: The model before it is converted.
        places: Where it is converted.
        inner_parameters: Parameters of phi.
        arity: Arguments of a unit, one or two.

    Raises:
        ValueError: If no width may be changed, or none comes near enough.
    """
    channels, target = _Channels(model, places, arity), int(model.count_params())
    read = {channels.outputs.get(id(path[0].operation)) for place in places for path in place.path}
    fixed = {channels.find(group) for group in channels.fixed}
    free = sorted({channels.find(group) for group in read if group is not None} - fixed)
    if not free:
        raise ValueError(
            f"keep='parameters' has no width to change in {model.name!r}. Fixed are {_causes(channels, places)}. Use "
            "keep='function'"
        )
    steps = [channels.step(group) for group in free]

    def widths(numbers: tuple[int, ...]) -> dict[int, int]:
        return {group: number * step for group, number, step in zip(free, numbers, steps, strict=True)}

    def parameters(numbers: tuple[int, ...]) -> int:
        return channels.parameters(widths(numbers)) + inner_parameters

    before = tuple(channels.sizes[group] // step for group, step in zip(free, steps, strict=True))
    reach = [1.0 if step > 1 else inf for step in steps]  # a step changes proportions more than a single unit does
    nearest = nearest_widths(before, parameters, target, reach=reach)
    if abs(parameters(nearest) / target - 1) > LARGEST_MISS:
        raise ValueError(
            f"No widths give the converted {model.name!r} its {target:,} parameters: the nearest are "
            f"{parameters(nearest):,}, of which phi has {inner_parameters:,}. "
            f"{_remedy(target, parameters(nearest) - inner_parameters, inner_parameters)}"
        )
    return _changes(model, channels, widths(nearest))


def _causes(channels: _Channels, places: list[Place]) -> str:
    """Return what fixes the widths of the linear layers in front of places."""
    by = {channels.find(group): cause for group, cause in channels.fixed.items()}
    layers = {path[0].operation.name: channels.outputs.get(id(path[0].operation)) for p in places for path in p.path}
    fixed: dict[str, list[str]] = {}
    for name, group in layers.items():
        fixed.setdefault(_UNKNOWN if group is None else by[channels.find(group)], []).append(name)
    more = f"; and {len(fixed) - 3} more" if len(fixed) > 3 else ""
    return "; ".join(f"{_listed(names)} by {cause}" for cause, names in list(fixed.items())[:3]) + more


def _listed(names: list[str]) -> str:
    return repr(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


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
            changes[identity] = _width_in_config(by_identity[identity], width)
    for layer in by_identity.values():
        if type(layer) is keras.layers.Bidirectional and _cells(layer):
            changes[id(layer)] = _not_built(live_config(layer))
    for layer, group in channels.reshapes:
        width = chosen.get(channels.find(group))
        if width is not None:
            changes[id(layer)] = {"target_shape": (*layer.target_shape[:-1], width)}
    channels.parameters(chosen)  # `value` counts with these widths from here on
    for layer, incoming in channels.nested_inputs:
        if incoming.terms:
            changes[id(layer)] = {"batch_shape": (*layer.batch_shape[:-1], channels.value(incoming))}
    return changes


def _not_built(config: Config) -> Config:
    """Return the layers within a layer's config without the shapes that they were built with."""
    return {
        key: {name: one for name, one in value.items() if name != "build_config"}
        for key, value in config.items()
        if isinstance(value, dict) and "build_config" in value
    }


def _width_in_config(layer: keras.layers.Layer, width: int) -> Config:
    if isinstance(layer, keras.layers.EinsumDense):
        return {"output_shape": (*layer.partial_output_shape[:-1], width)}
    return {"units" if isinstance(layer, keras.layers.Dense) else "filters": width}
