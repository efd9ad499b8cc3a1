"""Code that XLA compiles on TensorFlow: it is compiled for few lengths, where lengths vary."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, bake, models
from keras_twoarg.ops import table
from keras_twoarg.ops.xla import at_few_lengths

if keras.backend.backend() != "tensorflow":
    pytest.skip("about TensorFlow", allow_module_level=True)
import tensorflow as tf


def test_lengths_are_few_and_little_longer():
    lengths = []

    def half(pairs):
        lengths.append(len(pairs))
        return pairs[:, 0] / 2

    for number in (0, *range(1, 300), 1000, 1023, 1024, 1025):
        pairs = tf.ones([number, 2])
        assert at_few_lengths(half, pairs).numpy().tolist() == [0.5] * number
        assert number <= lengths[-1] <= max(1.125 * number, 8)
    assert len(set(lengths)) <= 8 * 11


def test_gradients_go_through_the_padding():
    x = tf.constant([1.0, -2.0, 3.0] * 7)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(at_few_lengths(lambda v: v**2, x))
    np.testing.assert_allclose(tape.gradient(loss, x), 2 * x)


def layers(kind):
    if kind == "swiglu":
        return [keras.layers.Dense(8), models.PairActivation("swiglu")]
    phi = InnerNetwork((8,))
    return [keras.layers.Dense(8), TwoArgActivation(phi, pairing="halves" if kind == "halves" else "adjacent")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adjacent", "halves", "baked", "swiglu"])
def test_sequences_of_any_length_are_compiled_for_few_lengths(kind, rng, monkeypatch):
    model = keras.Sequential([keras.Input((None, 4)), *layers(kind), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(6, 100, 4)).astype("float32"), rng.normal(size=(6, 100, 1)).astype("float32")
    if kind == "baked":
        model, _ = bake(model, x)
    padded = []
    monkeypatch.setattr(table, "at_few_lengths", lambda *a: padded.append(a) or at_few_lengths(*a))
    for length in (90, 5, 6, 7, 17):
        expected = keras.ops.convert_to_numpy(model(x[:, :length]))
        np.testing.assert_allclose(model.predict_on_batch(x[:, :length]), expected, atol=1e-5)
    assert padded
    if kind != "baked":
        losses = [model.train_on_batch(x[:, :length], y[:, :length]) for length in (90, 5, 6, 7, 17) for _ in range(9)]
        assert losses[-1] < losses[-9] and np.isfinite(losses).all()


@pytest.mark.slow
def test_models_of_one_size_are_not_padded(rng, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), *layers("adjacent"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monkeypatch.setattr(table, "at_few_lengths", None)
    x, y = rng.normal(size=(7, 4)).astype("float32"), rng.normal(size=(7, 1)).astype("float32")
    for number in (7, 3, 5):
        model.train_on_batch(x[:number], y[:number])
        model.predict_on_batch(x[:number])


@pytest.mark.parametrize("kind", ["adjacent", "halves", "swiglu"])
def test_eager_steps_on_sequences_of_any_length_are_compiled_for_few_lengths(kind, rng, monkeypatch):
    model, numbers = keras.Sequential(layers(kind)), []

    def watched(function, *vectors):
        def compiled(*padded):
            numbers.append(len(padded[0]))
            return padded[0] if len(padded[0].shape) == 1 else padded[0][:, 0]

        return at_few_lengths(compiled, *vectors)

    monkeypatch.setattr(table, "at_few_lengths", watched)
    for length in range(100, 120):
        model(tf.constant(rng.normal(size=(2, length, 4)), tf.float32), training=True)
    assert len(numbers) == 20 and len(set(numbers)) <= 3
