"""A small model, and images that its baking is decided on."""

import pytest

from keras_twoarg import models


@pytest.fixture
def model():
    return models.mlp((8, 8, 1), classes=10, widths=(24, 24), seed=1)


@pytest.fixture
def images(rng):
    return rng.normal(size=(300, 8, 8, 1)).astype("float32")
