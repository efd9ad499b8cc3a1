"""Whether a function acts on each value separately, found by trying it."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from keras_twoarg.utils.types import Function

ArrayFunction = Callable[[np.ndarray], np.ndarray]
_TRIED_ALONE = 8


class CannotTell(ValueError):
    """A function that cannot be tried, or returns other values each time; the message is a reason for a report."""


def on_arrays(function: Function) -> ArrayFunction:
    """Return a layer or function of tensors as one from float32 arrays to arrays."""
    # A layer with mixed precision, called as a whole, would round its inputs: phi would be fitted to a staircase.
    compute = function.call if isinstance(function, keras.layers.Layer) else function

    def call(values: np.ndarray) -> np.ndarray:
        tensor = keras.ops.convert_to_tensor(np.asarray(values, "float32"))
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(compute(tensor), "float32")))

    return call


def is_elementwise(function: Function, shape: Sequence[int | None] = (None, 3, 4)) -> bool:
    """Tell, by trying it, whether each value that a function returns depends on the corresponding input alone.

    Args:
        function: A layer, or a function of tensors.
        shape: Of what it takes; only the number of axes and the size of the last one matter.

    Raises:
        CannotTell: If it fails, or returns different values when it is called again.
    """
    sizes = (2, *(3 for _ in shape[1:-1]), *(size or 4 for size in shape[1:][-1:]))
    values = np.random.default_rng(0).normal(size=sizes).astype("float32") * 3
    on_values = on_arrays(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a softmax over one value
        try:
            together, again = on_values(values), on_values(values)
        except Exception as error:  # whatever a user's function raises
            cause = " ".join(str(error).split())[:100]
            raise CannotTell(
                f"it fails on an array of shape {sizes} ({cause}), so what it does is not known"
            ) from error
        if not np.array_equal(together, again, equal_nan=True):
            raise CannotTell("it returns different values each time")
        return together.shape == values.shape and _is_same_alone(on_values, values, together)


def _is_same_alone(function: ArrayFunction, values: np.ndarray, together: np.ndarray) -> bool:
    """Tell whether values without axes, and arrays of one value, give what they give among others."""
    near = partial(np.allclose, rtol=1e-5, atol=1e-6, equal_nan=True)
    try:
        flat = function(values.ravel())
        chosen = np.linspace(0, values.size - 1, _TRIED_ALONE).astype(int)
        alone = [function(np.full(values.shape, values.flat[index])) for index in chosen]
    except Exception:  # it needs its axes, so it is not elementwise
        return False
    if flat.shape != (values.size,) or not near(flat, together.ravel()):
        return False
    return all(near(one, together.flat[index]) for one, index in zip(alone, chosen, strict=True))


def bends(function: Function) -> bool:
    """Tell whether a function is elementwise, and neither a mere scaling nor one that cannot be tried."""
    try:
        if not is_elementwise(function):
            return False
    except CannotTell:
        return False
    values = on_arrays(function)(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]], "float32"))[0]
    return not np.allclose(np.diff(values, 2), 0, atol=1e-6)
