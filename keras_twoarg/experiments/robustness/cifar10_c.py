"""The published images of CIFAR-10-C, where TensorFlow Datasets has prepared them."""

from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.experiments.robustness.corruptions import NAMES

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_OTHER_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


def prepared(data_dir: str | None = None) -> bool:
    """Return whether all 15 corruptions at all severities are there."""
    return all(_builder(name, severity, data_dir) is not None for name in NAMES for severity in range(1, 6))


def published(
    name: str, severity: int, number: int, seed: int, data_dir: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return corrupted test images as uint8 and their labels, so many of the 10,000, drawn with a seed."""
    builder = _builder(name, severity, data_dir)
    if builder is None:
        raise ValueError(f"cifar10_corrupted has not been prepared for {name!r} at severity {severity}")
    batches = list(builder.as_dataset(split="test", batch_size=1000).as_numpy_iterator())
    images, labels = (np.concatenate([batch[key] for batch in batches]) for key in ("image", "label"))
    chosen = np.random.default_rng(seed).permutation(len(images))[:number]
    return images[chosen], labels[chosen]


def _builder(name: str, severity: int, data_dir: str | None) -> "tfds.core.DatasetBuilder | None":
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return None
    config = f"{_OTHER_NAMES.get(name, name)}_{severity}"
    builder = tfds.builder(f"cifar10_corrupted/{config}", data_dir=data_dir)
    return builder if builder.is_prepared() else None
