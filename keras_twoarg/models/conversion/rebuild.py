"""The same graph again, with a second path of new layers to each activation that gets a second argument.

What lies between a linear layer and its activation stays as it is and gives the first argument. A copy of it, the
linear layer included, with new weights and names that end in `_apical` gives the second one. So any normalization in
between keeps its statistics, and the old half of the model keeps its weights and names.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.sharing import sharing_scope
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.models.conversion.activations import WITHOUT_ACTIVATION
from keras_twoarg.models.conversion.graph import Call, Wiring, calls, channels, graphs, is_graph, structure
from keras_twoarg.models.conversion.places import Place
from keras_twoarg.utils.rebuilding import copy_given, copy_weights, live_config, rebuild
from keras_twoarg.utils.types import Config, Model, Outputs

SECOND = "_apical"
_OTHER_SEED = 1_000_003
_KERNELS = ("kernel_initializer", "depthwise_initializer", "pointwise_initializer")
_CONSTANT = (keras.initializers.Constant, keras.initializers.Identity, keras.initializers.Ones)

UnitLayer = TwoArgActivation | PairActivation
MakeUnit = Callable[[Place, Config], UnitLayer]


class Unit(NamedTuple):
    """The new layer of a place, and its number of units."""

    place: Place
    layer: UnitLayer
    size: int


class Rebuilder:
    """Rebuilds one model.

    Args:
        model: A Sequential or functional model. It is left as it is.
        places: The places that are converted.
        make_unit: Called with a place and the arguments of a layer (`name`, `dtype`, ...); returns the new layer.
        changes: For layers by identity, what to change in their configs.
        arm: What fills the units, for the names of new layers.
        more_seed: What is added to every seed in configs. Defaults to `0`.

    Attributes:
        copies: Each old layer with its copy.
        new_layers: Names of the second path's layers, with those of the models that they are nested in.
        units: The new layers.
    """

    def __init__(
        self,
        model: Model,
        places: list[Place],
        make_unit: MakeUnit,
        changes: Mapping[int, Config],
        arm: str,
        more_seed: int = 0,
    ) -> None:
        self.copies: list[tuple[keras.Operation, keras.Operation]] = []
        self.new_layers: list[str] = []
        self.units: list[Unit] = []
        self._model, self._make_unit, self._changes, self._arm = model, make_unit, changes, arm
        self._more_seed = more_seed
        self._places = {call.key: place for place in places for call in place.calls}
        self._sources = {path[0].key for place in places for path in place.path}
        self._linear_now = {id(place.operation) for place in places if place.is_own}
        operations = [call.operation for graph in graphs(model) for call in calls(graph)]
        self._calls_of = Counter(map(id, operations))
        self._names = {operation.name for operation in operations}
        self._copy_of: dict[int, keras.Operation] = {}
        self._second_of: dict[int, keras.layers.Layer] = {}
        self._unit_of: dict[int, UnitLayer] = {}

    def run(self) -> Model:
        """Return the new model; its weights are new."""
        with sharing_scope():
            return self._rebuild(self._model, "")

    def _rebuild(self, model: Model, prefix: str) -> Model:
        if id(model) in self._copy_of:
            return self._copy_of[id(model)]
        graph = _Graph(model)
        for call in graph.calls:
            graph.add(call, self._call(call, graph, prefix))
        inputs, outputs = graph.replaced(structure(model, "inputs")), graph.replaced(structure(model, "outputs"))
        self._copy_of[id(model)] = _assemble(model, inputs, outputs)
        return self._copy_of[id(model)]

    def _call(self, call: Call, graph: "_Graph", prefix: str) -> Outputs:
        """Return what one call of the old graph gives in the new one."""
        operation, place = call.operation, self._places.get(call.key)
        if call.is_input:
            return rebuild(operation, self._config(operation)).output
        args, kwargs = graph.arguments(call)
        if is_graph(operation):
            return self._rebuild(operation, f"{prefix}{operation.name}/")(*args, **kwargs)
        if place is None:
            return self._copy(operation)(*args, **kwargs)
        first = self._copy(operation)(*args, **kwargs) if place.is_own else graph.replaced(call.inputs[0])
        unit = self._unit(place, channels(place.path[0][0], first))
        if unit.arity == 1:
            return unit(first)
        return unit([first, self._second(call if place.is_own else graph.maker(call.inputs[0]), graph, prefix)])

    def _second(self, call: Call, graph: "_Graph", prefix: str) -> Outputs:
        """Return what a call on the way to an activation gives on the second path."""
        if call.key not in graph.second:
            other = {}
            if call.key not in self._sources:
                before = call.inputs[0]
                other[id(before)] = self._second(graph.maker(before), graph, prefix)
            args, kwargs = graph.arguments(call, other)
            graph.second[call.key] = self._second_copy(call.operation, prefix)(*args, **kwargs)
        return graph.second[call.key]

    def _copy(self, operation: keras.Operation) -> keras.Operation:
        if id(operation) not in self._copy_of:
            copy = rebuild(operation, self._config(operation))
            if getattr(copy, "trainable", False) and not operation.trainable:
                copy.trainable = False  # a config of one's own may not say so
            self._copy_of[id(operation)] = copy
            self.copies.append((operation, copy))
        return self._copy_of[id(operation)]

    def _second_copy(self, layer: keras.layers.Layer, prefix: str) -> keras.layers.Layer:
        if id(layer) not in self._second_of:
            name = self._unused(layer.name + SECOND)
            config: Config = _with_other_seeds(self._config(layer), _OTHER_SEED)
            for key in ("lora_rank", "lora_alpha", "activity_regularizer"):  # all of it is trained; one loss is enough
                config.pop(key, None)
            config |= {key: "glorot_uniform" for key in _KERNELS if isinstance(getattr(layer, key, None), _CONSTANT)}
            second = self._second_of[id(layer)] = rebuild(layer, {**config, "name": name})
            second.trainable = True  # its weights and statistics are new, whether the first path is frozen or not
            self.new_layers.append(prefix + name)
        return self._second_of[id(layer)]

    def _config(self, operation: keras.Operation) -> Config:
        config = {**live_config(operation), **self._changes.get(id(operation), {})}
        if id(operation) in self._linear_now:
            config |= WITHOUT_ACTIVATION
        return _with_other_seeds(config, self._more_seed) if self._more_seed else config

    def _unit(self, place: Place, size: int) -> UnitLayer:
        if id(place) not in self._unit_of:
            operation = place.operation
            replaced = not place.is_own and self._calls_of[id(operation)] == 1
            arguments = {
                "name": operation.name if replaced else self._unused(f"{operation.name}_{self._arm}"),
                "dtype": place.policy,
                "activity_regularizer": getattr(operation, "activity_regularizer", None),
            }
            layer = self._unit_of[id(place)] = self._make_unit(place, arguments)
            self.units.append(Unit(place, layer, size))
        return self._unit_of[id(place)]

    def _unused(self, name: str) -> str:
        candidate, number = name, 2
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate


class _Graph:
    """One graph that is being rebuilt: its calls, and the new tensors in place of the old ones."""

    def __init__(self, model: Model) -> None:
        wiring = Wiring(model)
        self.calls, self.maker = wiring.calls, wiring.maker
        self.second: dict[int, Outputs] = {}  # by call: what it gives on the second path
        self._new: dict[int, keras.KerasTensor] = {}

    def add(self, call: Call, outputs: Outputs) -> None:
        """Remember what a call gives in the new graph."""
        for old, new in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
            self._new[id(old)] = new

    def replaced(self, nested: object, other: Mapping[int, keras.KerasTensor] | None = None) -> Outputs:
        """Return any structure with new tensors in place of the old ones, those of `other` first."""
        tensors = {**self._new, **(other or {})}
        return keras.tree.map_structure(lambda value: tensors.get(id(value), value), nested)

    def arguments(self, call: Call, other: Mapping[int, keras.KerasTensor] | None = None) -> tuple[Outputs, Outputs]:
        """Return a call's positional and keyword arguments with new tensors."""
        return self.replaced(call.args, other), self.replaced(call.kwargs, other)


def _assemble(model: Model, inputs: Outputs, outputs: Outputs) -> Model:
    kind: type[keras.Model] = type(model)
    if isinstance(model, keras.Sequential):
        _check_sequential(model)
        kind = keras.Model
    # Given to the constructor, as Keras does in loading, the setting leaves each layer its own; the setter would not.
    frozen: Config = {} if model.trainable else {"trainable": False}
    try:
        copy = kind(inputs, outputs, name=model.name, **frozen)
        mine, its = keras.tree.flatten([inputs, outputs]), [*copy.inputs, *copy.outputs]
        if list(map(id, mine)) != list(map(id, its)):
            raise ValueError("its constructor makes others")
    except Exception as error:  # whatever a constructor does with tensors in place of its own arguments
        raise ValueError(
            f"The model {model.name!r} of class {kind.__name__} cannot be made from its inputs and outputs alone "
            f"({' '.join(str(error).split())[:150]}). Convert keras.Model(model.inputs, model.outputs) instead"
        ) from error
    if model.dtype_policy.quantization_mode is None:  # another one would quantize the layers
        copy.dtype_policy = model.dtype_policy  # by which `compile` scales the loss
    return copy


def _check_sequential(model: keras.Sequential) -> None:
    """Raise a ValueError if a class derived from Sequential does what a functional model would not."""
    lineage = type(model).__mro__
    own = {
        name for kind in lineage[: lineage.index(keras.Sequential)] for name in vars(kind) if not name.startswith("_")
    }
    overridden = sorted(own & set(dir(keras.Sequential)) - {"get_config", "from_config", "build"})
    if overridden:
        raise ValueError(
            f"The model {model.name!r} of class {type(model).__name__} would lose its own {', '.join(overridden)}, "
            "because what is converted is functional. Convert keras.Model(model.inputs, model.outputs) instead, and "
            "give the new model what it needs"
        )


def _with_other_seeds(config: Any, more: int) -> Any:
    """Change every seed in a config: a second path, or another network, shall not start as the first one did."""
    if isinstance(config, dict):
        return {
            key: value + more if key == "seed" and isinstance(value, int) else _with_other_seeds(value, more)
            for key, value in config.items()
        }
    return [_with_other_seeds(value, more) for value in config] if isinstance(config, list) else config


def rebuilt(model: Model, *, weights: bool, more_seed: int) -> Model:
    """Return a copy of a model, with new weights or with its own.

    Frozen layers, and those that were adapted to the data, keep their weights either way.

    Args:
        model: A Sequential or functional model. It is left as it is.
        weights: Whether the copy gets the model's weights.
        more_seed: What is added to every seed in the layers' configs.
    """
    rebuilder = Rebuilder(model, [], _no_unit, {}, "", more_seed)
    copy = rebuilder.run()
    for layer, twin in rebuilder.copies:
        (copy_weights if weights else copy_given)(layer, twin)
    return copy


def _no_unit(place: Place, kwargs: Config) -> UnitLayer:
    raise AssertionError(f"{place.name} is no place to convert")
