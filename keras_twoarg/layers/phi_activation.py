"""Activation functions of phi's hidden layers: which ones are taken, and what a config says of them."""

import keras

from keras_twoarg.utils.types import Function


def without_weights(activation: Function) -> Function:
    """Return an activation function, or raise a ValueError if it is a layer with weights."""
    if isinstance(activation, keras.layers.Layer):
        try:
            layer = type(activation).from_config(activation.get_config())
            layer.build((None, 1))
        except (NotImplementedError, TypeError, ValueError):
            layer = activation  # it cannot be rebuilt, as a Lambda cannot, but it can be called
        if layer.weights:
            raise ValueError(
                "`activation` must have no weights: all hidden layers of phi apply one and the same function. "
                f"Received: activation={activation!r}"
            )
    return activation


def written_activation(activation: Function) -> object:
    """Return what a config says of an activation function, or raise a ValueError if Keras would take it for another."""
    written = keras.activations.serialize(activation)
    if isinstance(written, str) and keras.activations.get(written) is not activation:
        raise ValueError(
            f"Keras has a function named {written!r}, and would use it in files and copies in place of the activation. "
            f"Give yours another name. Received: activation={activation!r}"
        )
    return written
