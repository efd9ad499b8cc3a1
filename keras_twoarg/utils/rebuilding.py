"""A copy of a layer: rebuilt from its config with the functions that it was given, and with what it has learned.

A file can only name a function, and Keras does not run lambdas from files. Here the layer and its functions exist, so
they are used directly, registered or not.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType

import keras
import numpy as np

from keras_twoarg.utils.keras_internals import flatten_layers, lambda_arguments
from keras_twoarg.utils.types import Config


class CannotRebuild(ValueError):
    """A layer cannot be rebuilt from its config; the message names it."""


def live_config(operation: keras.Operation) -> Config:
    """Return the config of a layer or operation, with function objects in place of their names.

    Raises:
        ValueError: If it has no config.
    """
    if type(operation) is keras.layers.Lambda:
        return lambda_arguments(operation)
    with _said(operation), _set_aside(operation) as partials:
        config: Config = operation.get_config()
    config |= {key: value for key, value in partials.items() if key in config}
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
    with _said(operation), keras.saving.custom_object_scope(_named_functions(operation, config)):
        return kind(**config) if kind is keras.layers.Lambda else kind.from_config(config)


def is_given(layer: keras.Operation) -> bool:
    """Tell whether a layer's weights are given to training, not made by it: frozen, or adapted to the data."""
    return isinstance(layer, keras.layers.Layer) and bool(layer.weights) and (_is_adapted(layer) or not layer.trainable)


def copy_given(layer: keras.Operation, twin: keras.Operation) -> None:
    """Copy only the weights that training is not meant to change: those of frozen layers, and what `adapt` computed."""
    copy_weights(layer, twin, lambda part: _is_adapted(part) or not part.trainable)


def _is_adapted(layer: keras.Operation) -> bool:
    return hasattr(layer, "adapt")


def copy_weights(
    layer: keras.Operation, twin: keras.Operation, only: Callable[[keras.layers.Layer], bool] = lambda part: True
) -> None:
    """Copy a layer's weights and vocabularies to its twin, as saving and loading a file would.

    `set_weights` would leave an adapted `Normalization` with the constants derived from its initial weights. Operations
    without weights, such as those of `keras.ops`, are skipped, and so are the layers within that `only` rejects.
    """
    if not isinstance(layer, keras.layers.Layer):
        return
    parts, its_parts = list(flatten_layers(layer)), list(flatten_layers(twin))
    if len(parts) > len(its_parts):  # a copy without its activation, which may be a layer
        parts = [part for part in parts if part is not getattr(layer, "activation", None)]
    for old, new in zip(parts, its_parts, strict=True):
        if not only(old):
            continue
        store: Config = {}
        old.save_own_variables(store)
        if store:
            new.load_own_variables({key: np.asarray(keras.ops.convert_to_numpy(v)) for key, v in store.items()})
        if hasattr(old, "save_assets") and hasattr(new, "load_assets"):
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)


def _named_functions(operation: keras.Operation, config: Config) -> dict[str, FunctionType]:
    """Return the functions that a layer and the layers within it hold, by the names that their configs use.

    Raises:
        ValueError: If configs of the layers within use one name for different functions.
    """
    layers = flatten_layers(operation) if isinstance(operation, keras.layers.Layer) else []
    held = {
        (id(layer), key): value
        for layer in layers
        for key, value in vars(layer).items()
        if isinstance(value, FunctionType) and not value.__module__.startswith("keras.")
    }
    named: dict[str, FunctionType] = {}
    for layer in layers:
        for key in config if layer is operation else _keys(layer):
            one = held.get((id(layer), key))
            if one is None or (layer is operation and config[key] is one):
                continue
            if named.setdefault(one.__name__, one) is not one:
                raise ValueError(f"it holds different functions named {one.__name__!r}: give them names of their own")
    return {one.__name__: one for one in held.values()} | named


def _keys(layer: keras.layers.Layer) -> Iterable[str]:
    """Return the names of a layer's arguments; none if it has no config."""
    try:
        return list(layer.get_config())
    except (TypeError, ValueError, NotImplementedError):
        return ()


@contextmanager
def _set_aside(operation: keras.Operation) -> Iterator[Config]:
    """Take the `functools.partial` objects of a layer away, which Keras cannot put into a config; yield them."""
    partials = {key: value for key, value in vars(operation).items() if isinstance(value, partial)}
    vars(operation).update(dict.fromkeys(partials, keras.activations.linear))
    try:
        yield partials
    finally:
        vars(operation).update(partials)


@contextmanager
def _said(operation: keras.Operation) -> Iterator[None]:
    """Turn errors into a ValueError that names the layer which cannot be rebuilt."""
    try:
        yield
    except (TypeError, ValueError, NotImplementedError, KeyError, AttributeError) as error:
        cause = str(error).split("Exception encountered: ")[-1]  # Keras puts the whole config first
        reason = " ".join(cause.split())[:150]
        raise CannotRebuild(
            f"The layer {operation.name!r} of class {type(operation).__name__} cannot be rebuilt from its config "
            f"({reason}). Define get_config, as for saving"
        ) from error
