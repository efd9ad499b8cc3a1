"""Max-pooling windows: what a `pool_size` means, for layers that pool what phi gives."""

from typing import Any

from keras import ops

Size = tuple[int, int]
"""Rows and columns of a window. Windows do not overlap; what is left over at the border belongs to none."""


def check_pool_size(pool_size: Any) -> Size:
    """Return rows and columns, or raise a ValueError unless they are one or two positive integers."""
    size = tuple(pool_size) if isinstance(pool_size, list | tuple) else (pool_size, pool_size)
    if len(size) != 2 or any(not isinstance(number, int) or number < 1 for number in size):
        raise ValueError(f"`pool_size` must be one or two positive integers. Received: pool_size={pool_size!r}")
    return size


def max_pool(values: Any, size: Size) -> Any:
    """Return the largest entry of each window, `(batch, height // rows, width // columns, channels)`."""
    return ops.max_pool(values, size, strides=size, padding="valid", data_format="channels_last")


def pooled_shape(shape: tuple[int | None, ...], size: Size) -> tuple[int | None, ...]:
    """Return the shape after pooling, or raise a ValueError if the shape is none of images, or of too small ones."""
    if len(shape) != 4:
        raise ValueError(f"Max-pooling takes (batch, height, width, channels). Received: shape={shape}")
    if any(given is not None and given < least for given, least in zip(shape[1:3], size, strict=True)):
        raise ValueError(f"The images are smaller than a window of {size[0]} x {size[1]}. Received: shape={shape}")
    height, width = (n if n is None else n // least for n, least in zip(shape[1:3], size, strict=True))
    return (shape[0], height, width, shape[3])
