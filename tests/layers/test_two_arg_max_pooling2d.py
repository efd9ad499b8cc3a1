"""TwoArgMaxPooling2D: what TwoArgActivation and MaxPooling2D compute one after the other, gradients included."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import (
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgMaxPooling2D,
    analysis,
    bake,
    clone_model,
    models,
    set_evaluation,
)
from keras_twoarg.ops import pooled_table
from tests.helpers import BACKEND, assert_portable, gradients

pytestmark = pytest.mark.jax

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="the pass that is written for TensorFlow")


def one_after_the_other(inner, size, **kwargs):
    return [TwoArgActivation(inner, **kwargs), keras.layers.MaxPooling2D(size)]


def network(layers, shape, seed=0):
    """Return a small network whose convolution feeds the layers."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(shape), keras.layers.Conv2D(8, 3, padding="same"), *layers])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(3))
    return model


@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
@pytest.mark.parametrize(("shape", "size"), [((6, 6), 2), ((7, 5), 2), ((7, 8), (3, 2)), ((4, 4), 1)])
@pytest.mark.parametrize("arity", [1, 2])
def test_outputs_are_those_of_the_two_layers(evaluation, shape, size, arity, rng):
    inner = InnerNetwork((8, 8), arity=arity)
    layer = TwoArgMaxPooling2D(inner, size, evaluation=evaluation)
    x = rng.normal(size=(3, *shape, 4 * arity)).astype("float32")
    expected = x
    for other in one_after_the_other(inner, size, evaluation=evaluation):
        expected = other(expected)
    for training in (True, False):
        y = layer(x, training=training)
        assert tuple(y.shape) == layer.compute_output_shape(x.shape) == tuple(expected.shape)
        np.testing.assert_allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.slow
@only_tensorflow
@pytest.mark.parametrize(("shape", "size"), [((6, 6), (2, 2)), ((7, 5), (2, 2)), ((7, 8), (3, 2))])
@pytest.mark.parametrize("arity", [1, 2])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_are_those_of_the_two_layers(shape, size, arity, frozen, rng):
    import tensorflow as tf

    inner = InnerNetwork((8, 8), arity=arity)
    grid = Interpolation(extent=3.0, resolution=9)
    both = one_after_the_other(inner, size, evaluation=grid)
    x = tf.constant(2 * rng.normal(size=(3, *shape, 4 * arity)).astype("float32"))
    fused = TwoArgMaxPooling2D(inner, size, evaluation=grid)
    fused.build(x.shape)
    inner.trainable = not frozen
    results = []
    for layers in ([fused], both):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for layer in layers:
                y = layer(y, training=True)
            loss = tf.reduce_sum(tf.sin(3 * y))
        results.append(tape.gradient(loss, [x, *inner.trainable_weights]))
    assert len(results[0]) == (1 if frozen else 7)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


class OneAfterTheOther(keras.layers.Layer):
    """The two layers as one, whose gradients can be compared on every backend."""

    def __init__(self, inner, size, **kwargs):
        super().__init__()
        self.inner, self.parts = inner, one_after_the_other(inner, size, **kwargs)

    def call(self, x, training=None):
        unit, pooling = self.parts
        return pooling(unit(x, training=training))


def test_gradients_are_those_of_the_two_layers_on_every_backend(rng):
    inner, grid = InnerNetwork((8, 8)), Interpolation(extent=3.0, resolution=9)
    x = 2 * rng.normal(size=(3, 7, 5, 8)).astype("float32")
    results = []
    for layer in (kind(inner, 2, evaluation=grid) for kind in (TwoArgMaxPooling2D, OneAfterTheOther)):
        layer(x)
        results.append(gradients(layer, x))
    assert len(results[0]) == 7
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_among_equals_the_first_has_the_gradient_as_in_max_pooling(rng):
    layer = TwoArgMaxPooling2D(InnerNetwork((8,)), evaluation="interpolated")
    x = np.repeat(np.repeat(rng.normal(size=(2, 2, 2, 6)), 2, 1), 2, 2).astype("float32")
    layer(x)
    slopes = gradients(layer, x)[0]
    assert (slopes[:, ::2, ::2] != 0).any()
    assert not slopes[:, 1::2].any() and not slopes[:, :, 1::2].any()


@pytest.mark.skipif(BACKEND == "tensorflow", reason="its own max-pooling leaves NaN out")
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 1)])
def test_nan_is_not_lost_in_training(place, rng):
    x = rng.normal(size=(1, 4, 4, 2)).astype("float32")
    x[0, place[0], place[1], 0] = np.nan
    y = ops.convert_to_numpy(TwoArgMaxPooling2D(evaluation="interpolated")(x, training=True))
    assert np.isnan(y[0, 0, 0, 0]) and np.isfinite(y[0].ravel()[1:]).all()


@pytest.mark.slow
def test_training_is_that_of_the_two_layers_and_is_one_pass_where_that_pays(rng, monkeypatch):
    used = []
    original = pooled_table.evaluate
    monkeypatch.setattr(pooled_table, "evaluate", lambda *a: used.append(a[0].shape) or original(*a))
    x, y = rng.normal(size=(32, 9, 9, 1)).astype("float32"), rng.integers(0, 3, 32)
    losses, predictions = [], []
    for make in (
        lambda inner, **k: [TwoArgMaxPooling2D(inner, **k)],
        lambda inner, **k: one_after_the_other(inner, 2, **k),
    ):
        keras.utils.set_random_seed(1)
        inner = InnerNetwork((8, 8), kernel_initializer=keras.initializers.GlorotUniform(seed=1))
        model = network(make(inner, evaluation="interpolated"), x.shape[1:])
        model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(model.fit(x, y, epochs=5, batch_size=16, shuffle=False, verbose=0).history["loss"])
        predictions.append(model.predict(x, verbose=0))
    assert {shape[1:] for shape in used} == ({(9, 9, 4, 2)} if BACKEND in pooled_table.BACKENDS else set())
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(*predictions, atol=1e-3)


@pytest.mark.slow
def test_training_lowers_the_loss_and_switches(rng):
    x, y = rng.normal(size=(64, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 64)
    model = network([TwoArgMaxPooling2D(InnerNetwork((8, 8)))], x.shape[1:])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for evaluation in ("exact", "interpolated"):
        assert list(set_evaluation(model, evaluation).values()) == [evaluation]
        losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


@pytest.mark.slow
def test_saved_cloned_and_shared(tmp_path, rng):
    inner = InnerNetwork((8, 8))
    layers = [TwoArgMaxPooling2D(inner, (2, 3), name="pooled"), keras.layers.Conv2D(8, 1), TwoArgActivation(inner)]
    model, x = network(layers, (8, 9, 1)), rng.normal(size=(5, 8, 9, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    for copy in (keras.models.load_model(tmp_path / "model.keras"), clone_model(model)):
        copy.set_weights(model.get_weights())
        assert copy.get_layer("pooled").pool_size == (2, 3)
        assert copy.count_params() == model.count_params()
        np.testing.assert_allclose(copy.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_auto_counts_units_before_pooling():
    model = keras.Sequential([keras.Input((16, 16, 2)), TwoArgMaxPooling2D(pool_size=16, name="place")])
    assert model.get_layer("place").evaluation_in_use == "interpolated"
    assert model.output_shape == (None, 1, 1, 1)


@pytest.mark.slow
def test_unknown_height_and_two_tensors(rng):
    image = keras.Input((None, None, 4))
    model = keras.Model(image, TwoArgMaxPooling2D(evaluation="interpolated")(image))
    model.compile("sgd", "mse")
    assert model.output_shape == (None, None, None, 2)
    x = rng.normal(size=(2, 6, 8, 4)).astype("float32")
    model.fit(x, np.zeros((2, 3, 4, 2)), verbose=0)
    assert model.predict(x, verbose=0).shape == (2, 3, 4, 2)
    both = TwoArgMaxPooling2D()([x[..., :2], x[..., 2:]])
    assert tuple(both.shape) == (2, 3, 4, 2)


def test_mixed_precision(rng):
    layer = TwoArgMaxPooling2D(evaluation="interpolated", dtype="mixed_float16")
    x = rng.normal(size=(2, 6, 6, 4)).astype("float16")
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    exact = TwoArgMaxPooling2D(layer.inner, evaluation="exact")(x.astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(y).astype("float32"), ops.convert_to_numpy(exact), atol=0.03)


@pytest.mark.slow
def test_baked_and_its_arguments_recorded(rng, tmp_path):
    model = models.cnn((14, 14, 1), 3, widths=(6, 6))
    x = rng.normal(size=(40, 14, 14, 1)).astype("float32")
    seen = analysis.pre_activations(model, x)
    assert [len(tuples) for tuples in seen.values()] == [40 * 12 * 12 * 6, 40 * 6]
    baked, report = bake(model, calibration=x)
    assert report.changed == 0 and [type(layer).__name__ for layer in baked.layers].count("BakedActivation") == 2
    baked.save(tmp_path / "baked.keras")
    loaded = keras.models.load_model(tmp_path / "baked.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), baked.predict(x, verbose=0), atol=1e-6)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.05)


@pytest.mark.slow
@only_tensorflow
def test_an_export_is_portable(tmp_path, rng):
    model = network([TwoArgMaxPooling2D(evaluation="interpolated")], (8, 8, 1))
    x = rng.normal(size=(3, 8, 8, 1)).astype("float32")
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 3)), verbose=0)
    assert_portable(model, x, tmp_path)


@pytest.mark.parametrize("pool_size", [True, 0, (2,), (2, -1), "2", 1.5])
def test_a_wrong_pool_size_is_named(pool_size):
    with pytest.raises(ValueError, match="pool_size"):
        TwoArgMaxPooling2D(pool_size=pool_size)


@pytest.mark.parametrize(("shape", "said"), [((2, 8), "takes .batch, height"), ((2, 1, 8, 4), "smaller than a window")])
def test_what_are_no_images_is_refused(shape, said):
    with pytest.raises(ValueError, match=said):
        TwoArgMaxPooling2D()(np.zeros(shape, "float32"))


@pytest.mark.parametrize("shape", [(17, 17), pytest.param((300, 1), marks=pytest.mark.slow)])
def test_windows_of_more_entries_than_a_byte_counts(shape, rng):
    inner, grid = InnerNetwork((8,)), Interpolation(extent=3.0, resolution=9)
    fused = TwoArgMaxPooling2D(inner, shape, evaluation=grid)
    fused.build((2, *shape, 8))
    places = TwoArgActivation(inner, evaluation=grid)

    class OneAfterTheOther(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner, self.place, self.pool = inner, places, keras.layers.MaxPooling2D(shape)
            self.built = True

        def call(self, x, training=None):
            return self.pool(self.place(x, training=training))

    x = rng.normal(size=(2, *shape, 8)).astype("float32")
    for ours, theirs in zip(gradients(fused, x), gradients(OneAfterTheOther(), x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
