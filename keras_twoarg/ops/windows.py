"""Max-pooling windows, for layers that pool phi's outputs."""

from functools import reduce

import keras
from keras import ops

from keras_twoarg.utils.checks import is_positive_integer
from keras_twoarg.utils.types import Shape, Tensor

Size = tuple[int, int]
"""Rows and columns of a window. Windows do not overlap, and incomplete ones at the border are dropped."""


def check_pool_size(pool_size: object) -> Size:
    """Return rows and columns, or raise a ValueError unless they are one or two positive integers."""
    size = tuple(pool_size) if isinstance(pool_size, list | tuple) else (pool_size, pool_size)
    if len(size) != 2 or not all(map(is_positive_integer, size)):
        raise ValueError(f"`pool_size` must be one or two positive integers. Received: pool_size={pool_size!r}")
    return int(size[0]), int(size[1])


def channel_axis(axis: int) -> int:
    """Return 1 or -1 for a channel axis of images, or raise a ValueError."""
    if axis not in (1, -1, 3, -3):
        raise ValueError(
            f"The arguments of images are on axis -1, or on axis 1 of channels_first images. Received: axis={axis!r}"
        )
    return 1 if axis in (1, -3) else -1


def max_pool(values: Tensor, size: Size, axis: int = -1) -> Tensor:
    """Return the largest entry of each window: `(batch, height // rows, width // columns, channels)` for `axis=-1`."""
    if channel_axis(axis) == 1:  # not all devices can pool channels_first images
        pooled = max_pool(ops.moveaxis(values, 1, -1), size)
        return ops.moveaxis(pooled, -1, 1)
    if keras.backend.backend() != "tensorflow":
        # Their native pooling is up to six times slower after a look-up: JAX repeats the look-up for each window, torch
        # transposes.
        return reduce(lambda first, second: ops.where(is_larger(second, first), second, first), entries(values, size))
    return ops.max_pool(values, size, strides=size, padding="valid", data_format="channels_last")


def is_larger(second: Tensor, first: Tensor) -> Tensor:
    """Return where the second entry is larger; of equals the first one wins, and NaN counts as largest."""
    return ops.logical_and(first == first, ops.logical_not(second <= first))


def entries(values: Tensor, size: Size) -> list[Tensor]:
    """Return the windows' entries at each index, row by row: `(batch, height // rows, width // columns, ...)`."""
    rows, columns = size
    _, height, width, *rest = values.shape
    high, wide = height // rows, width // columns
    windows = ops.reshape(values[:, : high * rows, : wide * columns], (-1, high, rows, wide, columns, *rest))
    return [windows[:, :, row, :, column] for row in range(rows) for column in range(columns)]


def pooled_shape(shape: Shape, size: Size, axis: int) -> Shape:
    """Return the shape after pooling, or raise a ValueError unless it is that of large enough images."""
    first = channel_axis(axis) == 1
    if len(shape) != 4:
        order = "channels, height, width" if first else "height, width, channels"
        raise ValueError(f"Max-pooling takes (batch, {order}). Received: shape={shape}")
    pixels = shape[2:] if first else shape[1:3]
    if any(pixel is not None and pixel < least for pixel, least in zip(pixels, size, strict=True)):
        raise ValueError(f"The images are smaller than a window of {size[0]} x {size[1]}. Received: shape={shape}")
    height, width = (n if n is None else n // least for n, least in zip(pixels, size, strict=True))
    return (shape[0], shape[1], height, width) if first else (shape[0], height, width, shape[3])
