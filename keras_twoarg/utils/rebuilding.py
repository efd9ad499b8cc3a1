"""A layer made anew from the config of one that is there, with the functions that it was given.

A file can only name a function, and Keras runs no lambda from one. Here the layer is at hand, and so are its functions:
they are used as they are, registered or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

import keras

from keras_twoarg.utils.keras_internals import flatten_layers, lambda_arguments
from keras_twoarg.utils.types import Config


def live_config(operation: keras.Operation) -> Config:
    """Return the config of a layer or operation, with its functions themselves where the constructor takes them.

    Raises:
        ValueError: If it has no config.
    """
    if type(operation) is keras.layers.Lambda:
        return lambda_arguments(operation)
    with _said(operation):
        config: Config = operation.get_config()
    if not type(operation).from_config.__module__.startswith("keras."):
        return config  # it may expect what it writes
    held = {key: getattr(operation, key, None) for key in config}
    return config | {key: value for key, value in held.items() if isinstance(value, FunctionType)}


def rebuild(operation: keras.Operation, config: Config) -> keras.Operation:
    """Return a new layer or operation of the same class from its `live_config`, or from a changed one.

    Raises:
        ValueError: If that cannot be done.
    """
    kind = type(operation)
    with _said(operation), keras.saving.custom_object_scope(_named_functions(operation)):
        return kind(**config) if kind is keras.layers.Lambda else kind.from_config(config)


def _named_functions(operation: keras.Operation) -> dict[str, FunctionType]:
    """Return the functions that a layer and those within it hold, by the names that configs have for them."""
    layers = flatten_layers(operation) if isinstance(operation, keras.layers.Layer) else []
    held = [value for layer in layers for value in vars(layer).values() if isinstance(value, FunctionType)]
    return {one.__name__: one for one in held if not one.__module__.startswith("keras.")}


@contextmanager
def _said(operation: keras.Operation) -> Iterator[None]:
    """Raise a ValueError that names the layer which cannot be rebuilt."""
    try:
        yield
    except (TypeError, ValueError, NotImplementedError, KeyError, AttributeError) as error:
        cause = str(error).split("Exception encountered: ")[-1]  # Keras repeats the whole config in front of it
        reason = " ".join(cause.split())[:150]
        raise ValueError(
            f"The layer {operation.name!r} of class {type(operation).__name__} cannot be rebuilt from its config "
            f"({reason}). Define get_config, as for saving"
        ) from error
