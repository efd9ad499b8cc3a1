"""Copy everything a layer has learned to its twin."""

import tempfile
from collections.abc import Callable

import keras
import numpy as np

from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Config


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
