"""Checks of a user's arrays of images and labels, with errors that say what to do."""

import numpy as np

from keras_twoarg.utils.types import ArrayLike

_LARGEST_LABEL = 99_999


def images(name: str, images: ArrayLike) -> np.ndarray:
    """Return images `(n, height, width, channels)`, uint8 or within [0, 1], or raise a ValueError."""
    images = _pixels(name, images)
    if images.shape[1] in (1, 3, 4) and images.shape[3] > 4:  # they would be trained on as strips with many channels
        raise ValueError(
            f"{name}: expected the channels last. Received: shape={images.shape}. `images.transpose(0, 2, 3, 1)`"
        )
    return images


def _pixels(name: str, images: ArrayLike) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.size == 0:
        tables = ". Tables are taken by name, such as fair, or as floating point for a model of your own"
        raise ValueError(
            f"{name}: expected images of shape (n, height, width) or (n, height, width, channels). "
            f"Received: shape={images.shape}{tables if images.ndim == 2 else ''}"
        )
    if images.dtype == np.uint8:
        if images.max() == 1:  # as pixels from 0 to 255 they would all be nearly black
            raise ValueError(
                f"{name}: expected uint8 pixels from 0 to 255. Received: 0 to 1. Give them as floating point, which is "
                "within [0, 1]"
            )
        return images
    if not np.issubdtype(images.dtype, np.floating):
        remedy = ". If pixels are from 0 to 255: `images.astype('uint8')`" if images.dtype.kind in "iu" else ""
        raise ValueError(
            f"{name}: expected images as uint8, or floating point within [0, 1]. Received: {images.dtype}{remedy}"
        )
    if not np.isfinite(images).all():
        raise ValueError(f"{name}: expected finite pixels. Received: {np.count_nonzero(~np.isfinite(images))} are not")
    if images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"{name}: expected floating-point pixels within [0, 1]. Received: {images.min():g} to {images.max():g}"
        )
    return images


def samples(name: str, samples: ArrayLike) -> np.ndarray:
    """Return images as `images` does, or features `(n, m)` as float32, or raise a ValueError.

    They are for a user's own model, which may take the channels first.
    """
    samples = np.asarray(samples)
    if samples.ndim != 2 or samples.size == 0 or not np.issubdtype(samples.dtype, np.floating):
        return _pixels(name, samples)
    return _finite(name, samples).astype("float32")


def targets(name: str, targets: ArrayLike) -> np.ndarray:
    """Return labels as `labels` does, or the numbers of a regression `(n,)` as float32, or raise a ValueError."""
    targets = np.asarray(targets)
    column = targets.ndim > 0 and targets.size == len(targets) > 0
    if not column or not np.issubdtype(targets.dtype, np.floating):
        return labels(name, targets)
    return _finite(name, targets).reshape(-1).astype("float32")


def _finite(name: str, numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{name}: expected finite numbers. Received: {np.count_nonzero(~np.isfinite(numbers))} are not"
        )
    return numbers


def labels(name: str, labels: ArrayLike) -> np.ndarray:
    """Return labels `(n,)` as int64 within the valid range, or raise a ValueError."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name}: expected integer labels of shape (n,) or (n, 1). Received: {labels.dtype}, shape={labels.shape}"
            f"{_remedy(labels)}"
        )
    if labels.size == 0 or labels.min() < 0:
        raise ValueError(f"{name}: expected labels from 0. Received: {labels.min() if labels.size else 'none'}")
    if labels.max() > _LARGEST_LABEL:  # includes those that int64 cannot hold
        raise ValueError(
            f"{name}: expected labels of at most {_LARGEST_LABEL:,}. Received: {labels.max():,}. "
            "Number the classes from 0, without gaps"
        )
    return labels.astype("int64")


def _remedy(labels: np.ndarray) -> str:
    """Return what makes labels of an array that holds none, as the end of an error message."""
    if labels.ndim == 2:
        return ". If they are one-hot: `labels.argmax(1)`"
    if labels.ndim == 1 and labels.dtype.kind in "USO":
        return ". `numpy.unique(labels, return_inverse=True)` numbers names, those of both parts together"
    if labels.ndim == 1 and labels.dtype.kind in "fb":
        whole = bool((labels == np.floor(labels)).all())
        return ". `labels.astype(int)`" if whole else ". From arrays, networks made here learn classes, numbered from 0"
    return ""


def classes(name: str, labels: np.ndarray, test: np.ndarray) -> int:
    """Return the number of classes.

    Raises:
        ValueError: If there are fewer than two, many gaps in their numbers, or no 0 among the labels of both parts.
    """
    classes, present = int(labels.max()) + 1, len(np.unique(labels))
    if present < 2:
        raise ValueError(
            f"{name}: y_train: expected at least two classes. Received: only the label {classes - 1}. If the data are "
            "sorted, shuffle them before they are cut into parts"
        )
    if (least := min(labels.min(), test.min())) > 0:  # the network would get an output for a class that is none
        raise ValueError(
            f"{name}: expected classes numbered from 0. Received: {least:,} to {classes - 1:,} in y_train and y_test. "
            f"Subtract {least:,} from both"
        )
    if 2 * present < classes:  # a few classes may be missing
        raise ValueError(
            f"{name}: y_train: expected classes numbered from 0 without gaps. Received: {present:,} classes, the "
            f"largest {classes - 1:,}. `numpy.unique(labels, return_inverse=True)` numbers them"
        )
    return classes
