"""A Keras model as the chain of layers that the page computes; a residual connection is a part of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import keras
import numpy as np

from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.play.phi import Place, arity_of, grid_of, is_place, places_of
from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.layers.two_arg_max_pooling2d import TwoArgMaxPooling2D
from keras_twoarg.models.conversion.graph import Wiring, is_graph
from keras_twoarg.models.transformer import PositionEmbedding
from keras_twoarg.utils.types import JsonObject, Layer, Model

MOST_PARAMETERS = 1_000_000
MOST_MULTIPLY_ADDS = 3_000_000
"""Of one image; with more, the page's 500 images would take seconds."""
MOST_MULTIPLY_ADDS_OF_TEXT = 60_000_000
"""Of one window of text; a page has 16."""
FITS = (
    "A page can compute chains of Dense, Conv2D, LayerNormalization, units of one or two arguments, MaxPooling2D and "
    "Dropout, with residual connections; and causal Transformers as `models.transformer` builds them"
)


@dataclass(frozen=True)
class Residual:
    """A residual connection: x + chain(x)."""

    chain: "Chain"


Chain: TypeAlias = Sequence[Layer | Residual]


def network_layers(model: Model) -> list[JsonObject]:
    """Return the layers of a model, in order, as JSON.

    Args:
        model: A Sequential model, or a functional one that is a chain with residual connections, of `Dense`, `Conv2D`
            (3x3 and the like, without padding and strides), `LayerNormalization`, `TwoArgActivation`,
            `TwoArgMaxPooling2D`, `PairActivation`, `Activation`, `MaxPooling2D`, `Flatten`, `Dropout`, `Embedding`,
            `PositionEmbedding` and `MultiHeadAttention` of a sequence to itself; the last layer may have or be a
            softmax. `page.py` checks that attention is causal.

    Raises:
        ValueError: If the model has other layers, or too many parameters or multiply-adds.
    """
    try:
        chain = chain_of(model)
    except ValueError as error:
        raise ValueError(f"{error}. {FITS}") from error
    layers = list(layers_of(chain))
    described = _describe_all(chain, layers[-1])
    others = [layer for layer in layers if is_place(layer) and layer not in places_of(model)]
    if others:
        raise ValueError(f"The layer {others[0].name!r} does not apply phi. {FITS}")
    if model.count_params() > MOST_PARAMETERS:
        raise ValueError(
            f"{model.count_params():,} parameters are more than the {MOST_PARAMETERS:,} that the page computes with"
        )
    text = any(isinstance(layer, keras.layers.Embedding) for layer in layers)
    most, sample = (MOST_MULTIPLY_ADDS_OF_TEXT, "a window") if text else (MOST_MULTIPLY_ADDS, "an image")
    if (cost := _multiply_adds(layers)) > most:
        raise ValueError(f"{cost:,} multiply-adds for {sample} are more than the {most:,} that the page computes")
    return described


def chain_of(model: Model) -> Chain:
    """Return the layers of a model in order, without its input.

    Examples:
        >>> [isinstance(part, Residual) for part in chain_of(models.transformer((8,), classes=5, widths=(4,)))]
        [False, False, True, True, False, False]

    Raises:
        ValueError: If the model is subclassed, or has branches other than residual connections.
    """
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    if not is_graph(model):
        raise ValueError(f"{model.name!r} is a subclassed model")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"{model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
    return _between(model, Wiring(model), model.inputs[0], model.outputs[0])


def layers_of(chain: Chain) -> Iterator[Layer]:
    """Yield the layers of a chain, including those of its residual parts."""
    for part in chain:
        if isinstance(part, Residual):
            yield from layers_of(part.chain)
        else:
            yield part


def _between(model: Model, wiring: Wiring, start: keras.KerasTensor, end: keras.KerasTensor) -> Chain:
    """Return the chain from one tensor to another, walking back from its end."""
    parts: list[Layer | Residual] = []
    while end is not start:
        call = wiring.maker(end)
        tensors = sorted(
            {id(tensor): tensor for tensor in call.inputs}.values(),
            key=lambda tensor: wiring.calls.index(wiring.maker(tensor)),
        )
        if isinstance(call.operation, keras.layers.Add) and len(tensors) == 2:
            parts.append(Residual(_between(model, wiring, *tensors)))  # the earlier tensor is the input
        elif len(tensors) == 1 and isinstance(call.operation, keras.layers.Layer):
            parts.append(call.operation)
        else:
            raise ValueError(f"{model.name!r} branches at {call.operation.name!r}")
        end = tensors[0]
    return parts[::-1]


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
    """Return one layer as JSON, or None if it does nothing in inference. The page itself applies the last softmax."""
    function = layer.activation if isinstance(layer, keras.layers.Activation) else None
    softmax = function is keras.activations.softmax or isinstance(layer, keras.layers.Softmax)
    if function is keras.activations.linear or (last and softmax):
        return None
    _check(function is not keras.activations.softmax, layer, "activation", function)
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
    _check(not (scaled := getattr(layer, "rms_scaling", False)), layer, "rms_scaling", scaled)
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
    """Describe self-attention: kernels `(width, heads, size)`; that of the output is `(heads, size, width)`."""
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
    _check((arity := arity_of(layer)) <= 2, layer, "arity", arity)
    json: JsonObject = {"type": "units", "arity": arity, "exact": grid_of(layer) is None}
    if isinstance(layer, keras.layers.Activation):
        return json | {"pairing": "adjacent"}
    _check(layer.axis in (-1, _rank(layer) - 1), layer, "axis", layer.axis)
    json["pairing"] = layer.pairing
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
    ((TwoArgActivation, PairActivation, keras.layers.Activation), _units),
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
