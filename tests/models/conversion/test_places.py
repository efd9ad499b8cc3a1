"""Which activations are converted, and why others are left."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import convert
from keras_twoarg.models.conversion.places import find_places
from tests.helpers import BACKEND, predictions
from tests.models.conversion.networks import (
    autoencoder,
    difference,
    of,
    reasons,
    resnet,
    settle,
)

pytestmark = pytest.mark.jax


@keras.saving.register_keras_serializable()
class Doubled(layers.Dense):
    """A user's own layer that is not what Dense is."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def test_a_class_with_a_call_of_its_own_is_left():
    stack = [
        Doubled(6, "tanh", name="own"),
        Doubled(6, name="plain"),
        layers.ReLU(name="behind"),
        layers.Dense(5, "relu"),
    ]
    model = of(*stack, layers.Dense(2))
    converted, report = convert(model)
    assert reasons(report)["own"] == "its class Doubled overrides `call`"
    assert "not from one linear layer" in reasons(report)["behind"] and len(report.places) == 1
    assert difference(model, converted) < 1e-5


class Feedforward(layers.Layer):
    """As in Keras' examples: a layer of one's own around a Sequential model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stack = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(4)])

    def call(self, inputs):
        return inputs + self.stack(inputs)


def test_what_to_do_about_a_layer_of_ones_own_is_said():
    with pytest.raises(ValueError, match=r"\(relu\): it lies inside a layer of class Feed.*use TwoArgDense in it"):
        convert(of(Feedforward(), layers.Dense(2)))


class SetsIt(layers.Dense):
    def __init__(self, units, **settings):
        super().__init__(units, **{**settings, "activation": "tanh"})


class HidesIt(layers.Dense):
    def __init__(self, units, name=None, **ignored):
        super().__init__(units, activation="relu", name=name)

    def get_config(self):
        return {"units": self.units, "name": self.name}


class TakesIt(layers.Dense):
    pass


@pytest.mark.parametrize("kind", [SetsIt, HidesIt])
def test_a_class_that_sets_its_activation_is_left(kind):
    model = settle(of(kind(6, name="own"), layers.Dense(5, "relu"), layers.Dense(2)))
    converted, report = convert(model)
    assert f"its class {kind.__name__} sets it" in reasons(report)["own"] and len(report.places) == 1
    assert difference(model, converted) < 1e-5


def test_a_class_that_takes_its_activation_is_converted():
    _, report = convert(of(TakesIt(6, activation="relu"), layers.Dense(2)))
    assert len(report.places) == 1 and report.difference < 1e-5


def test_an_activation_may_be_a_layer():
    model = of(layers.Dense(6, activation=layers.LeakyReLU(0.1)), layers.Dense(2))
    converted, report = convert(model)
    assert len(report.places) == 1 and difference(model, converted) < 1e-5


@pytest.mark.slow
def test_what_several_layers_feed_and_what_ends_the_model_is_left():
    _, report = convert(resnet())
    assert "several layers feed" in reasons(report)["block0_sum"]
    assert [place.activation for place in report.left] == ["relu", "relu", "softmax"]
    assert "not elementwise" in report.left[-1].reason
    _, report = convert(autoencoder())
    assert [place.activation for place in report.left] == ["sigmoid"] and "output" in report.left[0].reason
    assert "left as it is" in str(report) and "parameters before" in str(report)


@pytest.mark.slow
def test_gates_are_left_unless_they_are_named():
    x = features = keras.Input((6,))
    gate = layers.Dense(6, activation="sigmoid", name="gate")(layers.Dense(12, activation="relu", name="squeeze")(x))
    model = keras.Model(features, layers.Dense(2)(layers.Multiply()([x, gate])))
    _, report = convert(model)
    assert [place.name for place in report.places] == ["squeeze"] and "gate" in reasons(report)["gate"]
    _, report = convert(model, where=["squeeze", "gate"])
    assert [place.name for place in report.places] == ["squeeze", "gate"]


@pytest.mark.slow
def test_depthwise_convolutions_lie_between_or_begin_the_path():
    x = image = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, name="behind")(layers.Conv2D(6, 1, name="linear")(x))
    x = layers.ReLU(name="first")(layers.BatchNormalization()(x))
    x = layers.ReLU(name="second")(layers.DepthwiseConv2D(3, name="alone")(x))
    model = settle(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    converted, report = convert(model)
    assert [(p.name, p.linear) for p in report.places] == [("first", "linear"), ("second", "alone")]
    assert report.difference < 1e-5 and difference(model, converted) < 1e-5
    assert "behind_apical" in report.new_layers


def test_a_layer_used_twice_is_converted_for_both_of_its_calls():
    branch = keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="relu", name="inside")], name="branch")
    shared, relu = layers.Dense(5, activation="tanh", name="shared"), layers.ReLU(name="relu")
    a, b = keras.Input((4,)), keras.Input((4,))
    x, y = branch(a), branch(b)
    z = layers.Concatenate()([shared(x), shared(y), relu(layers.Dense(3)(x)), relu(layers.Dense(3)(y)), relu(x)])
    model = settle(keras.Model([a, b], layers.Dense(1)(z)))
    converted, report = convert(model)
    assert [place.name for place in report.places] == ["branch/inside", "shared", "relu", "relu_2"]
    assert "relu_3" in reasons(report)
    assert difference(model, converted) < 5e-3
    assert sum(layer.name == "shared_apical" for layer in converted.layers) == 1


def test_a_lambda_that_is_elementwise_is_converted():
    model = of(layers.Dense(6, lambda x: x * ops.sigmoid(1.7 * x)), layers.Dense(2))
    _, report = convert(model)
    assert report.places[0].error < 5e-3


class Swish(layers.Layer):
    def call(self, x):
        return x * ops.sigmoid(x)


class Doubles(layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_layer_of_ones_own_that_is_elementwise_is_converted():
    stack = [layers.Dense(6), Doubles(), layers.Dense(6), Swish(name="swish"), layers.Dense(2)]
    model = settle(of(*stack))
    converted, report = convert(model)
    assert [(place.name, place.activation) for place in report.places] == [("swish", "swish")] and not report.left
    assert difference(model, converted) < 1e-2


def test_operations_that_may_be_arithmetic_are_listed():
    x = features = keras.Input((4,))
    x = ops.square(ops.maximum(layers.Dense(6)(x), 0.0) + 1.0)
    model = keras.Model(features, layers.Dense(2)(layers.Dense(6, activation="relu")(x)))
    _, report = convert(model)
    assert len(report.places) == 1
    assert [(place.activation, "arithmetic" in place.reason) for place in report.left] == [("maximum", True)]


def random(x):
    return x * keras.random.normal(())


def fails(x):
    return x.no_such_thing


@pytest.mark.parametrize(("function", "reason"), [(random, "different values"), (fails, "fails on an array")])
def test_a_function_that_cannot_be_tried_is_listed(function, reason):
    x = features = keras.Input((4,))
    x = layers.Dense(6, activation="relu")(x)
    layer = layers.Dense(3, activation=random, name="unknown")
    model = keras.Model(features, layers.Dense(2)(layer(x)))
    layer.activation = function
    places = find_places(model, None, any_function=False)
    assert [place.label for place in places] == ["relu", function.__name__]
    assert not places[0].reason and reason in places[1].reason


@pytest.mark.parametrize("axis", [1, 2, 3, [2, 3], -1])
def test_a_softmax_on_any_axis_is_listed(axis):
    x = image = keras.Input((5, 5, 1))
    x = layers.Conv2D(3, 1)(layers.Conv2D(4, 2, activation="relu")(x))
    model = keras.Model(image, layers.Softmax(axis, name="softmax")(x))
    _, report = convert(model)
    assert reasons(report) == {"softmax": "it is not elementwise"} and len(report.places) == 1


def test_a_function_is_tried_with_as_many_axes_as_it_gets():
    x = image = keras.Input((5, 5, 1))
    x = layers.Conv2D(4, 2, activation="relu")(x)
    x = layers.Conv2D(6, 2, activation=layers.PReLU(keras.initializers.Constant(0.1)), name="slopes")(x)
    x = layers.Conv2D(3, 1, activation=lambda x: ops.softmax(x, axis=3), name="softmax")(x)
    model = keras.Model(image, x)
    predictions(model, np.ones((1, 5, 5, 1), "float32"))  # which is what builds the slopes
    _, report = convert(model)
    assert reasons(report) == {"softmax": "it is not elementwise"} and report.difference < 1e-5


def test_a_function_with_some_arguments_given_is_converted_and_kept():
    leaky, soft = partial(ops.leaky_relu, negative_slope=0.1), partial(ops.softmax, axis=-1)
    model = settle(of(layers.Dense(6, activation=leaky), layers.Dense(2, activation=soft)))
    converted, report = convert(model)
    assert [place.activation for place in report.places] == ["leaky_relu"] and report.difference < 1e-5
    assert converted.layers[-1].activation is model.layers[-1].activation is soft
    assert model.layers[0].activation is leaky


def test_each_place_has_a_name_of_its_own():
    relu = layers.ReLU(name="relu")
    x = features = keras.Input((4,))
    x = relu(layers.Dense(5)(relu(layers.Dense(5)(x))))
    x = layers.ReLU(name="relu_2")(layers.Dense(5)(x))
    _, report = convert(keras.Model(features, layers.Dense(2)(x)), where="relu_2")
    assert [place.name for place in report.places] == ["relu_2"] and list(reasons(report)) == ["relu", "relu_3"]


def test_activations_inside_of_custom_layers_and_wrappers_are_listed():
    x = series = keras.Input((5, 3))
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="wrapped")(x)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    x = layers.Dense(6, "relu", name="plain")(x)
    _, report = convert(keras.Model(series, layers.Dense(1)(x)))
    assert [place.name for place in report.places] == ["plain"]
    assert "inside TimeDistributed" in reasons(report)["wrapped"] and "gates" in reasons(report)["both"]


def test_a_mask_is_no_second_input():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Dense(16)(layers.Embedding(9, 4, mask_zero=True)(tokens))
    x = layers.ReLU(name="masked")(layers.BatchNormalization()(x))
    x = layers.TimeDistributed(layers.Dense(5))(x)
    x = layers.Dense(24)(layers.ReLU(name="wrapped")(x))
    x = layers.ReLU(name="pooled")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(tokens, layers.Dense(3)(x))
    _, report = convert(settle(model))
    assert [place.name for place in report.places] == ["masked", "pooled"] and report.difference < 1e-6
    assert reasons(report)["wrapped"].startswith("its values come from TimeDistributed")


@pytest.mark.slow
def test_a_quantized_layer_is_left():
    model = of(layers.Dense(8, "relu"), layers.Dense(2))
    model.quantize("int8")
    with pytest.raises(ValueError, match="quantized"):
        convert(model)


def test_channels_first_images_are_converted():
    x = image = keras.Input((3, 8, 8))
    x = layers.Conv2D(6, 3, data_format="channels_first")(x)
    x = layers.ReLU(name="first")(layers.BatchNormalization(axis=1)(x))
    x = layers.Conv2D(4, 3, data_format="channels_first", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = settle(keras.Model(image, layers.Dense(3)(x)))
    converted, report = convert(model)
    assert [(place.name, place.units) for place in report.places] == [("first", 6), ("second", 4)]
    if BACKEND == "tensorflow":  # has no such convolution on a CPU
        assert report.difference is None or report.difference < 1e-5
    else:
        assert report.difference < 1e-5 and difference(model, converted) < 1e-5
