"""Everything that a layer has learned, given to a copy of it."""

import tempfile

import keras
import numpy as np

from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Config


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
