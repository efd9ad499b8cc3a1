"""Augmentation of training images."""

import numpy as np

_PIXELS = 4
_BLACK = -1.0


def crop_flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each image by up to 4 pixels along both axes, and mirror half of them.

    Args:
        images: `(n, height, width, channels)`, float32 within [-1, 1]; padding is black, -1.
        rng: Source of randomness.

    Returns:
        New images of the same shape.

    Examples:
        >>> crop_flip(np.ones((2, 8, 8, 1), "float32"), np.random.default_rng(0)).shape
        (2, 8, 8, 1)
    """
    number, height, width, _ = images.shape
    sides = (_PIXELS, _PIXELS)
    padded = np.pad(images, ((0, 0), sides, sides, (0, 0)), constant_values=_BLACK)
    down, right = rng.integers(0, 2 * _PIXELS + 1, (2, number, 1))
    columns = np.arange(width) + right
    mirrored = rng.random((number, 1)) < 0.5
    columns = np.where(mirrored, columns[:, ::-1], columns)
    rows = np.arange(height) + down
    return padded[np.arange(number)[:, None, None], rows[:, :, None], columns[:, None, :]]
