"""A copy of a layer: rebuilt from its config with the functions that it was given, and given its weights.

A file can only name a function, and Keras runs no lambda from one. Here the layer is at hand, and so are its functions:
they are used as they are, registered or not.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

import keras
import numpy as np

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


def copy_weights(layer: keras.Operation, twin: keras.Operation) -> None:
    """Give a copy of a layer its weights, in the way of files: what a layer makes of them and vocabularies included.

    `set_weights` would leave an adapted `Normalization` with the constants of its first weights. Operations without
    weights, such as those of `keras.ops`, are passed over.
    """
    if not isinstance(layer, keras.layers.Layer):
        return
    parts, its_parts = list(flatten_layers(layer)), list(flatten_layers(twin))
    if len(parts) > len(its_parts):  # a copy without its activation, which may be a layer
        parts = [part for part in parts if part is not getattr(layer, "activation", None)]
    for old, new in zip(parts, its_parts, strict=True):
        store: Config = {}
        old.save_own_variables(store)
        if store:
            new.load_own_variables({key: np.asarray(keras.ops.convert_to_numpy(v)) for key, v in store.items()})
        if hasattr(old, "save_assets") and hasattr(new, "load_assets"):
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)
