"""Random inputs for any model, its outputs on them, and whether a converted model has the same."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import keras
import numpy as np

from keras_twoarg.models.conversion.graph import Wiring, calls, graphs, is_graph
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Model

_SAMPLES, _FEW_SAMPLES = 8, 2
_LARGE = 2**18  # values of one sample, from which on there are few
_OPEN_SIZE = 32  # of an axis whose size is open, such as time
_PIXELS = 256
_MAKES_SMALL = 0.1  # the factor of a `Rescaling` for pixels: 1 / 255 or 1 / 127.5
_ROUNDING = 1e-3  # relative to outputs, or to 1 if they are smaller
_SUM_OF_ERRORS = 0.1  # of phis that are nearly the old activations, relative to outputs


def random_arrays(model: Model, seed: int = 0) -> list[np.ndarray] | None:
    """Return one array for each input, such as the model takes, as far as its first layers tell.

    Numbers are normally distributed; where a `Normalization` reads them, as what it was adapted to. Pixels, which a
    `Rescaling` makes small, are uniform in [0, 255]; whole numbers are indices that an `Embedding` takes.

    Returns:
        The arrays in the order of `model.inputs`, or `None` if there is an input of another kind, such as text.
    """
    rng = np.random.default_rng(seed)
    indices = _largest_index(model)
    sizes = [tuple(size or _OPEN_SIZE for size in tensor.shape[1:]) for tensor in model.inputs]
    number = _FEW_SAMPLES if sum(map(prod, sizes)) >= _LARGE else _SAMPLES
    number = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0]), number)
    arrays = []
    for tensor, size in zip(model.inputs, sizes, strict=True):
        kind, shape = keras.backend.standardize_dtype(tensor.dtype), (number, *size)
        reader = _first_scaling(model, tensor)
        pixels = isinstance(reader, keras.layers.Rescaling) and np.max(np.abs(reader.scale)) < _MAKES_SMALL
        if kind == "bool":
            arrays.append(rng.integers(0, 2, shape).astype(bool))
        elif "int" in kind:
            largest = _PIXELS if pixels or (kind == "uint8" and not indices) else indices or 2
            arrays.append(rng.integers(0, largest, shape).astype(kind))
        elif "float" in kind and not getattr(tensor, "sparse", False):
            values = rng.uniform(0, _PIXELS - 1, shape) if pixels else _like_adapted(reader, rng.normal(size=shape))
            arrays.append(values.astype("float32"))
        else:
            return None
    return arrays


def outputs(model: Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Return a model's outputs for arrays in the order of `model.inputs`, and leave its states as they are."""
    with _kept_states(model):
        return _run(model, inputs)


def _run(model: Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    nested = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(getattr(model, "input", None), dict):
        nested = keras.tree.pack_sequence_as(model.input, inputs)
    returned = keras.tree.flatten(model(nested, training=False))
    return [np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))) for value in returned]


@contextmanager
def _kept_states(model: keras.Model) -> Iterator[None]:
    """Begin with no recurrent states, and restore all that a call may change: these, statistics and seeds."""
    recurrent = [layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.RNN) and layer.stateful]
    memories = [one for layer in recurrent for one in keras.tree.flatten(layer.states)]
    kept = [(one, np.array(keras.ops.convert_to_numpy(one))) for one in (*model.non_trainable_variables, *memories)]
    for one in memories:
        one.assign(np.zeros(one.shape))
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def compare(model: Model, converted: Model) -> tuple[float, float] | None:
    """Return the largest difference between two models' outputs on random inputs, and the first's largest output.

    Values count where the first model's are finite; the difference is not finite if the other's are not.

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
    finite = [(a[np.isfinite(a)], b[np.isfinite(a)]) for a, b in pairs]
    difference = np.max([np.abs(a - b).max(initial=0) for a, b in finite], initial=0)
    return float(difference), float(np.max([np.abs(a).max(initial=0) for a, _ in finite], initial=0))


def judged(model: Model, converted: Model, exact: bool) -> tuple[float, float] | None:
    """Compare two models that shall compute the same, and warn if they do not.

    Args:
        model: The first model.
        converted: The converted one.
        exact: Whether every phi is the old activation but for rounding.

    Returns:
        As `compare`.

    Raises:
        ValueError: If the converted model returns NaN or infinity where the first one does not.
    """
    try:
        compared = compare(model, converted)
    except Exception as error:  # out of memory, for example: what was converted shall not be lost
        cause = " ".join(str(error).split())[:150]
        warnings.warn(f"{model.name!r} runs on random inputs, but the converted model fails: {cause}", stacklevel=4)
        return None
    if compared is None:
        return None
    difference, scale = compared
    if not np.isfinite(difference):
        raise ValueError(
            f"The converted {model.name!r} returns NaN or infinity on random inputs where the model does not: a small "
            "error of phi is fatal there, as before a logarithm. Leave that activation out of `where`, or use "
            "keep='parameters'"
        )
    exact = exact and not any(layer.compute_dtype in ("float16", "bfloat16") for layer in flatten_layers(model))
    largest = _ROUNDING * max(1, scale) if exact else _SUM_OF_ERRORS * scale
    if difference > largest and not _is_random(model, largest):
        why = "more than rounding explains" if exact else "the errors of phi add up over the layers"
        warnings.warn(
            f"Outputs of the converted {model.name!r} differ from the model's by up to {difference:.1e} on random "
            f"inputs, for outputs up to {scale:.2g}: {why}. Check it on your data before you rely on it",
            stacklevel=4,
        )
    return compared


def _is_random(model: Model, largest: float) -> bool:
    """Tell whether a model's own outputs differ by more than that from one call to the next, as those of sampling."""
    inputs = random_arrays(model) or []
    with _kept_states(model):
        pairs = list(zip(_run(model, inputs), _run(model, inputs), strict=True))
    return any(np.abs(a - b).max(initial=0) > largest for a, b in pairs)


def _first_scaling(model: Model, tensor: keras.KerasTensor) -> keras.Operation | None:
    """Return the `Rescaling` or `Normalization` that reads an input before any layer with weights, or None."""
    wiring, waiting = Wiring(model), [tensor]
    while waiting:
        tensor = waiting.pop()
        for call in wiring.readers(tensor):
            operation, found = call.operation, None
            if is_graph(operation):
                own = [inner for outer, inner in zip(call.data, operation.inputs, strict=False) if outer is tensor]
                found = next(filter(None, (_first_scaling(operation, inner) for inner in own)), None)
            elif isinstance(operation, keras.layers.Rescaling | keras.layers.Normalization):
                return operation
            if found is not None:
                return found
            if not getattr(operation, "weights", ()):
                waiting += call.outputs
    return None


def _like_adapted(reader: keras.Operation | None, values: np.ndarray) -> np.ndarray:
    """Return normally distributed values with the mean and deviation that a `Normalization` takes away."""
    if not isinstance(reader, keras.layers.Normalization) or reader.invert or getattr(reader, "mean", None) is None:
        return values
    mean, variance = (keras.ops.convert_to_numpy(one) for one in (reader.mean, reader.variance))
    return mean + np.sqrt(variance) * values


def _largest_index(model: Model) -> int | None:
    """Return a number below which every whole number is an index of each `Embedding`, or None without one."""
    layers = [call.operation for graph in graphs(model) for call in calls(graph)]
    sizes = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    return min(sizes, default=None)
