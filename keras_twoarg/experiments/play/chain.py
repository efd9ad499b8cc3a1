"""A Keras model as one chain of layers, in which a residual connection is a part of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras

from keras_twoarg.models.conversion.graph import Wiring, is_graph
from keras_twoarg.utils.types import Layer, Model


@dataclass(frozen=True)
class Residual:
    """A residual connection: x + chain(x)."""

    chain: "Chain"


Chain: TypeAlias = Sequence[Layer | Residual]


def chain_of(model: Model) -> Chain:
    """Return the layers of a model in order, without its input.

    Examples:
        >>> from keras_twoarg.experiments.play.chain import Residual, chain_of
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
