"""Where layers that pair may stand: never as another layer's activation, never across pixels."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import InnerNetwork, TwoArgActivation, models
from tests.helpers import Block

layers = keras.layers


def place():
    return TwoArgActivation(InnerNetwork((4,)))


def as_a_function(layer):
    return lambda x: layer(x)


SEQUENCE = np.ones((2, 5, 4), "float32")
IMAGE = np.ones((2, 6, 6, 4), "float32")
AS_ACTIVATION = {
    "Dense": (lambda: layers.Dense(6, activation=place()), SEQUENCE, "TwoArgDense"),
    "Dense by a function": (lambda: layers.Dense(6, activation=as_a_function(place())), SEQUENCE, "TwoArgDense"),
    "Dense by keras.activations.get": (
        lambda: layers.Dense(6, activation=keras.activations.get(place())),
        SEQUENCE,
        "TwoArgDense",
    ),
    "Dense of an odd width": (lambda: layers.Dense(5, activation=place()), SEQUENCE, "TwoArgDense"),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", (None, 6), activation=place()), SEQUENCE, "EinsumDense"),
    "Conv1D": (lambda: layers.Conv1D(6, 2, activation=place()), SEQUENCE, r"Conv1D\(2 \* units\)"),
    "Conv2D": (lambda: layers.Conv2D(6, 3, activation=place()), IMAGE, r"Conv2D\(2 \* units\)"),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(6, 3, activation=place()), IMAGE, "SeparableConv2D"),
    "Activation": (lambda: layers.Activation(place()), SEQUENCE, "the layer itself"),
    "SimpleRNN": (lambda: layers.SimpleRNN(4, activation=place()), SEQUENCE, "TwoArgRNNCell"),
    "LSTM": (lambda: layers.LSTM(4, activation=place()), SEQUENCE, "TwoArgRNNCell"),
    "LSTM's gates": (lambda: layers.LSTM(4, recurrent_activation=place()), SEQUENCE, "TwoArgRNNCell"),
    "GRU": (lambda: layers.GRU(4, activation=place()), SEQUENCE, "TwoArgRNNCell"),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(6, activation=place())), SEQUENCE, "TwoArgDense"),
    "fixed pairs": (lambda: layers.Dense(6, activation=models.PairActivation("maxout")), SEQUENCE, "TwoArgDense"),
}


@pytest.mark.parametrize(("make", "x", "remedy"), AS_ACTIVATION.values(), ids=AS_ACTIVATION)
def test_refused_as_an_activation_at_the_first_call(make, x, remedy):
    with pytest.raises(ValueError, match=f"(?s)cannot be another layer's activation.*{remedy}"):
        make()(x)


def test_refused_before_training_and_prediction_change_anything():
    for run in (
        lambda model: model.fit(SEQUENCE, np.ones((2, 5, 6)), verbose=0),
        lambda model: model.predict(SEQUENCE),
    ):
        model = keras.Sequential([keras.Input((5, 4)), layers.Dense(6, activation=place())])
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="cannot be another layer's activation"):
            run(model)


@pytest.mark.slow
def test_one_argument_keeps_the_width_and_may_be_an_activation(tmp_path, rng):
    inner = InnerNetwork((4,), arity=1)
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Dense(6, activation=TwoArgActivation(inner)),
            layers.LSTM(4, activation=TwoArgActivation(inner)),
        ]
    )
    model.compile("sgd", "mse")
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    model.fit(x, np.zeros((3, 4)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == model.count_params()
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_a_layer_or_model_of_ones_own_may_call_it_its_activation(rng):
    class Linear(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense, self.activation = layers.Dense(8), place()

        def call(self, x):
            return self.activation(self.dense(x))

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.activation, self.linear = layers.Dense(8), place(), Linear()

        def call(self, x):
            return self.linear(self.activation(self.dense(x)))

    x = rng.normal(size=(2, 5, 4)).astype("float32")
    for layer in (Linear(), Model(), Block(place()), layers.TimeDistributed(Linear()), layers.TimeDistributed(place())):
        assert layer(x).shape[:2] == (2, 5)
    model = Model()
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(x, np.zeros((2, 5, 4)), verbose=0).history["loss"][0])


def test_last_axis_of_channels_first_images_is_refused():
    for between in ([], [layers.BatchNormalization(axis=1), layers.Dropout(0.1), layers.ReLU()]):
        x = keras.Input((3, 8, 8))
        hidden = layers.Conv2D(4, 3, data_format="channels_first")(x)
        for layer in between:
            hidden = layer(hidden)
        with pytest.raises(ValueError, match="(?s)neighbouring pixels.*axis=1"):
            place()(hidden)
        with pytest.raises(ValueError, match="neighbouring pixels"):
            models.PairActivation("product")(hidden)
        with pytest.raises(ValueError, match="neighbouring pixels"):
            place()(inputs=hidden)
        assert TwoArgActivation(axis=1)(hidden).shape == (None, 2, 6, 6)


def test_several_tensors_pair_nothing_across_pixels():
    x = layers.Conv2D(4, 3, data_format="channels_first")(keras.Input((3, 8, 8)))
    y = layers.Conv2D(4, 3, data_format="channels_first")(keras.Input((3, 8, 8)))
    assert place()([x, y]).shape == (None, 4, 6, 6)
    assert models.PairActivation("product")([x, y]).shape == (None, 4, 6, 6)


def test_last_axis_behind_channels_first_images_may_hold_channels():
    x = layers.ZeroPadding2D(data_format="channels_first")(keras.Input((4, 6, 6)))
    assert place()(layers.Permute((2, 3, 1))(x)).shape == (None, 8, 8, 2)
    assert place()(layers.Permute((2, 3, 1))(layers.Permute((3, 2, 1))(x))).shape[1:]
    assert place()(layers.Flatten(data_format="channels_first")(x)).shape == (None, 128)
    assert place()(ops.transpose(x, (0, 2, 3, 1))).shape == (None, 8, 8, 2)
    assert place()(layers.Conv2D(4, 3, data_format="channels_last")(keras.Input((6, 6, 3)))).shape == (None, 4, 4, 2)
