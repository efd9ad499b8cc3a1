"""Random inputs for any model, and its outputs on them."""

import keras
import numpy as np

from keras_twoarg.models.conversion.graph import calls, graphs
from keras_twoarg.utils.types import Model

_SAMPLES = 8
_OPEN_SIZE = 32  # of an axis whose size is open, such as time


def random_arrays(model: Model, seed: int = 0) -> list[np.ndarray] | None:
    """Return one array for each input: normally distributed, or whole numbers that an `Embedding` takes.

    Returns:
        The arrays in the order of `model.inputs`, or `None` if there is an input of another kind, such as text.
    """
    rng = np.random.default_rng(seed)
    largest = _largest_index(model)
    arrays = []
    for tensor in model.inputs:
        kind = keras.backend.standardize_dtype(tensor.dtype)
        shape = (_SAMPLES, *(size or _OPEN_SIZE for size in tensor.shape[1:]))
        if kind == "bool":
            arrays.append(rng.integers(0, 2, shape).astype(bool))
        elif "int" in kind:
            arrays.append(rng.integers(0, largest, shape).astype(kind))
        elif "float" in kind and not getattr(tensor, "sparse", False):
            arrays.append(rng.normal(size=shape).astype("float32"))
        else:
            return None
    return arrays


def outputs(model: Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Return a model's outputs for arrays in the order of `model.inputs`."""
    nested = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(getattr(model, "input", None), dict):
        nested = keras.tree.pack_sequence_as(model.input, inputs)
    returned = keras.tree.flatten(model(nested, training=False))
    return [np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))) for value in returned]


def compare(model: Model, converted: Model) -> tuple[float, float] | None:
    """Return the largest difference between two models' outputs on random inputs, and the first's largest output.

    Returns:
        Both, or `None` where the first model has no random inputs, or does not run on them.
    """
    inputs = random_arrays(model)
    if inputs is None:
        return None
    try:
        before = outputs(model, inputs)
    except Exception:  # as of channels_first images on TensorFlow's CPU, or layers that expect other values
        return None
    pairs = list(zip(before, outputs(converted, inputs), strict=True))
    difference = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    return difference, max(float(np.abs(a).max(initial=0)) for a, _ in pairs)


def _largest_index(model: Model) -> int:
    """Return a number below which every whole number is an index of each `Embedding`."""
    layers = [call.operation for graph in graphs(model) for call in calls(graph)]
    sizes = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    return min(sizes, default=2)
