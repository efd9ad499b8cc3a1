"""One table for all places of a phi, wherever they may share it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import Interpolation, TwoArgActivation, set_evaluation
from keras_twoarg.ops import table
from tests.helpers import BACKEND, shared_mlp

pytestmark = pytest.mark.jax


def tables_made(monkeypatch):
    tables = []
    original = table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(a) or original(*a))
    return tables


@pytest.mark.parametrize("functional", [False, True])
def test_places_of_one_model_share_one_table(functional, rng, monkeypatch):
    tables = tables_made(monkeypatch)
    model, x = shared_mlp(places=3), rng.normal(size=(64, 6)).astype("float32")
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    set_evaluation(model, "interpolated")
    shared = ops.convert_to_numpy(model(x))
    assert len(tables) == 1
    for layer in model.layers[-7:]:  # the weights are the same: so is the table, whoever calls
        x = layer(x)
    assert len(tables) == (4 if BACKEND == "torch" else 1)  # torch frees a table with the first gradients
    np.testing.assert_allclose(ops.convert_to_numpy(x), shared, rtol=1e-5)


def test_places_with_other_grids_or_dtypes_share_no_table(rng, monkeypatch):
    tables = tables_made(monkeypatch)
    model = shared_mlp(places=3)
    first, second, third = (layer for layer in model.layers if isinstance(layer, TwoArgActivation))
    first.evaluation = second.evaluation = Interpolation(3.0, 25)
    third.evaluation = Interpolation(3.0, 33)
    second.dtype_policy = "mixed_float16"
    model(rng.normal(size=(64, 6)).astype("float32"))
    assert len(tables) == 2  # the first two have one grid, and a table is in float32 always


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="gradient tapes are TensorFlow's")
def test_every_gradient_tape_and_every_step_gets_a_table_of_its_own(rng):
    import tensorflow as tf

    model, x = shared_mlp(places=2), rng.normal(size=(5, 6)).astype("float32")
    set_evaluation(model, "interpolated")

    def gradients_of(loss):
        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, model.trainable_weights)

    @tf.function
    def twice():
        model(x, training=True)  # outside of any tape
        before = gradients_of(lambda: tf.reduce_sum(model(x, training=True)))
        for weight in model.trainable_weights:
            weight.value.assign_add(0.1 * tf.ones_like(weight.value))
        return before, gradients_of(lambda: tf.reduce_sum(model(x, training=True)))

    weights = model.get_weights()
    before, after = twice()
    for weight_values, logits in ((model.get_weights(), after), (weights, before)):
        model.set_weights(weight_values)
        expected = gradients_of(lambda: tf.reduce_sum(model(x, training=True)))
        for ours, theirs in zip(logits, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
