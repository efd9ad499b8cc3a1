"""A Keras model as the list of layers that the page computes."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import keras
import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.play.chain import Chain, Residual, chain_of, layers_of
from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.layers.two_arg_max_pooling2d import TwoArgMaxPooling2D
from keras_twoarg.models.transformer import PositionEmbedding
from keras_twoarg.ops.table import Interpolation
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import JsonObject, Layer, Model

MOST_PARAMETERS = 1_000_000
MOST_MULTIPLY_ADDS = 3_000_000
"""Of one image: more would make the page's 500 images wait for seconds."""
MOST_MULTIPLY_ADDS_OF_TEXT = 60_000_000
"""Of one window of text: a page has 16 of them."""
ACTIVATIONS = ("relu", "tanh", "sigmoid", "silu", "gelu")
"""Hidden activations of phi that the page evaluates."""
Place: TypeAlias = TwoArgActivation | PairActivation
FITS = (
    "A page can compute chains of Dense, Conv2D, LayerNormalization, two-argument units, MaxPooling2D and Dropout, "
    "with residual connections; and causal Transformers as `models.transformer` builds them"
)


def network_layers(model: Model) -> list[JsonObject]:
    """Return what each layer of a model computes, in order, as JSON.

    Args:
        model: A Sequential model, or a functional one that is a chain with residual connections, of `Dense`, `Conv2D`
            (3x3 and the like, without padding and strides), `LayerNormalization`, `TwoArgActivation`,
            `TwoArgMaxPooling2D`, `PairActivation`, `MaxPooling2D`, `Flatten`, `Dropout`, `Embedding`,
            `PositionEmbedding` and `MultiHeadAttention` of a sequence to itself; the last layer may have or be a
            softmax. That attention is causal is not seen here: `page.py` checks it.

    Raises:
        ValueError: If it is anything else, or has too many parameters or multiply-adds.
    """
    try:
        chain = chain_of(model)
    except ValueError as error:
        raise ValueError(f"{error}. {FITS}") from error
    layers = list(layers_of(chain))
    described = _describe_all(chain, layers[-1])
    if not any(isinstance(layer, Place) for layer in layers):
        raise ValueError(f"{model.name!r} has no units of two arguments. {FITS}")
    if model.count_params() > MOST_PARAMETERS:
        raise ValueError(
            f"{model.count_params():,} parameters are more than the {MOST_PARAMETERS:,} that the page computes with"
        )
    text = any(isinstance(layer, keras.layers.Embedding) for layer in layers)
    most, sample = (MOST_MULTIPLY_ADDS_OF_TEXT, "a window") if text else (MOST_MULTIPLY_ADDS, "an image")
    if (cost := _multiply_adds(layers)) > most:
        raise ValueError(f"{cost:,} multiply-adds for {sample} are more than the {most:,} that the page computes")
    return described


def places_of(model: Model) -> list[Place]:
    """Return the layers of a model, of any kind, that apply its one function of two arguments.

    Raises:
        ValueError: If it has none, or several that differ, or its arity is not 2.
    """
    places: list[Place] = [layer for layer in flatten_layers(model) if isinstance(layer, Place)]
    functions = {id(place.inner) if isinstance(place, TwoArgActivation) else place.function for place in places}
    if len(functions) != 1:
        raise ValueError(f"The page needs a model with one phi. Received: {model.name!r} with {len(functions)}")
    if places[0].arity != 2:
        raise ValueError(
            f"The page needs a phi of two arguments. Received: {model.name!r}, whose phi has {places[0].arity}"
        )
    return places


def phi_json(places: Sequence[Place]) -> JsonObject:
    """Return the phi of some places as JSON: what `table_json` says, and its formula where a place is exact.

    Raises:
        ValueError: If places have tables of their own, or phi hidden activations that the page does not know.
    """
    grids = {grid for place in places if (grid := _grid(place)) is not None} or {Interpolation()}
    if len(grids) > 1:
        raise ValueError(f"The page needs places with one table of phi. Received: {sorted(map(str, grids))}")
    json = table_json(places[0], *grids)
    return json if all(_grid(place) is not None for place in places) else json | {"exact": _exact(places[0])}


def table_json(phi: Place, grid: Interpolation | None = None) -> JsonObject:
    """Return the values of phi on a grid as JSON. The grid defaults to that of `evaluation="interpolated"`."""
    grid = grid or Interpolation()
    nodes = grid.nodes(2)
    values = surfaces.NAMED[phi.function](*nodes.T) if isinstance(phi, PairActivation) else phi.inner.predict(nodes)
    table = np.asarray(values, "float32").reshape(grid.resolution, grid.resolution)
    return {"extent": grid.extent, "values": pack_array(table)}


def _exact(phi: Place) -> JsonObject:
    """Return the formula of phi as JSON."""
    if isinstance(phi, PairActivation):
        return {"kind": "named", "name": phi.function}
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


def _grid(place: Place) -> Interpolation | None:
    """Return the nodes of the table that a place looks phi up in; None where it is exact."""
    return place.grid if isinstance(place, TwoArgActivation) and place.evaluation_in_use != "exact" else None


def _describe_all(chain: Chain, last: Layer) -> list[JsonObject]:
    """Return each part of a chain as JSON."""
    described: list[JsonObject] = []
    for part in chain:
        if isinstance(part, Residual):
            described.append({"type": "residual", "layers": _describe_all(part.chain, last)})
        elif (json := _describe(part, last=part is last)) is not None:
            described.append(json)
    return described


def _describe(layer: Layer, *, last: bool) -> JsonObject | None:
    """Return one layer as JSON; None for one that does nothing here. The page itself makes logits probabilities."""
    if last and isinstance(layer, keras.layers.Softmax):
        return None
    if last and isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.softmax:
        return {"type": "dense", **_weights(layer)}
    for kinds, describe in _DESCRIPTIONS:
        if isinstance(layer, kinds):
            return describe(layer)
    raise ValueError(f"The layer {layer.name!r} is a {type(layer).__name__}. {FITS}")


def _nothing(_: Layer) -> None:
    return None


def _flatten(layer: keras.layers.Flatten) -> JsonObject:
    _check(layer.data_format == "channels_last", layer, "data_format", layer.data_format)
    return {"type": "flatten"}


def _dense(layer: keras.layers.Dense) -> JsonObject:
    _check(layer.activation is keras.activations.linear, layer, "activation", layer.activation)
    return {"type": "dense", **_weights(layer)}


def _convolution(layer: keras.layers.Conv2D) -> JsonObject:
    _check(layer.activation is keras.activations.linear, layer, "activation", layer.activation)
    plain = (layer.padding, layer.strides, layer.dilation_rate, layer.groups) == ("valid", (1, 1), (1, 1), 1)
    _check(plain and layer.data_format == "channels_last", layer, "padding", layer.padding)
    return {"type": "convolution", **_weights(layer)}


def _weights(layer: keras.layers.Dense | keras.layers.Conv2D) -> JsonObject:
    kernel, *rest = layer.get_weights()
    bias = rest[0] if rest else np.zeros(kernel.shape[-1], kernel.dtype)
    return {"kernel": pack_array(kernel.astype("float32")), "bias": pack_array(bias.astype("float32"))}


def _normalize(layer: keras.layers.LayerNormalization) -> JsonObject:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    rank = _rank(layer)
    counted = sorted(axis % rank for axis in axes)
    over = "all" if counted == list(range(1, rank)) else "last"
    _check(over == "all" or counted == [rank - 1], layer, "axis", layer.axis)
    json: JsonObject = {"type": "normalize", "over": over, "epsilon": float(layer.epsilon)}
    learned = zip(layer.weights, layer.get_weights(), strict=True)  # gamma and beta, if there are any
    return json | {weight.name: pack_array(values.astype("float32")) for weight, values in learned}


def _embedding(layer: keras.layers.Embedding) -> JsonObject:
    _check(not layer.mask_zero, layer, "mask_zero", layer.mask_zero)
    return {"type": "embedding", "kernel": pack_array(layer.get_weights()[0].astype("float32"))}


def _positions(layer: PositionEmbedding) -> JsonObject:
    return {"type": "positions", "kernel": pack_array(layer.get_weights()[0].astype("float32"))}


def _attention(layer: keras.layers.MultiHeadAttention) -> JsonObject:
    """Describe attention of a sequence to itself: kernels `(width, heads, size)`, of the output reversed."""
    weights = layer.get_weights()
    names = ("query", "key", "value", "output")
    _check(len(weights) == 2 * len(names), layer, "use_bias", False)
    pairs = zip(names, weights[::2], weights[1::2], strict=True)
    packed = {
        name: {"kernel": pack_array(kernel.astype("float32")), "bias": pack_array(bias.astype("float32"))}
        for name, kernel, bias in pairs
    }
    return {"type": "attention", **packed}


def _units(layer: Place) -> JsonObject:
    _check(layer.arity == 2, layer, "arity", layer.arity)
    _check(layer.axis in (-1, _rank(layer) - 1), layer, "axis", layer.axis)
    json: JsonObject = {"type": "units", "pairing": layer.pairing, "exact": _grid(layer) is None}
    return json | {"pool": list(layer.pool_size)} if isinstance(layer, TwoArgMaxPooling2D) else json


def _pool(layer: keras.layers.MaxPooling2D) -> JsonObject:
    plain = layer.padding == "valid" and tuple(layer.strides) == tuple(layer.pool_size)
    _check(plain and layer.data_format == "channels_last", layer, "padding", layer.padding)
    return {"type": "pool", "size": list(layer.pool_size)}


def _rank(layer: keras.layers.Layer) -> int:
    return len(layer.input.shape)


def _check(fits: bool, layer: Layer, name: str, value: object) -> None:
    if not fits:
        raise ValueError(f"The layer {layer.name!r} has {name}={value!r}, which a page does not compute. {FITS}")


_DESCRIPTIONS: tuple[tuple[tuple[type, ...], Callable[..., JsonObject | None]], ...] = (
    ((keras.layers.InputLayer, keras.layers.Dropout), _nothing),
    ((keras.layers.Flatten,), _flatten),
    ((keras.layers.Dense,), _dense),
    ((keras.layers.Conv2D,), _convolution),
    ((keras.layers.LayerNormalization,), _normalize),
    ((TwoArgActivation, PairActivation), _units),
    ((keras.layers.MaxPooling2D,), _pool),
    ((keras.layers.Embedding,), _embedding),
    ((PositionEmbedding,), _positions),
    ((keras.layers.MultiHeadAttention,), _attention),
)


def _multiply_adds(layers: Sequence[Layer]) -> int:
    """Return the multiply-adds of the linear layers and of attention for one sample."""
    cost = 0
    for layer in layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            cost += prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
        elif isinstance(layer, keras.layers.MultiHeadAttention):
            positions, width = layer.output.shape[1:]
            cost += positions * layer.count_params() + 2 * positions**2 * width
    return cost
