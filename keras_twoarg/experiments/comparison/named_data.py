"""Data named on the command line, as the user's own model takes them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_twoarg.experiments.comparison.data import Samples
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.bounds import OURS, Bounds, rescaled, scales
from keras_twoarg.utils.types import Model

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_VALIDATION = ("x_val", "y_val")
_WEIGHTS = ("weight_train", "weight_val", "weight_test")


class Parts(NamedTuple):
    """Samples to train with, for the test, and for validation if there are any of their own."""

    train: Samples
    test: Samples
    validation: Samples | None


def samples(
    model: Model,
    name: str,
    data_dir: str | None = None,
    bounds: Bounds | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> Parts:
    """Return the samples of a data set.

    The arrays of an `.npz` are used as they are; with `bounds`, its images are scaled to them. Images of other data
    sets are scaled to `bounds`, or to [-1, 1]; texts are cut into windows that do not overlap. Labels are one-hot
    encoded where the model's loss needs it. Texts and tables have samples of their own for validation.

    Args:
        model: The user's model, compiled.
        name: As for `datasets.load`.
        data_dir: Folder of prepared TensorFlow Datasets.
        bounds: What the model takes for black and white.
        tell: Called with a sentence for whatever a user would want to know of the arrays.

    Raises:
        ValueError: If there are no such data, or the model cannot take them.
    """
    if name.endswith(".npz"):
        return _of_file(model, Path(name), bounds, tell)
    dataset = datasets.load_for(model, name, data_dir=data_dir)
    datasets.check_fits(model, dataset)
    train = dataset.x_train, dataset.y_train
    if dataset.kind == "tokens":  # each character once, not in as many windows as a window is long
        train = train[0][:: dataset.input_shape[0]], train[1][:: dataset.input_shape[0]]
    vectors = np.eye(dataset.classes, dtype="float32") if _wants_vectors(model) else None

    def taken(x: np.ndarray, y: np.ndarray) -> Samples:
        return datasets.scaled(dataset, x, bounds or OURS), y if vectors is None else vectors[y]

    validation = None if dataset.validation is None else taken(*dataset.validation)
    return Parts(taken(*train), taken(dataset.x_test, dataset.y_test), validation)


def _of_file(model: Model, path: Path, bounds: Bounds | None, tell: Callable[[str], object]) -> Parts:
    arrays = datasets.read_npz(path)
    given = {key: arrays[key] for key in (*_PARTS, *_VALIDATION, *_WEIGHTS) if key in arrays}
    has_validation = all(key in given for key in _VALIDATION)
    if not all(key in given for key in _PARTS) or (
        not has_validation and any(key in given for key in (*_VALIDATION, "weight_val"))
    ):
        raise ValueError(
            f"{path}: expected the arrays {', '.join(_PARTS)}, and x_val and y_val if some samples are for "
            f"validation. Received: {', '.join(sorted(arrays)) or 'none'}. For several inputs or outputs, call "
            "keras_twoarg.experiments.comparison.compare"
        )
    if unused := sorted(arrays.keys() - given.keys()):
        tell(f"{path}: not used: {', '.join(unused)}. Weights of samples are {', '.join(_WEIGHTS)}")
    images = {key: _image(model, f"{path}: {key}", given[key], bounds) for key in given if key.startswith("x_")}
    targets = {key: _target(model, given[key]) for key in given if key.startswith("y_")}
    if bounds is None and given["x_train"].dtype == np.uint8 and images["x_train"].ndim == 4 and not scales(model):
        tell(f"{path}: images of uint8 are used as they are, from 0 to 255; --bounds -1 1 would scale them")
    train, test, validation = (
        (images.get(f"x_{part}"), targets.get(f"y_{part}"), *((given[w],) if (w := f"weight_{part}") in given else ()))
        for part in ("train", "test", "val")
    )
    return Parts(train, test, validation if has_validation else None)


def _image(model: Model, name: str, x: np.ndarray, bounds: Bounds | None) -> np.ndarray:
    """Return inputs as they are; grey images with an axis for channels, and scaled if there are bounds."""
    inputs = getattr(model, "inputs", None) or []
    if x.ndim == 3 and len(inputs) == 1 and len(inputs[0].shape) == 4:
        x = x[..., None]
    if bounds is None:
        return x
    within = np.issubdtype(x.dtype, np.floating) and x.size and 0 <= x.min() <= x.max() <= 1
    if x.ndim != 4 or not (x.dtype == np.uint8 or within):
        raise ValueError(
            f"{name}: --bounds scales images of uint8, or of floating point from 0 to 1. Received: {x.dtype}, "
            f"shape={x.shape}. Leave --bounds out to use the array as it is"
        )
    return rescaled(datasets.scale(x), bounds)


def _target(model: Model, y: np.ndarray) -> np.ndarray:
    """Return targets as they are; the numbers of classes one-hot encoded where the loss needs it."""
    outputs = getattr(model, "outputs", None) or []
    classes = outputs[0].shape[-1] if len(outputs) == 1 else None
    if not _wants_vectors(model) or not np.issubdtype(y.dtype, np.integer) or y.size != len(y) or classes is None:
        return y
    if not 0 <= y.min() <= y.max() < classes:
        raise ValueError(
            f"The model {model.name!r} has {classes} classes, so labels must be from 0 to {classes - 1}. Received: "
            f"{y.min()} to {y.max()}. `numpy.unique(labels, return_inverse=True)` numbers them from 0"
        )
    return np.eye(classes, dtype="float32")[y.ravel()]


def _wants_vectors(model: Model) -> bool:
    loss = model.loss if isinstance(model.loss, str) else getattr(model.loss, "name", None)
    return loss in ("categorical_crossentropy", "categorical_focal_crossentropy")
