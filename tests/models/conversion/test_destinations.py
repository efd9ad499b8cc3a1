"""What gives the model's output, or is a gate, is left unless it is named."""

import keras
import pytest
from keras import layers, ops

from keras_twoarg import convert
from tests.models.conversion.networks import reasons

pytestmark = pytest.mark.jax


def after(last):
    x = features = keras.Input((4,))
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(features, last(layers.Dense(2, activation="tanh", name="head")(x)))


def denormalized():
    return layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 4.0], invert=True)


ENDS = {
    "cast by a layer": lambda x: layers.Activation("linear", dtype="float32")(x),
    "cast": lambda x: ops.cast(x, "float16"),
    "a generator's": lambda x: layers.Rescaling(127.5, 127.5)(x),
    "an actor's": lambda x: x * 2.0,
    "several heads": lambda x: layers.Concatenate()([x, layers.Dense(1)(x)]),
    "a slice": lambda x: x[:, 0],
    "a mean": lambda x: layers.Average()([x, layers.Dense(2)(x)]),
    "denormalized": lambda x: denormalized()(x),
    "in a nested model": lambda x: keras.Sequential([keras.Input((2,)), layers.Rescaling(2.0)])(x),
}


@pytest.mark.parametrize("last", ENDS.values(), ids=ENDS)
def test_the_output_s_activation_is_left_whatever_without_weights_follows(last):
    _, report = convert(after(last))
    assert [place.name for place in report.places] == ["hidden"]
    assert "gives the model's output" in reasons(report)["head"]
    _, report = convert(after(last), where="head")
    assert [place.name for place in report.places] == ["head"]


def test_behind_weights_or_in_a_model_that_something_reads_it_is_no_output():
    inner = keras.Sequential([keras.Input((2,)), layers.Rescaling(2.0), layers.Dense(3, "tanh", name="end")], name="in")
    _, report = convert(after(lambda x: layers.Dense(1)(inner(x))))
    assert [place.name for place in report.places] == ["hidden", "head", "in/end"]
    _, report = convert(after(inner))
    assert [place.name for place in report.places] == ["hidden", "head"] and list(reasons(report)) == ["in/end"]


def nested_gate(x):
    stack = [layers.GlobalAveragePooling2D(keepdims=True), layers.Dense(4, "relu"), layers.Dense(8, "sigmoid")]
    return x * keras.Sequential([keras.Input((4, 4, 8)), *stack], name="nested")(x)


def gate(x):
    return layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))


GATES = {
    "nested": nested_gate,
    "getitem": lambda x: x * gate(x)[:, None, None, :],
    "cast": lambda x: ops.cast(x, "float16") * ops.cast(layers.Reshape((1, 1, 8))(gate(x)), "float16"),
    "broadcast": lambda x: x * ops.broadcast_to(layers.Reshape((1, 1, 8))(gate(x)), (2, 4, 4, 8)),
    "resized": lambda x: x * layers.UpSampling2D()(layers.Conv2D(8, 2, strides=2, activation="sigmoid")(x)),
}


@pytest.mark.parametrize("gated", GATES.values(), ids=GATES)
def test_a_gate_is_left_wherever_its_product_is(gated):
    image = keras.Input((4, 4, 8), batch_size=2)
    x = layers.Conv2D(8, 1, activation="relu")(image)
    _, report = convert(keras.Model(image, layers.Dense(2)(layers.Flatten()(gated(x)))))
    assert {place.activation for place in report.places} == {"relu"}
    assert [(place.activation, "a gate" in place.reason) for place in report.left] == [("sigmoid", True)]


def test_a_product_with_a_number_makes_no_gate():
    x = features = keras.Input((4,))
    x = layers.Dense(6, activation="tanh", name="doubled")(x) * 2.0
    _, report = convert(keras.Model(features, layers.Dense(2)(x)))
    assert [place.name for place in report.places] == ["doubled"]
