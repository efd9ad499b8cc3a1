"""An inner network belongs to one model: warnings when a second one trains it or loads weights into it.

A phi created outside the function that builds a model (KerasTuner's `build`) is the same object in every model that the
function returns: each model continues from what the previous one learned, and changes it for all of them. Models that
share layers, and models nested in one another, may share a phi, and any models may share a frozen one.

Keras keeps no list of live models. Searching all live objects for them takes a tenth of a second, so it is done only
when a phi that is already in use is first used at another place.
"""

import gc
import warnings
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, WeakSet

import keras

from keras_twoarg.utils.keras_internals import flatten_layers, graph_of, layers_being_called, live_models
from keras_twoarg.utils.types import Layer, Model


@dataclass
class _Usage:
    """What is known about an inner network that has been trained or loaded."""

    places: WeakSet[Layer] = field(default_factory=WeakSet)  # where it was trained, and those that belong with them
    told: bool = False


@dataclass
class _Group:
    """Places of one inner network that belong to one model, and the models that hold them."""

    places: set[Layer]
    models: list[Model]

    @property
    def name(self) -> str:
        """The name of the model that holds the most layers."""
        graphs = {id(graph_of(model)) for model in self.models}
        own = [model for model in self.models if id(model) not in graphs]
        return str(max(own, key=lambda model: len(flatten_layers(model))).name)


_usages: WeakKeyDictionary[Layer, _Usage] = WeakKeyDictionary()


def note_training(inner: Layer, place: Layer) -> None:
    """Record that a place trains its inner network; warn if another live model holds it too."""
    usage = _usages.get(inner)
    if not inner.trainable_weights or (usage is not None and (usage.told or place in usage.places)):
        return
    together = {place, *(_places(layers_being_called()[0], inner) if layers_being_called() else ())}
    if usage is None:
        usage = _usages[inner] = _Usage()
    else:
        groups = _unrelated(inner)
        own = next((group for group in groups if place in group.places), None)
        if own is not None and len(groups) > 1:
            other = next(group for group in groups if group is not own)
            _warn(usage, inner, f"The model {own.name!r} trains it", other.name)
        together |= own.places if own is not None else set()
    usage.places.update(together)


def note_loading(inner: Layer) -> None:
    """Record that weights were loaded into an inner network; warn if it is in use and several live models hold it."""
    usage = _usages.get(inner)
    if usage is None:
        _usages[inner] = _Usage()
    elif inner.trainable_weights and not usage.told:
        groups = _unrelated(inner)
        if len(groups) > 1:
            _warn(usage, inner, f"Weights were loaded into it for one of the models {groups[0].name!r}", groups[1].name)


def _warn(usage: _Usage, inner: Layer, event: str, other: str) -> None:
    usage.told = True
    warnings.warn(
        f"Two models hold the inner network {inner.name!r}, and it is not frozen. {event}, which changes {other!r} "
        "too. Create the InnerNetwork inside the function that builds the model (with KerasTuner, inside `build`), "
        "freeze it (`inner.trainable = False`), or give each model a copy: `inner.save(path)` and "
        "`InnerNetwork.load(path)`.",
        stacklevel=3,
    )


def _unrelated(inner: Layer) -> list[_Group]:
    """Return the groups of live models that hold the network and share neither a place nor an outer model."""
    if len(_groups(inner)) > 1:
        gc.collect()  # models without references live until then
    return _groups(inner)


def _groups(inner: Layer) -> list[_Group]:
    groups: list[_Group] = []
    for model in live_models():
        group = _Group(_places(model, inner), [model])
        if not group.places:
            continue
        for other in [other for other in groups if other.places & group.places]:
            groups.remove(other)
            group = _Group(group.places | other.places, group.models + other.models)
        groups.append(group)
    return groups


def _places(model: Layer, inner: Layer) -> set[Layer]:
    """Return the layers within a model that hold the network, except for nested models."""
    layers = flatten_layers(model)
    return {one for one in layers if getattr(one, "inner", None) is inner and not isinstance(one, keras.Model)}
