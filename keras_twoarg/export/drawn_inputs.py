"""Random inputs in the range that a model takes, as far as its layers tell it."""

import keras
import numpy as np

from keras_twoarg.export.calibration import concrete
from keras_twoarg.utils.keras_internals import flatten_layers, producer
from keras_twoarg.utils.types import Layer, Model


def draw_inputs(model: Model, seed: int, number: int) -> np.ndarray:
    """Return inputs for a model with one input, as `formats.random_inputs` describes them."""
    (entry,), layers, rng = model.inputs, flatten_layers(model), np.random.default_rng(seed)
    shape, dtype = concrete(entry.shape, number), str(entry.dtype)
    floats = keras.backend.is_float_dtype(dtype)
    embeddings = [layer for layer in layers if isinstance(layer, keras.layers.Embedding)]
    pixels = dtype == "uint8" or any(isinstance(layer, keras.layers.Rescaling) and _is_early(layer) for layer in layers)
    if tokens := [int(one.input_dim) for one in embeddings if not floats or _reads_the_input(one)]:
        return rng.integers(0, min(tokens), shape).astype(dtype)
    if not floats:
        return rng.integers(0, 256 if pixels else 2, shape).astype(dtype)
    if pixels:
        return rng.uniform(0, 255, shape).astype(dtype)
    mean, deviation = _statistics(layers, shape)
    return (mean + deviation * rng.uniform(-2, 2, shape)).astype(dtype)


def _reads_the_input(layer: Layer) -> bool:
    """Return whether a layer is known to read a model's input: an embedding may read positions of its own."""
    return isinstance(_before(layer), keras.layers.InputLayer)


def _is_early(layer: Layer) -> bool:
    """Return whether nothing with weights is known to lie between a model's input and a layer."""
    while (before := _before(layer)) is not None and not isinstance(before, keras.layers.InputLayer):
        if getattr(before, "weights", ()):
            return False
        layer = before
    return True


def _before(layer: keras.layers.Layer) -> Layer | None:
    """Return the layer or operation that a layer reads, or None if it reads several or is called several times."""
    try:
        source = producer(layer.input)
    except (AttributeError, ValueError, TypeError):
        return None
    return None if source is None else source.operation


def _statistics(layers: list[Layer], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and deviation by which a layer normalizes inputs of a shape; without one, 0 and 0.5."""
    for layer in layers:
        if not isinstance(layer, keras.layers.Normalization) or getattr(layer, "mean", None) is None:
            continue
        mean, variance = (keras.ops.convert_to_numpy(one) for one in (layer.mean, layer.variance))
        if mean.ndim == len(shape) and all(own in (1, size) for own, size in zip(mean.shape, shape, strict=True)):
            return mean, np.sqrt(variance)
    return np.array(0.0), np.array(0.5)
