"""Calibration data, and what a model computes on them: the arguments at each place, and the outputs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_twoarg.analysis.density import pre_activations
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, names_of
from keras_twoarg.utils.batches import number_of, taken
from keras_twoarg.utils.types import Model, Samples, Shape

LOOKED_AT = 2000
"""Calibration samples whose pre-activations determine a table's nodes; predictions are counted on all samples."""
DRAWN = 200_000
"""Argument tuples per place, drawn at random, at which its table is compared with phi."""

UNKNOWN_SIZE, UNKNOWN_LENGTH = 64, 16
"""Sizes used for images of unknown size, which a model may halve a few times, and for sequences of unknown length."""

_BATCH = 125
_TIMED = 250
_ROUNDS = 3


@dataclass(frozen=True)
class Arguments:
    """The arguments that reach a place.

    Attributes:
        tuples: Some of them, `(N, arity)`.
        largest: The largest absolute value of all.
    """

    tuples: np.ndarray
    largest: float


def arguments(model: Model, places: Sequence[TwoArgActivation], samples: Samples | None) -> dict[str, Arguments]:
    """Return the arguments at each place, by its name in `names_of`; normally distributed ones without samples.

    Raises:
        ValueError: If they are not finite, or no sample reaches a place.
    """
    rng, names = np.random.default_rng(0), names_of(places)
    if samples is None:
        drawn = {name: rng.normal(size=(DRAWN, place.arity)).astype("float32") for place, name in names.items()}
        return {name: Arguments(tuples, float(np.abs(tuples).max())) for name, tuples in drawn.items()}
    number = number_of(samples)
    spread = np.linspace(0, number - 1, min(number, LOOKED_AT)).round().astype(int)  # data may be sorted by class
    batches = np.array_split(spread, -(-len(spread) // _BATCH))
    tuples: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}
    largest = dict.fromkeys(tuples, 1e-3)
    for batch in batches:
        for name, every in pre_activations(model, taken(samples, batch)).items():
            share = -(-DRAWN // len(batches))
            tuples[name].append(every if len(every) <= share else every[rng.integers(len(every), size=share)])
            largest[name] = float(np.maximum(largest[name], np.abs(every).max(initial=0.0)))  # which keeps NaN
    for name, parts in tuples.items():
        if not parts or not np.isfinite(largest[name]):
            raise ValueError(f"The calibration data produce no finite pre-activations at {name!r}")
    return {name: Arguments(np.concatenate(parts), largest[name]) for name, parts in tuples.items()}


def outputs(model: Model, samples: Samples) -> list[np.ndarray]:
    """Return a model's outputs, one array each, computed as in Keras' `predict`."""
    # Not `predict`, at whose end tf.data may wait as long again; and batches of one size, since each size is compiled.
    number = number_of(samples)
    parts = []
    for start in range(0, number, min(number, _BATCH)):
        batch = taken(samples, np.arange(start, start + min(number, _BATCH)) % number)
        parts.append(keras.tree.flatten(model.predict_on_batch(batch)))
    return [np.concatenate(column)[:number].astype("float32") for column in zip(*parts, strict=True)]


def seconds(model: Model, samples: Samples) -> tuple[int, float]:
    """Return the number of samples timed, and the median time to predict them once compiled."""
    first = taken(samples, slice(_TIMED))
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        outputs(model, first)
        times.append(time.perf_counter() - start)
    return number_of(first), float(np.median(times))


def checked(model: Model, samples: Samples) -> Samples:
    """Return calibration data as arrays, or raise a ValueError unless all inputs have equally many samples."""
    inputs = getattr(model, "inputs", None) or [None]
    if not isinstance(samples, dict | list | tuple) and not hasattr(samples, "shape"):  # a pipeline, a generator
        raise ValueError(
            f"`calibration` must be arrays. Received: {type(samples).__name__}. For batches of (inputs, labels), use "
            "`numpy.concatenate([x for x, _ in batches])`"
        )
    if isinstance(samples, tuple) and len(inputs) == 1:
        raise ValueError(
            f"`calibration` must be an array of inputs. Received: a tuple of {len(samples)}. Pass labels as `labels`"
        )
    several = isinstance(samples, dict) or len(inputs) > 1
    samples = keras.tree.map_structure(np.asarray, samples) if several else np.asarray(samples)
    arrays = keras.tree.flatten(samples)
    if len(arrays) != len(inputs):
        raise ValueError(f"`calibration` needs an array for each of {len(inputs)} inputs. Received: {len(arrays)}")
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    if lengths == {0}:
        raise ValueError("`calibration` holds no samples")
    if len(lengths) > 1:
        raise ValueError(f"`calibration` needs the same number of samples for each input. Received: {sorted(lengths)}")
    for array in arrays:
        _check_finite(array)
    return samples


def _check_finite(array: np.ndarray) -> None:
    if not np.issubdtype(array.dtype, np.inexact):
        return
    wrong = int((~np.isfinite(array).reshape(len(array), -1).all(axis=-1)).sum())
    if wrong:
        raise ValueError(
            f"`calibration` must be finite. Received: NaN or infinity in {wrong:,} of {len(array):,} samples"
        )


def concrete(shape: Shape, number: int = 1) -> tuple[int, ...]:
    """Return the shape of `number` samples, with default sizes in place of unknown ones.

    Examples:
        >>> concrete((None, None, None, 3), 5)
        (5, 64, 64, 3)
    """
    unknown = UNKNOWN_SIZE if len(shape) > 3 else UNKNOWN_LENGTH
    return (number, *(size or unknown for size in shape[1:]))
