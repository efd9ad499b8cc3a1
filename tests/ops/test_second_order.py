"""Second derivatives through a table on TensorFlow: gradient penalties, networks of physics, nested tapes."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, TwoArgMaxPooling2D, set_evaluation
from keras_twoarg.ops import pooled_table, table
from tests.helpers import shared_mlp

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the other backends derive twice alone")


def penalty_gradients(model, x):
    """Gradients of a gradient penalty, with respect to the inputs and all weights."""
    weights = model.trainable_variables
    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            outputs = tf.reduce_sum(model(x, training=True) ** 2)
        slopes = inner.gradient(outputs, x)
        penalty = tf.reduce_sum((tf.norm(tf.reshape(slopes, (len(x), -1)), axis=-1) - 1) ** 2)
    return [None if g is None else g.numpy() for g in outer.gradient(penalty, [x, *[w.value for w in weights]])]


def convolutional():
    inner = InnerNetwork((8, 8))
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3),
            TwoArgMaxPooling2D(inner, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            TwoArgActivation(inner),
            keras.layers.Dense(2),
        ]
    )


def gated():
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(8), TwoArgActivation(pairing="halves"), keras.layers.Dense(2)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("make", [lambda: shared_mlp(places=2), convolutional, gated], ids=["dense", "pooled", "apart"])
def test_a_gradient_penalty_is_that_of_the_portable_look_up(make, compiled, rng, monkeypatch):
    model = make()
    set_evaluation(model, "interpolated")
    x = rng.normal(size=(4, *model.input_shape[1:])).astype("float32")
    run = (
        tf.function(lambda x: penalty_gradients_in_graph(model, x))
        if compiled
        else lambda x: penalty_gradients(model, x)
    )
    ours = [np.asarray(g) for g in run(x)]
    monkeypatch.setattr(table, "may_compile", lambda training: False)
    monkeypatch.setattr(pooled_table, "BACKENDS", ())  # windows are looked up first, and pooled then
    theirs = penalty_gradients(model, x)
    for our, their in zip(ours, theirs, strict=True):
        their = np.zeros_like(our) if their is None else their
        np.testing.assert_allclose(our, their, rtol=2e-3, atol=2e-3 * max(1e-3, np.abs(their).max()))


def penalty_gradients_in_graph(model, x):
    weights = [w.value for w in model.trainable_variables]
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            outputs = tf.reduce_sum(model(x, training=True) ** 2)
        slopes = inner.gradient(outputs, x)
        penalty = tf.reduce_sum((tf.norm(tf.reshape(slopes, (4, -1)), axis=-1) - 1) ** 2)
    return outer.gradient(penalty, [x, *weights], unconnected_gradients="zero")


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_piecewise_function(rng):
    grid = Interpolation(extent=2.0, resolution=9)
    layer = TwoArgActivation(InnerNetwork((8, 8)), evaluation=grid)
    pairs = rng.uniform(-1.9, 1.9, size=(50, 2)).astype("float32")
    layer(pairs)
    nodes = layer.inner.predict(grid.nodes(2)).reshape(9, 9).astype("float64")
    i, j = np.floor((pairs.T + 2.0) / grid.step).astype(int)
    twist = (nodes[i + 1, j + 1] - nodes[i + 1, j] - nodes[i, j + 1] + nodes[i, j]) / grid.step**2
    x = tf.constant(pairs)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            outputs = tf.reduce_sum(layer(x, training=True))
        slopes = inner.gradient(outputs, x)
        by_argument = [slopes[:, 0], slopes[:, 1]]
    hessians = np.stack([outer.gradient(slope, x).numpy() for slope in by_argument], axis=1)
    expected = np.zeros((50, 2, 2))
    expected[:, 0, 1] = expected[:, 1, 0] = twist
    np.testing.assert_allclose(hessians, expected, atol=1e-3 * np.abs(twist).max())


@pytest.mark.slow
def test_the_penalty_falls_as_float64_differences_say(rng):
    """The penalty's gradient to a weight in front, against differences in float64 of the same piecewise function."""
    grid = Interpolation(extent=3.0, resolution=13)
    inner = InnerNetwork((8, 8))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), TwoArgActivation(inner, evaluation=grid)])
    x = rng.normal(size=(5, 3)).astype("float32")
    model(x)
    nodes = inner.predict(grid.nodes(2)).reshape(13, 13).astype("float64")
    kernel, bias = (w.astype("float64") for w in model.layers[0].get_weights())

    def penalty(kernel):
        pairs = (x.astype("float64") @ kernel + bias).reshape(5, 2, 2)
        scaled = (pairs + 3.0) / grid.step
        cell = np.clip(np.floor(scaled), 0, 11).astype(int)
        (f1, f2), (i, j) = np.moveaxis(scaled - cell, -1, 0), np.moveaxis(cell, -1, 0)
        corner, right, up = nodes[i, j], nodes[i + 1, j] - nodes[i, j], nodes[i, j + 1] - nodes[i, j]
        twist = nodes[i + 1, j + 1] - nodes[i + 1, j] - nodes[i, j + 1] + corner
        slopes = np.stack([right + twist * f2, up + twist * f1], axis=-1).reshape(5, 4) / grid.step
        by_input = slopes @ kernel.T
        return (by_input**2).sum()

    with tf.GradientTape() as outer:
        data = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(data)
            outputs = tf.reduce_sum(model(data, training=True))
        value = tf.reduce_sum(tape.gradient(outputs, data) ** 2)
    by_kernel = outer.gradient(value, model.layers[0].kernel.value).numpy()
    assert value.numpy() == pytest.approx(penalty(kernel), rel=1e-4)
    step = 1e-6
    for index in np.ndindex(kernel.shape):
        moved = np.zeros_like(kernel)
        moved[index] = step
        expected = (penalty(kernel + moved) - penalty(kernel - moved)) / (2 * step)
        assert by_kernel[index] == pytest.approx(expected, rel=2e-3, abs=1e-3 * float(np.abs(by_kernel).max()))


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_forward_mode_gives_the_same_in_training_and_without(pairing, trained, rng):
    layer = TwoArgActivation(evaluation="interpolated", pairing=pairing)
    layer.build((None, 8))
    x = tf.constant(rng.normal(size=(50, 8)).astype("float32"))
    if trained:  # the look-up is traced with its gradient then, and forward mode goes through that
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        tape.gradient(outputs, x)
    changes = []
    for training in (False, True):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as forward:
            outputs = layer(x, training=training)
        changes.append(forward.jvp(outputs).numpy())
    np.testing.assert_allclose(changes[1], changes[0], rtol=1e-4, atol=1e-5)
