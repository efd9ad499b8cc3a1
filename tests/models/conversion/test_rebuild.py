"""What a converted model keeps of the first one: names, policies, masks, weights, its class."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import InnerNetwork, TwoArgActivation, convert
from tests.helpers import predictions
from tests.models.conversion.networks import (
    of,
    reasons,
    resnet,
    settle,
    two_by_two,
    units,
)

pytestmark = pytest.mark.jax


@pytest.mark.slow
def test_an_activation_layer_keeps_its_name_and_an_argument_gets_a_layer():
    converted, report = convert(two_by_two(), where="conv2d.*")
    assert converted.get_layer(report.places[0].layer).name.endswith("_two_arg")
    assert [name for name in report.new_layers] == [f"{report.places[0].linear}_apical"]
    converted, report = convert(resnet())
    assert isinstance(converted.get_layer("block0_relu"), TwoArgActivation)


def test_policies_regularizers_and_frozen_layers_stay():
    policy = keras.DTypePolicy("mixed_bfloat16")
    frozen = layers.Dense(8, "relu", dtype=policy, activity_regularizer="l2", trainable=False, name="frozen")
    model = keras.Sequential([keras.Input((4,)), frozen, layers.Dense(1, dtype=policy)])
    converted, _ = convert(model)
    assert not converted.get_layer("frozen").trainable and converted.get_layer("frozen_apical").trainable
    assert units(converted)[0].compute_dtype == "bfloat16"
    assert converted.get_layer("frozen").activity_regularizer is None
    x = np.ones((3, 4), "float32")
    model(x), converted(x)
    assert len(converted.losses) == len(model.losses) == 1


@pytest.mark.parametrize("frozen_phi", [False, True])
def test_in_a_frozen_model_what_is_new_learns_and_nothing_else(tmp_path, frozen_phi):
    stack = [keras.Input((4,)), layers.Dense(6, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    backbone = keras.Sequential([*stack, layers.Dense(6, "relu"), layers.Dense(6, "relu")], name="backbone")
    backbone.trainable = False
    phi = InnerNetwork((4,), trainable=not frozen_phi)
    converted, report = convert(keras.Sequential([keras.Input((4,)), backbone, layers.Dense(1, name="head")]), phi)
    converted.save(tmp_path / "converted.keras")
    for model in (converted, keras.models.load_model(tmp_path / "converted.keras")):
        inside = model.get_layer("backbone")
        assert not inside.trainable
        learning = {layer.name for layer in inside.layers if layer.trainable and layer.weights}
        places = {layer.name for layer in units(model)}
        assert learning == {name.removeprefix("backbone/") for name in report.new_layers} | places
        assert len(model.trainable_weights) == 7 + 2 + (0 if frozen_phi else 4)


def test_the_loss_is_scaled_where_it_was():
    inner = of(layers.Dense(6, "relu"), layers.Dense(4))
    model = of(inner, layers.Dense(1))
    model.dtype_policy = inner.dtype_policy = "mixed_float16"
    converted, _ = convert(model)
    assert converted.dtype_policy.name == converted.get_layer(inner.name).dtype_policy.name == "mixed_float16"
    converted.compile("adam", "mse")
    assert isinstance(converted.optimizer, keras.optimizers.LossScaleOptimizer)


def test_masks_reach_what_is_behind_the_units():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Dense(5, activation="relu")(layers.Embedding(9, 4, mask_zero=True)(tokens))
    model = keras.Model(tokens, layers.LSTM(3)(x))
    converted, report = convert(settle(model))
    tokens = np.array([[1, 2, 0, 0, 0, 0], [1, 2, 3, 0, 0, 0]])
    np.testing.assert_allclose(predictions(converted, tokens), predictions(model, tokens), atol=1e-6)
    assert "gates inside LSTM" in reasons(report)[model.layers[-1].name]
    assert "use RNN(TwoArgRNNCell(units))" in reasons(report)[model.layers[-1].name]


def test_weights_of_preprocessing_layers_are_copied():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32"))
    model = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(5, "relu"), layers.Dense(1)])
    _, report = convert(model)
    assert report.difference < 1e-6


def test_a_model_class_with_its_own_training_step_stays():
    class Own(keras.Model):
        pass

    x = keras.Input((3,))
    converted, _ = convert(Own(x, layers.Dense(2)(layers.Dense(4, "relu")(x))))
    assert isinstance(converted, Own)


class OwnStep(keras.Sequential):
    def train_step(self, *args):
        raise AssertionError


class OwnStack(keras.Sequential):
    def __init__(self, *stack):
        super().__init__([keras.Input((4,)), *stack])


class OwnArguments(keras.Model):
    def __init__(self, width=8, classes=2, **settings):
        x = keras.Input((4,))
        super().__init__(x, layers.Dense(classes)(layers.Dense(width, activation="relu")(x)), **settings)


class IgnoresThem(keras.Model):
    def __init__(self, *ignored, **settings):
        x = keras.Input((4,))
        super().__init__(x, layers.Dense(2)(layers.Dense(8, activation="relu")(x)), **settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OwnStep([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)]), "lose its own train_step"),
        (OwnArguments, "class OwnArguments cannot be made"),
        (IgnoresThem, "class IgnoresThem cannot be made"),
    ],
)
def test_a_class_that_cannot_be_kept_is_said(make, message):
    with pytest.raises(ValueError, match=f"{message}.*Convert keras.Model") as caught:
        convert(make())
    assert "\n" not in str(caught.value)


def test_a_class_of_layers_in_a_row_becomes_functional():
    converted, _ = convert(OwnStack(layers.Dense(8, "relu"), layers.Dense(2)))
    assert isinstance(converted, keras.Model)


def test_a_penalty_on_what_feeds_an_activation_counts_once():
    model = of(layers.Dense(8, activity_regularizer="l2"), layers.ReLU(), layers.Dense(2))
    converted, _ = convert(model)
    x = np.ones((2, 4), "float32")
    model(x), converted(x)
    np.testing.assert_allclose([float(loss) for loss in converted.losses], [float(loss) for loss in model.losses])


def test_a_given_kernel_is_not_given_to_the_new_half():
    given = keras.initializers.Constant(np.arange(32).reshape(4, 8))
    model = of(layers.Dense(8, kernel_initializer=given, name="given"), layers.ReLU(), layers.Dense(2))
    converted, _ = convert(model)
    first, second = (converted.get_layer(name).get_weights()[0] for name in ("given", "given_apical"))
    assert np.abs(first - second).max() > 1e-3 and np.abs(second).max() < 2


def test_functions_of_ones_own_stay():
    def shifted(x):
        return x + 1

    model = of(
        layers.Dense(6, "relu"),
        layers.Lambda(lambda x: ops.square(x), output_shape=(6,)),
        layers.Dense(3, lambda x: ops.tanh(x), kernel_regularizer=lambda w: ops.sum(w), name="output"),
        layers.Activation(shifted),
    )
    converted, report = convert(settle(model), where="dense.*")
    assert report.difference < 1e-6 and len(converted.losses) == len(model.losses) == 1
