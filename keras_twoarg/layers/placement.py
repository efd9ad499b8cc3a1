"""Where layers that pair pre-activations may not be used: as another layer's `activation`, and across pixels.

Keras layers that take an `activation` declare one output per unit, whatever the activation returns: `Dense(6,
activation=TwoArgActivation())` would declare 6 outputs and have 3.
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
    """Raise a ValueError if the layer is being called as the `activation` of a Keras layer.

    A layer is not told when it becomes another's activation, so the first call is the earliest moment to notice.
    """
    parent = next(reversed(layers_being_called()), None)
    while isinstance(parent, keras.layers.TimeDistributed):  # it runs its layer's `call` directly
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

    The data format is that of the nearest preceding layer that has one, as long as the layers in between keep the
    shape. It is unknown for tensors outside a graph. A list with one tensor per argument needs no axis.
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
    """Return the data format of the images in a symbolic tensor if the preceding layers reveal it, else None."""
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
