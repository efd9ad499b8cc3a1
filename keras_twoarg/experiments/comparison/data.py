"""A user's arrays: whether they fit together, their split for a seed, and their fingerprint."""

import zlib
from collections.abc import Sequence

import keras
import numpy as np

from keras_twoarg.utils.batches import number_of, taken
from keras_twoarg.utils.types import ArrayLike, Arrays, Config, Model

Samples = tuple[Arrays, ...]
"""Inputs, targets and, if there are any, weights: arrays, or lists or dicts of them, with one sample for each row."""


def checked(name: str, samples: Samples, least: int) -> Samples:
    """Return all parts of samples as NumPy arrays, or raise a ValueError saying what is wrong with them."""
    if not isinstance(samples, tuple | list) or len(samples) not in (2, 3):
        raise ValueError(
            f"`{name}` must be a tuple of inputs and targets, and of weights if there are any. Received: "
            f"{type(samples).__name__}"
        )
    x, y, *weights = (_arrays(name, part) for part in samples if part is not None)
    for array in keras.tree.flatten(y):
        if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
            raise ValueError(
                f"The targets of `{name}` must be numbers. Received: {array.dtype}, such as "
                f"{array.ravel()[:1].tolist()}. `numpy.unique(labels, return_inverse=True)` numbers labels"
            )
    for array in keras.tree.flatten(weights):
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all() or array.min(initial=0) < 0:
            raise ValueError(f"The weights of the samples of `{name}` must be finite numbers of at least 0")
    numbers = {len(array) for array in keras.tree.flatten((x, y, weights))}
    if len(numbers) != 1:
        raise ValueError(f"`{name}` must have as many targets as inputs. Received arrays of {sorted(numbers)} samples")
    if min(numbers) < least:
        raise ValueError(f"`{name}` must have at least {least} samples. Received: {min(numbers)}")
    return x, y, *(keras.tree.map_structure(lambda array: array.astype("float32"), each) for each in weights)


def as_arguments(samples: Samples) -> Config:
    """Return samples as keyword arguments of `fit` and `evaluate`."""
    return dict(zip(("x", "y", "sample_weight"), samples, strict=False))


def _arrays(name: str, nested: Arrays) -> Arrays:
    def array(value: ArrayLike) -> np.ndarray:
        converted = np.asarray(value)
        if converted.dtype == object and all(isinstance(one, str) for one in converted.ravel()):
            converted = converted.astype(str)  # as pandas gives texts
        if converted.dtype == object or converted.ndim == 0:
            what = "Python objects" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(
                f"`{name}` must be arrays, or lists or dicts of arrays, with one row per sample. Received: {what}"
            )
        return converted

    if isinstance(nested, dict):
        return {key: array(value) for key, value in nested.items()}
    if isinstance(nested, list | tuple) and _holds_arrays(nested):
        return [array(value) for value in nested]
    return array(nested)


def _holds_arrays(nested: Sequence[ArrayLike]) -> bool:
    return bool(nested) and all(np.ndim(value) > 0 and hasattr(value, "shape") for value in nested)


def check_labels(network: Model, name: str, y: Arrays) -> None:
    """Raise a ValueError if integer labels are none of the classes that a network has.

    TensorFlow says so in the words of a node deep inside, and only where a batch holds one; JAX trains on regardless.
    """
    if isinstance(network.loss, dict) and isinstance(y, dict) and isinstance(network.output, dict):
        named = [(network.loss.get(key), network.output.get(key), labels) for key, labels in y.items()]
    else:
        named = [(network.loss, network.outputs[0], y)] if len(network.outputs) == 1 else []
    for loss, output, labels in named:
        classes = output.shape[-1] if output is not None else None
        if not isinstance(labels, np.ndarray) or not _is_sparse(loss) or classes is None or not labels.size:
            continue
        ignored = getattr(loss, "ignore_class", None)
        counted = labels if ignored is None else labels[labels != ignored]
        if counted.size and not 0 <= counted.min() <= counted.max() < classes:
            raise ValueError(
                f"The model {network.name!r} has {classes} classes, so the labels of `{name}` must be from 0 to "
                f"{classes - 1}. Received: {counted.min()} to {counted.max()}. "
                "`numpy.unique(labels, return_inverse=True)` numbers them from 0"
            )


def _is_sparse(loss: object) -> bool:
    """Tell whether a loss takes the numbers of classes."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "")
    is_loss = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    return is_loss or name in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")


def not_finite(samples: Samples) -> int:
    """Return how many samples hold a NaN or an infinite number."""
    bad = np.zeros(number_of(samples), bool)
    for array in keras.tree.flatten(samples):
        if array.dtype.kind == "f":
            bad |= ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    return int(bad.sum())


def split(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """Return the samples to train with, and a fifth of all for validation, drawn with the seed."""
    order = np.random.default_rng(seed).permutation(number_of(samples))
    validation, train = np.split(order, [len(order) // 5])
    return taken(samples, train), taken(samples, validation)


def fingerprint(*samples: Samples) -> str:
    """Return a checksum of all arrays."""
    crc = 0
    for array in keras.tree.flatten(samples):
        crc = zlib.crc32(f"{array.dtype}{array.shape}".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return f"{crc:08x}"
