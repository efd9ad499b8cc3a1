"""What differs on a GPU, where many threads add into one small table at once. Not measured on one yet.

There XLA adds real numbers with native atomic operations but complex ones with a compare-and-swap loop, and threads
that add to the same cell wait for each other. So sums are real there, and go to private copies of the table.
"""

import warnings
from functools import lru_cache
from importlib import metadata

import keras

from keras_twoarg.utils.types import Tensor

COPIES = 16
"""Private copies of a table: pair i reads from and adds to copy i modulo 16."""
_SLOW = ((0, 10, 2), (0, 11, 0))
"""The first and the last version of jaxlib that also adds real numbers into small tables by compare-and-swap
(jax-ml/jax#38806)."""


def on_gpu() -> bool:
    """Return whether the backend computes on a GPU, and warn once if its version is known to be slow there."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if keras.backend.backend() == "jax":
        import jax

        there = jax.default_backend() in ("gpu", "cuda", "rocm")
        if there:
            warn_of_slow_sums(metadata.version("jaxlib"))
        return there
    return False  # torch has operations of its own


def adds_slowly(jaxlib: str) -> bool:
    """Return whether a version of jaxlib is one that adds slowly into small tables on a GPU."""
    numbers = tuple(int(part) for part in jaxlib.split(".")[:3] if part.isdigit())
    return _SLOW[0] <= numbers <= _SLOW[1]


@lru_cache(maxsize=1)
def warn_of_slow_sums(jaxlib: str) -> None:
    """Warn once if a version of jaxlib adds slowly on a GPU."""
    if adds_slowly(jaxlib):
        warnings.warn(
            f"jaxlib {jaxlib} is slow on a GPU where many numbers are added into a small table, as training an "
            'interpolated phi does. Install another version, or set evaluation="exact" (see `set_evaluation`)',
            stacklevel=2,
        )


def in_private_copies(rows: Tensor, cells: int) -> Tensor:
    """Return each pair's row in a stack of `COPIES` copies of a table."""
    copy = keras.ops.arange(keras.ops.shape(rows)[0], dtype="int32") % COPIES
    return rows + copy * cells
