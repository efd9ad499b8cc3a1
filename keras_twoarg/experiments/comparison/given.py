"""Data that a command names, as a user's own model takes them."""

from pathlib import Path

import numpy as np

from keras_twoarg.experiments.comparison.data import Samples
from keras_twoarg.experiments.training import datasets
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Model

_PARTS = ("x_train", "y_train", "x_test", "y_test")


def samples(model: Model, name: str, data_dir: str | None, bounds: tuple[float, float]) -> tuple[Samples, Samples]:
    """Return the training and the test samples of a data set.

    Images are scaled to `bounds`; of a text, windows that do not overlap are taken. The arrays of an `.npz` that are no
    images are used as they are. Labels become vectors with a single one where the model's loss asks for them.

    Raises:
        ValueError: If there are no such data, or the model cannot take them.
    """
    if (raw := _own_arrays(name)) is not None:
        return (raw["x_train"], raw["y_train"]), (raw["x_test"], raw["y_test"])
    dataset = datasets.load_for(model, name, data_dir=data_dir)
    datasets.check_fits(model, dataset)
    low, high = bounds
    x_train, x_test = (datasets.scale(x) for x in (dataset.x_train, dataset.x_test))
    if dataset.kind == "images" and (low, high) != (-1, 1):
        x_train, x_test = ((low + (x + 1) * (high - low) / 2).astype("float32") for x in (x_train, x_test))
    y_train, y_test = dataset.y_train, dataset.y_test
    if dataset.kind == "tokens":  # each character once, not in as many windows as a window is long
        x_train, y_train = (array[:: dataset.input_shape[0]] for array in (x_train, y_train))
    if _wants_vectors(model):
        y_train, y_test = (np.eye(dataset.classes, dtype="float32")[y] for y in (y_train, y_test))
    return (x_train, y_train), (x_test, y_test)


def _own_arrays(name: str) -> dict[str, np.ndarray] | None:
    """Return the arrays of an `.npz` that are neither images nor labels, or None."""
    if not name.endswith(".npz") or not Path(name).is_file():
        return None
    try:
        with np.load(name, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in _PARTS if key in archive.files}
    except files.UNREADABLE:
        return None  # `load` says what is wrong
    if len(arrays) < len(_PARTS):
        return None
    is_image = arrays["x_train"].ndim in (3, 4)
    is_label = np.issubdtype(arrays["y_train"].dtype, np.integer) and arrays["y_train"].size == len(arrays["y_train"])
    return None if is_image and is_label else arrays


def _wants_vectors(model: Model) -> bool:
    loss = model.loss if isinstance(model.loss, str) else getattr(model.loss, "name", None)
    return loss in ("categorical_crossentropy", "categorical_focal_crossentropy")
