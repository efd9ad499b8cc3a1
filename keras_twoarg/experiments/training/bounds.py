"""What a model takes for black and white: [-1, 1] if it was trained here, and a user's own model whatever it wants."""

import keras
import numpy as np

from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Model

Bounds = tuple[float, float]
"""Inputs for black and for white."""
OURS: Bounds = (-1.0, 1.0)
"""Those of the networks that are trained here, and of `datasets.scale`."""


def bounds_of(model: Model, bounds: Bounds | None, kind: str = "images") -> Bounds:
    """Return what a model takes for black and white: the given bounds, or else `OURS`.

    Raises:
        ValueError: If none are given for images and the model scales its inputs by itself, so that `OURS` would be
            wrong; if they are given for other data; or if the first one is not the lower one.
    """
    if bounds is None:
        if kind == "images" and scales(model):
            raise ValueError(
                f"The model {model.name!r} scales images by itself. Tell what it takes for black and white, such as "
                "--bounds 0 255"
            )
        return OURS
    if kind != "images":
        raise ValueError(f"--bounds scales images, and the data are {kind}. Leave it out")
    low, high = bounds
    if not low < high:
        raise ValueError(f"--bounds must be two numbers, the lower one first. Received: {low:g} {high:g}")
    return bounds


def scales(model: Model) -> bool:
    """Tell whether a model scales its inputs by itself."""
    layers = flatten_layers(model)
    return any(isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) for layer in layers)


def rescaled(images: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Return images from [-1, 1] between other bounds."""
    low, high = bounds
    return images if bounds == OURS else (low + (images + 1) * (high - low) / 2).astype("float32")
