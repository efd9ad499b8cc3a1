"""A user's arrays: whether they belong together, their split for a seed, and their fingerprint."""

import zlib
from typing import Any

import keras
import numpy as np

from keras_twoarg.utils.types import ArrayLike

Samples = tuple[Any, Any]
"""Inputs and targets: arrays, or lists or dicts of them, with one sample for each row."""


def checked(name: str, samples: Samples, least: int) -> Samples:
    """Return inputs and targets as NumPy arrays, or raise a ValueError that says what is wrong with them."""
    if not isinstance(samples, tuple | list) or len(samples) != 2:
        raise ValueError(f"`{name}` must be a pair of inputs and targets. Received: {type(samples).__name__}")
    x, y = (_arrays(name, part) for part in samples)
    numbers = {len(array) for array in keras.tree.flatten((x, y))}
    if len(numbers) != 1:
        raise ValueError(f"`{name}` must have as many targets as inputs. Received arrays of {sorted(numbers)} samples")
    if min(numbers) < least:
        raise ValueError(f"`{name}` must have at least {least} samples. Received: {min(numbers)}")
    return x, y


def _arrays(name: str, nested: Any) -> Any:
    def array(value: ArrayLike) -> np.ndarray:
        converted = np.asarray(value)
        if converted.dtype == object or converted.ndim == 0:
            raise ValueError(
                f"`{name}` must be arrays, or lists or dicts of arrays, with a sample for each row. Received: "
                f"{type(value).__name__}"
            )
        return converted

    if isinstance(nested, dict):
        return {key: array(value) for key, value in nested.items()}
    if isinstance(nested, list | tuple) and _holds_arrays(nested):
        return [array(value) for value in nested]
    return array(nested)


def _holds_arrays(nested: Any) -> bool:
    return bool(nested) and all(np.ndim(value) > 0 and hasattr(value, "shape") for value in nested)


def number_of(samples: Samples) -> int:
    """Return how many samples there are."""
    return len(keras.tree.flatten(samples)[0])


def split(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """Return samples to train with, and a fifth of all for validation, drawn with a seed."""
    order = np.random.default_rng(seed).permutation(number_of(samples))
    validation, train = np.split(order, [len(order) // 5])
    return taken(samples, train), taken(samples, validation)


def taken(samples: Samples, rows: np.ndarray | slice) -> Samples:
    """Return some samples."""
    x, y = samples
    return keras.tree.map_structure(lambda array: array[rows], x), keras.tree.map_structure(lambda a: a[rows], y)


def fingerprint(*samples: Samples) -> str:
    """Return a checksum of all arrays."""
    crc = 0
    for array in keras.tree.flatten(samples):
        crc = zlib.crc32(f"{array.dtype}{array.shape}".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return f"{crc:08x}"
