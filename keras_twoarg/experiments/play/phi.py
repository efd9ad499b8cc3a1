"""The one function that all units of a network apply, and the layers that apply it, for the page."""

from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import JsonObject, Layer, Model

ACTIVATIONS = ("relu", "tanh", "sigmoid", "silu", "gelu")
"""Keras activations that the page evaluates, as phi's hidden activation or in place of phi."""
Place: TypeAlias = TwoArgActivation | PairActivation | keras.layers.Activation
"""A layer that applies phi, or a fixed function, to each unit's arguments."""


def is_place(layer: Layer) -> bool:
    """Return whether a layer applies one function to each unit: phi, a fixed function of pairs, or an activation."""
    if isinstance(layer, keras.layers.Activation):
        return layer.activation not in (keras.activations.linear, keras.activations.softmax)
    return isinstance(layer, TwoArgActivation | PairActivation)


def arity_of(place: Place) -> int:
    """Return the number of arguments of each unit."""
    return 1 if isinstance(place, keras.layers.Activation) else place.arity


def places_of(model: Model) -> list[Place]:
    """Return the layers of a model that apply its one function of one or two arguments.

    Fixed functions are left out if there is a learned phi.

    Raises:
        ValueError: If there is no such function, if there are several, or if the page does not know it.
    """
    found: list[Place] = [layer for layer in flatten_layers(model) if is_place(layer)]
    places = [place for place in found if isinstance(place, TwoArgActivation)] or found
    functions = {id(place.inner) if isinstance(place, TwoArgActivation) else _name(place) for place in places}
    if len(functions) != 1:
        raise ValueError(
            "The page needs a model with one phi, or with one fixed function in all its units. "
            f"Received: {model.name!r} with {len(functions)}"
        )
    if (arity := arity_of(places[0])) > 2:
        raise ValueError(
            f"The page needs a phi of one or two arguments. Received: {model.name!r}, whose phi has {arity}"
        )
    if isinstance(places[0], PairActivation) and _name(places[0]) not in surfaces.NAMED:
        raise ValueError(
            f"The page knows the functions {', '.join(surfaces.NAMED)}. Received: {model.name!r} with "
            f"{_name(places[0])}. Add it to NAMED of analysis/surfaces.py and to NAMED_FUNCTIONS of functions.js"
        )
    if isinstance(places[0], keras.layers.Activation) and _name(places[0]) not in ACTIVATIONS:
        raise ValueError(
            f"The page knows the activations {', '.join(ACTIVATIONS)}. Received: {model.name!r} with {_name(places[0])}"
        )
    return places


def phi_json(places: Sequence[Place]) -> JsonObject:
    """Return the phi of some places as JSON: its table, and its formula if a place evaluates it exactly.

    Raises:
        ValueError: If the places have different tables, or the page does not know phi's hidden activation.
    """
    grids = {grid for place in places if (grid := grid_of(place)) is not None} or {Interpolation()}
    if len(grids) > 1:
        raise ValueError(f"The page needs places with one table of phi. Received: {sorted(map(str, grids))}")
    json = table_json(places[0], *grids)
    return json if all(grid_of(place) is not None for place in places) else json | {"exact": _exact(places[0])}


def table_json(phi: Place, grid: Interpolation | None = None) -> JsonObject:
    """Return the values of phi on a grid as JSON, by default on the grid of `evaluation="interpolated"`."""
    grid, arity = grid or Interpolation(), arity_of(phi)
    table = np.asarray(_evaluate(phi, grid.nodes(arity)), "float32").reshape((grid.resolution,) * arity)
    return {"extent": grid.extent, "values": pack_array(table)}


def grid_of(place: Place) -> Interpolation | None:
    """Return the grid of a place's table, or None if it evaluates phi exactly."""
    return place.grid if isinstance(place, TwoArgActivation) and place.evaluation_in_use != "exact" else None


def _evaluate(phi: Place, tuples: np.ndarray) -> np.ndarray:
    """Evaluate phi at argument tuples `(N, arity)`."""
    if isinstance(phi, TwoArgActivation):
        return phi.inner.predict(tuples)
    if isinstance(phi, PairActivation):
        return surfaces.NAMED[phi.function](*tuples.T)
    return keras.ops.convert_to_numpy(phi.activation(keras.ops.convert_to_tensor(tuples)))


def _exact(phi: Place) -> JsonObject:
    """Return the formula of phi as JSON."""
    if not isinstance(phi, TwoArgActivation):
        return {"kind": "named", "name": _name(phi)}
    weights = phi.inner.get_weights()
    if isinstance(phi.inner, QuadraticNetwork):
        return {"kind": "polynomial", "coefficients": [float(c) for c in np.ravel(weights[0])]}
    activation = keras.activations.serialize(phi.inner.activation)
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"The page evaluates phi exactly with hidden activations {', '.join(ACTIVATIONS)}. Received: "
            f"{activation!r}. Use set_evaluation(model, 'interpolated') and save the model again"
        )
    return {"kind": "network", "activation": activation, "weights": [pack_array(w) for w in weights]}


def _name(place: PairActivation | keras.layers.Activation) -> str:
    """Return the name of a fixed function."""
    if isinstance(place, PairActivation):
        return place.function
    name = keras.activations.serialize(place.activation)
    return name if isinstance(name, str) else f"the function {getattr(place.activation, '__name__', place.name)}"
