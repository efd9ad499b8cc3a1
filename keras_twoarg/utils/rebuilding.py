"""A copy of a layer: rebuilt from its config with the functions that it was given.

A file can only name a function, and Keras does not run lambdas from files. Here the layer and its functions exist, so
they are used directly, registered or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

import keras

from keras_twoarg.utils.keras_internals import flatten_layers, lambda_arguments
from keras_twoarg.utils.types import Config


def live_config(operation: keras.Operation) -> Config:
    """Return the config of a layer or operation, with function objects in place of their names.

    Raises:
        ValueError: If it has no config.
    """
    if type(operation) is keras.layers.Lambda:
        return lambda_arguments(operation)
    with _said(operation):
        config: Config = operation.get_config()
    if not type(operation).from_config.__module__.startswith("keras."):
        return config  # a custom from_config may expect the names
    held = {key: getattr(operation, key, None) for key in config}
    return config | {key: value for key, value in held.items() if isinstance(value, FunctionType)}


def rebuild(operation: keras.Operation, config: Config) -> keras.Operation:
    """Return a new layer or operation of the same class from its `live_config`, possibly modified.

    Raises:
        ValueError: If it cannot be rebuilt.
    """
    kind = type(operation)
    with _said(operation), keras.saving.custom_object_scope(_named_functions(operation)):
        return kind(**config) if kind is keras.layers.Lambda else kind.from_config(config)


def _named_functions(operation: keras.Operation) -> dict[str, FunctionType]:
    """Return the functions that a layer and the layers within it hold, by the names that their configs use."""
    layers = flatten_layers(operation) if isinstance(operation, keras.layers.Layer) else []
    held = [value for layer in layers for value in vars(layer).values() if isinstance(value, FunctionType)]
    return {one.__name__: one for one in held if not one.__module__.startswith("keras.")}


@contextmanager
def _said(operation: keras.Operation) -> Iterator[None]:
    """Turn errors into a ValueError that names the layer which cannot be rebuilt."""
    try:
        yield
    except (TypeError, ValueError, NotImplementedError, KeyError, AttributeError) as error:
        cause = str(error).split("Exception encountered: ")[-1]  # Keras puts the whole config first
        reason = " ".join(cause.split())[:150]
        raise ValueError(
            f"The layer {operation.name!r} of class {type(operation).__name__} cannot be rebuilt from its config "
            f"({reason}). Define get_config, as for saving"
        ) from error
