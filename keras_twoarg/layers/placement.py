"""Where a layer that pairs pre-activations may stand: not as another layer's `activation`, nor across pixels.

Keras layers that take an `activation` declare as many outputs as they have units, whatever the activation makes of
them. `Dense(6, activation=TwoArgActivation())` would say that it has 6 outputs, and have 3.
"""

from typing import Protocol

import keras

from keras_twoarg.utils.keras_internals import applies_activation, layers_being_called, producer
from keras_twoarg.utils.types import Layer, Tensor

_HALVING = "A layer that gives each unit several pre-activations cannot be another layer's activation"


class _Pairing(Layer, Protocol):
    @property
    def arity(self) -> int: ...


def refuse_as_activation(layer: _Pairing) -> None:
    """Raise a ValueError if the layer is being called as the `activation` of a layer of Keras.

    Keras says nothing when a layer takes its activation; so the first call is the earliest time to tell.
    """
    parent = next(reversed(layers_being_called()), None)
    while isinstance(parent, keras.layers.TimeDistributed):  # it runs its layer's `call` without calling the layer
        parent = parent.layer
    if parent is None or parent is layer or not applies_activation(parent, layer):
        return
    raise ValueError(
        f"{_HALVING}: {type(parent).__name__} declares one output for each of its units, and {type(layer).__name__} "
        f"makes one of {layer.arity}. {_remedy(parent, layer.arity)}. "
        f"Received: {type(parent).__name__}(activation={type(layer).__name__}(...)) named {parent.name!r}"
    )


def _remedy(parent: Layer, arity: int) -> str:
    if hasattr(parent, "state_size"):
        return "Use keras.layers.RNN(TwoArgRNNCell(units, inner))"
    if isinstance(parent, keras.layers.Activation):
        return "Use the layer itself in place of Activation(...)"
    several = f"the layer with {arity} times the units, followed by the activation as a layer of its own"
    if isinstance(parent, keras.layers.Dense):
        return f"Use TwoArgDense(units, inner), or {several}: Dense({arity} * units), TwoArgActivation(inner)"
    return f"Use {several}: {type(parent).__name__}({arity} * units), TwoArgActivation(inner)"


def refuse_across_pixels(axis: int, inputs: object) -> None:
    """Raise a ValueError if the last axis of symbolic inputs holds pixels, as in channels_first images.

    The nearest layer in front that has a `data_format` tells, through layers that keep the shape. Tensors outside of a
    graph tell nothing. A list of tensors, one for each argument, pairs what lies at the same place: on any axis.
    """
    if not isinstance(inputs, keras.KerasTensor):
        return
    rank = len(inputs.shape)
    if rank > 2 and axis in (-1, rank - 1) and _data_format(inputs) == "channels_first":
        raise ValueError(
            "The last axis of channels_first images holds pixels, and units would take neighbouring pixels as "
            f"their arguments. Use axis=1. Received: axis={axis}, shape={tuple(inputs.shape)}"
        )


def _data_format(tensor: Tensor) -> str | None:
    """Return the data format of the images that a symbolic tensor holds, where the layers in front say it."""
    while (source := producer(tensor)) is not None:
        if hasattr(source.operation, "data_format"):
            return str(source.operation.data_format)
        same_shape = len(source.inputs) == 1 and tuple(source.inputs[0].shape) == tuple(tensor.shape)
        if not same_shape or not isinstance(source.operation, keras.layers.Layer):
            return None
        if isinstance(source.operation, keras.layers.Permute | keras.layers.Reshape):
            return None
        tensor = source.inputs[0]
    return None
