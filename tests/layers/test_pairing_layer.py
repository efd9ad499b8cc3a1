"""The axis that holds the arguments, in every layer that pairs: what transposing by hand computes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import (
    BakedActivation,
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgMaxPooling2D,
    analysis,
    bake,
    models,
)

GRID = Interpolation(extent=3.0, resolution=9)


def baked(axis=-1, pairing="adjacent", arity=2):
    layer = BakedActivation(GRID, arity, pairing, axis=axis)
    layer.build((None, *[4 * arity] * 3))
    phi = InnerNetwork((4,), arity=arity, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    layer.fill(phi.predict(GRID.nodes(arity)))
    return layer


def learned(axis=-1, pairing="adjacent", arity=2, evaluation="exact"):
    phi = InnerNetwork((4,), arity=arity, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    return TwoArgActivation(phi, pairing=pairing, axis=axis, evaluation=evaluation)


def interpolated(axis=-1, pairing="adjacent", arity=2):
    return learned(axis, pairing, arity, GRID)


def fixed(axis=-1, pairing="adjacent", arity=2):
    return models.PairActivation("swiglu", pairing, axis=axis)


LAYERS = [learned, interpolated, fixed, baked]


@pytest.mark.parametrize("make", LAYERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_an_axis_is_what_transposing_by_hand_computes(make, pairing, axis, rng):
    x = rng.normal(size=(5, 8, 8, 8)).astype("float32")
    layer = make(axis, pairing)
    for training in (True, False):
        y = ops.convert_to_numpy(layer(x, training=training))
        expected = make(-1, pairing)(np.moveaxis(x, axis, -1), training=training)
        np.testing.assert_allclose(y, np.moveaxis(ops.convert_to_numpy(expected), -1, axis), atol=1e-5)
        assert y.shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("arity", [1, 3])
def test_an_axis_with_other_arities(arity, rng):
    x = rng.normal(size=(5, 12, 7)).astype("float32")
    for pairing in ("adjacent", "halves"):
        y = ops.convert_to_numpy(learned(1, pairing, arity)(x))
        expected = learned(-1, pairing, arity)(np.swapaxes(x, 1, 2))
        np.testing.assert_allclose(y, np.swapaxes(ops.convert_to_numpy(expected), 1, 2), atol=1e-5)


def test_units_of_several_tensors_do_not_depend_on_the_axis(rng):
    parts = [rng.normal(size=(5, 4, 7)).astype("float32") for _ in range(2)]
    last, first = (ops.convert_to_numpy(learned(axis)(parts)) for axis in (-1, 1))
    np.testing.assert_array_equal(last, first)


def test_units_and_evaluation_are_counted_on_the_axis():
    layer = TwoArgActivation(axis=1)
    layer.build((None, 8, 13, 13))
    assert layer.evaluation_in_use == "interpolated"
    assert TwoArgActivation(axis=1)(keras.Input((8, None, None))).shape == (None, 4, None, None)


@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_a_unit_of_paired_time_steps_counts_if_both_do(pairing):
    x = np.array([[1, 2, 0, 4], [1, 0, 3, 0]])
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(x)
    y = TwoArgActivation(axis=1, pairing=pairing)(embedded)
    expected = {"adjacent": [[True, False], [False, False]], "halves": [[False, True], [True, False]]}[pairing]
    assert y.shape == (2, 2, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(y._keras_mask), expected)


def pooled_network(first, evaluation, weights):
    """A projection along channels, units, and pooled units."""
    axis, order = (1, "channels_first") if first else (-1, "channels_last")
    image = keras.Input((2, 9, 8) if first else (9, 8, 2))
    phi = InnerNetwork((4, 4), kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    # Not a convolution, which some devices cannot compute in this order.
    hidden = keras.layers.EinsumDense("bchw,cd->bdhw" if first else "bhwc,cd->bhwd", (8, 9, 8) if first else (9, 8, 8))(
        image
    )
    hidden = TwoArgActivation(phi, axis=axis, evaluation=evaluation)(hidden)
    hidden = TwoArgMaxPooling2D(phi, (2, 3), axis=axis, evaluation=evaluation)(hidden)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(data_format=order)(hidden))
    model.layers[1].set_weights([weights])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
def test_channels_first_images_through_training_saving_and_baking(evaluation, tmp_path, rng):
    """The same network and data in both orders: the same losses, outputs, and arguments."""
    images = rng.normal(size=(6, 9, 8, 2)).astype("float32")
    y, weights = rng.normal(size=(6, 2)).astype("float32"), rng.normal(size=(2, 8)).astype("float32")
    results = []
    for first in (False, True):
        x = np.moveaxis(images, -1, 1) if first else images
        model = pooled_network(first, evaluation, weights)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
        outputs = model.predict(x, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(loaded.predict(x, verbose=0), outputs, atol=1e-5)
        seen = analysis.pre_activations(model, x)
        assert [len(tuples) for tuples in seen.values()] == [6 * 9 * 8 * 4, 6 * 9 * 8 * 2]
        baked_model, _ = bake(model, calibration=x)
        np.testing.assert_allclose(baked_model.predict(x, verbose=0), outputs, atol=0.02)
        results.append((losses, outputs))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_pooled_windows_follow_what_keras_is_set_to(rng):
    x = rng.normal(size=(2, 4, 6, 8)).astype("float32")
    assert TwoArgMaxPooling2D().axis == -1
    keras.config.set_image_data_format("channels_first")
    try:
        layer = TwoArgMaxPooling2D()
        network = models.cnn((14, 14, 1), 3, widths=(4, 4))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert layer.axis == 1 and layer(x).shape == (2, 2, 3, 4)
    assert network.predict(np.zeros((2, 14, 14, 1)), verbose=0).shape == (2, 3)
    assert TwoArgMaxPooling2D(axis=-3).axis == 1
    old = {key: value for key, value in layer.get_config().items() if key != "axis"}
    assert TwoArgMaxPooling2D.from_config(old).axis == -1


ERRORS = {
    "the batch axis": (lambda: TwoArgActivation(axis=0), "other than 0.*axis=0"),
    "the batch axis from the end": (lambda: TwoArgActivation(axis=-2)(np.ones((2, 4))), "axis 0 holds the samples"),
    "beyond the end": (lambda: TwoArgActivation(axis=3)(np.ones((2, 4, 4))), "axis=3 for a tensor with 3 axes"),
    "no integer": (lambda: models.PairActivation("maxout", axis=1.0), "must be an integer.*axis=1.0"),
    "odd": (lambda: TwoArgActivation(axis=1)(np.ones((2, 5, 4))), "axis 1 must be a multiple of 2.*axis 1 = 5"),
    "unknown": (lambda: TwoArgActivation(axis=1)(keras.Input((None, 4))), "axis 1 must have a known size"),
    "rows of images": (lambda: TwoArgMaxPooling2D(axis=2), "on axis -1, or on axis 1.*axis=2"),
    "baked": (lambda: BakedActivation(GRID, axis=0), "other than 0"),
}


@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_which_axis_was_wrong(action, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action()


@pytest.mark.parametrize("make", LAYERS, ids=lambda make: make.__name__)
def test_integers_are_numbers(make):
    x = np.arange(-4, 4)[None]
    y, expected = (ops.convert_to_numpy(make()(inputs)) for inputs in (x, x.astype("float32")))
    np.testing.assert_allclose(y, expected, atol=1e-6)
