"""What `evaluation="auto"` comes to: a table where making it costs less than the exact evaluations that it saves.

A table of R nodes along each argument costs R ** arity exact evaluations. A look-up costs a fortieth of one. So a table
pays where at least as many argument tuples will be looked up in it: those of this place, and those of the places that
are called with it and share its table. In a loop, such as the steps of a recurrent network, a table lasts for one
round, and the tuples of one round count.
"""

from collections.abc import Sequence
from math import prod
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from keras import ops

from keras_twoarg.ops.shared_table import Step
from keras_twoarg.ops.xla import may_compile
from keras_twoarg.utils import keras_internals

BATCH = 128
"""The batch that is assumed where it is not known: in a graph that may be exported, and where nothing is called."""

_places: WeakSet[Any] = WeakSet()
_models: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()  # by place: the outermost layers that called it


def register(place: Any) -> None:
    """Count a place among those that may share a table."""
    _places.add(place)


def table_pays(place: Any, step: Step, tuples: Any, nodes: int, training: bool) -> Any:
    """Return whether a place that is being called should be given a table: a bool, or a tensor if the step will tell.

    Args:
        place: The layer.
        step: What it can share.
        tuples: Its argument tuples `(batch, ..., arity)`.
        nodes: Nodes of the table.
        training: Whether gradients will be wanted.
    """
    companions = _companions(place)
    sharing = _sharing(place, companions) if step.may_share else 1.0
    *sizes, arity = tuples.shape
    known = prod(size for size in sizes if isinstance(size, int))
    if known * sharing >= nodes or all(isinstance(size, int) for size in sizes):
        return known * sharing >= nodes
    if may_compile(training):
        return ops.cast(ops.size(tuples), "float32") * (sharing / arity) >= nodes
    return _pays_for_batch(sizes[1:], sharing, nodes)


def table_will_pay(place: Any, nodes: int) -> bool:
    """Return whether a place will be given a table for `BATCH` samples, as far as it is known before a call."""
    known = [_places_in(model, place) for model in _models.get(place, ())]
    return _pays_for_batch([place.units], _sharing(place, max(known, key=len, default=_all_places(place))), nodes)


def _pays_for_batch(sizes: Sequence[Any], sharing: float, nodes: int) -> bool:
    if not all(isinstance(size, int) for size in sizes):
        return True  # sequences or images of any size
    return BATCH * prod(sizes) * sharing >= nodes


def _companions(place: Any) -> list[Any]:
    """Return the places that hold the same phi and are called in the same step as a place that is being called."""
    callers = keras_internals.layers_being_called()
    if not callers:  # its `call` was called by itself
        return [place]
    if callers[0] is not place:
        _models.setdefault(place, WeakSet()).add(callers[0])
    if keras_internals.stateless_scope() is None:
        return _places_in(callers[0], place)
    # JAX calls the layers of a model without saying of which model.
    if place not in _models:
        return _all_places(place)
    return max((_places_in(model, place) for model in _models[place]), key=len, default=[place])


def _places_in(model: Any, place: Any) -> list[Any]:
    return [layer for layer in keras_internals.flatten_layers(model) if layer in _places and _alike(layer, place)]


def _all_places(place: Any) -> list[Any]:
    return [other for other in _places if _alike(other, place)]


def _alike(other: Any, place: Any) -> bool:
    return other.inner is place.inner and other.grid == place.grid


def _sharing(place: Any, places: list[Any]) -> float:
    """Return how many times as many units as one place has are in all of them; all alike where they are not known."""
    if place.units and all(other.units is not None for other in places):
        return max(1.0, sum(other.units for other in places) / place.units)
    return float(max(1, len(places)))
