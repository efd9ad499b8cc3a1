"""Small synthetic data sets that are learned in a second."""

import numpy as np

from keras_twoarg.training.datasets import Dataset

SIZE = 8


def blobs(train=300, test=60, classes=3, seed=0):
    """Images of noise with a bright quarter whose position is the class."""
    rng = np.random.default_rng(seed)

    def part(number):
        y = rng.integers(0, classes, number)
        y[:classes] = np.arange(classes)
        x = rng.integers(0, 120, (number, SIZE, SIZE, 1))
        for i, label in enumerate(y):
            row, column = divmod(int(label), 2)
            x[i, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
        return x.astype("uint8"), y.astype("int64")

    return Dataset("blobs", *part(train), *part(test), classes)


def save_npz(path, dataset, **changes):
    arrays = {key: getattr(dataset, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path
