"""The programs in results/ that made records use the package as it is."""

from types import SimpleNamespace

import keras
import pytest

from keras_twoarg import models
from keras_twoarg.export import calibration
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.two_arg_activation import places_of
from results import converged, ridges

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")


def test_ridges_are_beside_tables_of_so_many_nodes(rng):
    network = models.mlp((8, 8, 1), 3, widths=(4, 4), seed=0)
    x = rng.normal(size=(50, 8, 8, 1)).astype("float32")
    arguments = calibration.arguments(network, places_of(network, "to fit"), x)
    tables = [layer for layer in ridges.with_table(network, 25, arguments).layers if isinstance(layer, BakedActivation)]
    assert [(one.name, one.grid.resolution) for one in tables] == [(name, 25) for name in arguments]
    assert [one.grid.extent for one in tables] == [pytest.approx(1.05 * one.largest) for one in arguments.values()]


def test_the_epoch_of_equal_accuracy_is_the_first_that_is_nearest():
    validation = {"val_accuracy": [0.4, 0.62, 0.7, 0.58, 0.62]}
    record = SimpleNamespace(curve=validation.__getitem__)
    assert [converged.nearest_epoch(record, accuracy) for accuracy in (0.61, 0.9, 0.1)] == [2, 3, 1]
