"""A Keras model as one chain of layers; a residual connection is a part of it whose input is added to its output."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras

from keras_twoarg.utils.types import Layer, Model


@dataclass(frozen=True)
class Residual:
    """What is added to its own input: x + chain(x)."""

    chain: "Chain"


Chain: TypeAlias = Sequence[Layer | Residual]


def chain_of(model: Model) -> Chain:
    """Return the layers of a model in order, without its input.

    Examples:
        >>> from keras_twoarg.experiments.play.chain import Residual, chain_of
        >>> [isinstance(part, Residual) for part in chain_of(models.transformer((8,), classes=5, widths=(4,)))]
        [False, False, True, True, False, False]

    Raises:
        ValueError: If the model is a class of its own, or branches otherwise.
    """
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    if not hasattr(model, "operations"):
        raise ValueError(f"{model.name!r} is a model of a class of its own")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(f"{model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
    # A layer that is called twice has several outputs, of which this holds the first: the walk stops at the others.
    order = {id(operation.output): place for place, operation in enumerate(model.operations)}
    return _between(model, order, model.inputs[0], model.outputs[0])


def layers_of(chain: Chain) -> Iterator[Layer]:
    """Yield the layers of a chain, of its residual parts too."""
    for part in chain:
        if isinstance(part, Residual):
            yield from layers_of(part.chain)
        else:
            yield part


def _between(model: Model, order: Mapping[int, int], start: keras.KerasTensor, end: keras.KerasTensor) -> Chain:
    """Return the chain from one tensor to another, walking back from its end."""
    parts: list[Layer | Residual] = []
    while end is not start:
        place = order.get(id(end))
        layer = None if place is None else model.operations[place]
        tensors = _inputs(layer) if isinstance(layer, keras.layers.Layer) else []
        if isinstance(layer, keras.layers.Add) and len(tensors) == 2 and all(id(tensor) in order for tensor in tensors):
            skip, branch = sorted(tensors, key=lambda tensor: order[id(tensor)])
            parts.append(Residual(_between(model, order, skip, branch)))
            end = skip
        elif len(tensors) == 1 and not isinstance(layer, keras.layers.InputLayer):
            parts.append(layer)
            end = tensors[0]
        else:
            raise ValueError(f"{model.name!r} branches at {layer.name if layer else 'a layer that is called twice'!r}")
    return parts[::-1]


def _inputs(layer: Layer) -> list[keras.KerasTensor]:
    """Return the tensors that a layer is called with, each once."""
    tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return list({id(tensor): tensor for tensor in tensors}.values())
