"""The LayerNorm of the convolutional networks: the formula, Keras' numbers, its gradient, what is compiled."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import models
from keras_twoarg.layers import joint_layer_normalization
from tests.helpers import BACKEND, array, assert_portable

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras' own")


def stock():
    return keras.layers.LayerNormalization(axis=[1, 2, 3], center=False, scale=False, epsilon=1e-5)


def images(rng, mean=3.0):
    return rng.normal(mean, 2.0, (4, 9, 8, 6)).astype("float32")


def in_float64(x):
    x = x.astype("float64")
    axes = tuple(range(1, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_values_are_the_formula(training, mean, rng):
    x = images(rng, mean)
    y = models.JointLayerNormalization()(x, training=training)
    np.testing.assert_allclose(ops.convert_to_numpy(y), in_float64(x), atol=1e-3 if mean else 1e-5)


def test_a_constant_sample_becomes_zero():
    y = models.JointLayerNormalization()(np.full((2, 3, 3, 2), 7.0, "float32"), training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(y), 0)


@only_tensorflow
def test_gradient_is_that_of_keras_layer_in_float64(rng):
    import tensorflow as tf

    x, upstream = images(rng), rng.normal(size=(4, 9, 8, 6))

    def gradient_of(layer, dtype):
        inputs = tf.constant(x, dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = (
                layer(inputs, training=True) if isinstance(layer, models.JointLayerNormalization) else layer(inputs)
            )
        return tape.gradient(outputs, inputs, output_gradients=tf.constant(upstream, dtype)).numpy()

    reference = stock()
    reference.dtype_policy = keras.DTypePolicy("float64")
    expected = gradient_of(reference, "float64")
    np.testing.assert_allclose(gradient_of(models.JointLayerNormalization(), "float32"), expected, atol=1e-5)


@pytest.mark.slow
@only_tensorflow
def test_training_is_that_of_keras_layer_and_is_compiled(rng, monkeypatch):
    traced = []
    original = joint_layer_normalization._tensorflow_norm
    recorded = lambda epsilon: traced.append(epsilon) or original(epsilon)  # noqa: E731
    monkeypatch.setattr(joint_layer_normalization, "_tensorflow_norm", recorded)
    x, y = images(rng), rng.integers(0, 3, 4)
    losses = []
    for layer in (models.JointLayerNormalization(), stock()):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Conv2D(4, 3), layer, keras.layers.Flatten()])
        model.add(keras.layers.Dense(3))
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(model.fit(x, y, epochs=5, batch_size=2, shuffle=False, verbose=0).history["loss"])
    assert traced
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_half_precision_is_normalized_in_float32(rng):
    x = images(rng, mean=100.0)
    y = models.JointLayerNormalization(dtype="mixed_float16")(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(y).astype("float32"), in_float64(x), atol=5e-3)


@pytest.mark.parametrize("training", [False, True])
def test_float64_is_normalized_in_float64(training, rng):
    if BACKEND == "jax":
        pytest.skip("JAX has no float64 unless it is told to")
    x = images(rng, mean=100.0).astype("float64")
    y = models.JointLayerNormalization(dtype="float64")(x, training=training)
    assert keras.backend.standardize_dtype(y.dtype) == "float64"
    np.testing.assert_allclose(ops.convert_to_numpy(y), in_float64(x), atol=1e-10)


@pytest.mark.slow
@only_tensorflow
def test_an_export_is_portable(tmp_path, rng):
    assert_portable(models.cnn((12, 12, 1), 3, widths=(4, 4)), array(rng, 2, 12, 12, 1), tmp_path)


def test_saved_and_copied(tmp_path, rng):
    x = images(rng)
    model = keras.Sequential([keras.Input(x.shape[1:]), models.JointLayerNormalization(epsilon=0.5, name="normed")])
    model.save(tmp_path / "normed.keras")
    loaded = keras.models.load_model(tmp_path / "normed.keras")
    assert loaded.get_layer("normed").epsilon == 0.5
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_an_axis_of_ones_own_is_refused():
    with pytest.raises(ValueError, match="over all axes.*Received: axis=-1"):
        models.JointLayerNormalization(axis=-1)
    with pytest.raises(ValueError, match="subtracts the mean.*RMSNormalization"):
        models.JointLayerNormalization(rms_scaling=True)
