"""Which widths may change, and how many parameters a converted model has."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_twoarg import InnerNetwork, TwoArgActivation, convert
from keras_twoarg.models.conversion.compare import outputs, random_arrays
from tests.models.conversion.networks import NETWORKS, RELU_MODELS, reasons, resnet

pytestmark = pytest.mark.jax


def converted(model):
    copy, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert abs(copy.count_params() / model.count_params() - 1) <= 0.005
    return copy, {place.name: (place.units_before, place.units) for place in report.places}


@pytest.mark.slow
def test_widths_of_a_squeeze_and_excitation_block_stay_together():
    image = x = keras.Input((8, 8, 3))
    x = layers.Conv2D(64, 1, activation="relu", name="expand")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    gate = layers.Reshape((1, 1, 64))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(16, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(64, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Conv2D(24, 1, name="project")(layers.Multiply()([x, gate]))
    model = keras.Model(image, layers.Add()([x, layers.Conv2D(24, 1)(image)]))
    copy, units = converted(model)
    assert units["expand"][1] == units["depthwise"][1] == copy.get_layer("excite").filters < 64
    assert copy.get_layer("project").filters == 24


@pytest.mark.slow
def test_concatenated_and_flattened_widths_are_counted():
    image = keras.Input((6, 6, 3))
    branches = [layers.Conv2D(width, 3, padding="same", activation="relu")(image) for width in (16, 24, 40)]
    x = layers.BatchNormalization()(layers.Concatenate()(branches))
    x = layers.Dense(50, activation="relu", name="flat")(layers.Flatten()(x))
    _, units = converted(keras.Model(image, layers.Dense(4)(x)))
    assert all(after < before for before, after in units.values())


def test_nested_models_inputs_follow():
    first = keras.Sequential([keras.Input((9,)), layers.Dense(64, activation="relu", name="dense")], name="first")
    second = keras.Sequential([keras.Input((64,)), layers.Dense(48, activation="relu"), layers.Dense(5)], name="second")
    copy, units = converted(keras.Sequential([keras.Input((9,)), first, second]))
    assert copy.get_layer("second").input_shape[-1] == units["first/dense"][1] < 64


class Tokens(layers.Layer):
    """A user's own layer, whose shapes are not known."""

    def call(self, inputs):
        return inputs


def test_channels_that_a_layer_without_known_shapes_reads_are_fixed():
    series = keras.Input((5, 3))
    x = layers.Dense(16, activation="relu", name="fixed")(series)
    x = layers.Dense(64, activation="relu", name="free")(layers.GlobalAveragePooling1D()(Tokens()(x)))
    _, units = converted(keras.Model(series, layers.Dense(80)(x)))
    assert units["fixed"] == (16, 16) and units["free"][1] < 64


def test_the_message_names_what_fixes_the_widths():
    series = keras.Input((5, 3))
    x = layers.Dense(16, activation="relu", name="first")(series)
    x = layers.Dense(16, activation="relu", name="second")(Tokens(name="own")(x))
    model = keras.Model(series, layers.Dense(1)(layers.Add(name="sum")([x, layers.Dense(16)(series)])))
    with pytest.raises(ValueError, match=r"Fixed are 'first' by Tokens 'own'; 'second' by Add 'sum'") as caught:
        convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.slow
@pytest.mark.parametrize("groups", [4, -1])
def test_group_normalization_gets_a_multiple_of_its_groups(groups):
    image = x = keras.Input((8, 8, 3))
    for i in range(3):
        x = layers.GroupNormalization(groups)(layers.Conv2D(32, 3, padding="same", name=f"conv{i}")(x))
        x = layers.ReLU(name=f"relu{i}")(x)
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    if groups == -1:  # as many as channels
        with pytest.raises(ValueError, match="'conv0' by GroupNormalization 'group_norm"):
            convert(model, InnerNetwork((8, 8)), keep="parameters")
        return
    with pytest.warns(UserWarning, match="-1.6%"):
        _, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert [place.units for place in report.places] == [28, 20, 20]


@pytest.mark.slow
def test_group_normalization_of_concatenated_channels_keeps_its_groups():
    image = keras.Input((8, 8, 3))
    pair = [layers.Conv2D(width, 3, activation="relu", name=f"conv{width}")(image) for width in (24, 48)]
    x = layers.GroupNormalization(8)(layers.Concatenate()(pair))
    x = layers.Dense(90, "relu", name="wide")(layers.GlobalAveragePooling2D()(x))
    copy, units = converted(keras.Model(image, layers.Dense(30)(x)))
    assert all(units[f"conv{width}"][1] % 8 == 0 for width in (24, 48)) and units["conv48"][1] < 48
    outputs(copy, random_arrays(copy))


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN", "Bidirectional"])
def test_recurrent_layers_read_any_width(layer):
    recurrent = layers.Bidirectional(layers.LSTM(8)) if layer == "Bidirectional" else getattr(layers, layer)(8)
    wide = layers.Dense(90, activation="relu", name="wide")
    copy, units = converted(keras.Sequential([keras.Input((5, 20)), wide, recurrent, layers.Dense(5)]))
    assert units["wide"][1] < 90
    outputs(copy, random_arrays(copy))


def test_the_first_state_of_a_recurrent_layer_keeps_its_width():
    series, start = keras.Input((5, 20)), keras.Input((9,))
    state = layers.Dense(8, activation="relu", name="state")(start)
    x, last = layers.GRU(8, return_state=True)(layers.Dense(64, activation="relu", name="wide")(series), state)
    _, units = converted(keras.Model([series, start], layers.Dense(40, name="out")(layers.Concatenate()([x, last]))))
    assert units["state"] == (8, 8) and units["wide"][1] < 64


def test_each_output_of_a_layer_has_its_own_width():
    series = keras.Input((7, 12))
    _, scores = layers.MultiHeadAttention(2, 8)(series, series, return_attention_scores=True)
    x = layers.Dense(64, activation="relu", name="first")(scores)
    converted(keras.Model(series, layers.Dense(5)(layers.Dense(64, activation="relu")(x))))


def test_all_layers_around_a_repeat_vector_share_the_cut():
    first, second = layers.Dense(64, "relu", name="first"), layers.Dense(64, "relu", name="second")
    stack = [keras.Input((20,)), first, layers.RepeatVector(3), second, layers.Dense(5)]
    _, units = converted(keras.Sequential(stack))
    assert all(40 < after < 45 for _, after in units.values())


@pytest.mark.parametrize(("equation", "shape"), [("abc,cd->abd", (5, 64)), ("...c,cd->...d", 64)])
def test_an_einsum_that_is_dense_has_a_width(equation, shape):
    stack = [layers.EinsumDense(equation, shape, bias_axes="d", activation="relu", name=f"e{i}") for i in range(2)]
    _, units = converted(keras.Sequential([keras.Input((5, 20)), *stack, layers.Dense(5)]))
    assert all(after < before for before, after in units.values())


def test_a_normalization_of_two_tensors_fixes_both():
    x = keras.Input((9,))
    both = layers.LayerNormalization(name="both")
    pairs = [layers.ReLU(name=f"relu{i}")(both(layers.Dense(16, name=f"dense{i}")(x))) for i in range(2)]
    free = [layers.Dense(width, "relu", name=f"free{width}")(pair) for width, pair in zip((60, 90), pairs, strict=True)]
    _, units = converted(keras.Model(x, [layers.Dense(40)(one) for one in free]))
    assert units["relu0"] == units["relu1"] == (16, 16) and units["free60"][1] < 60


def test_a_phi_that_several_layers_share_counts_once():
    phi = InnerNetwork((8, 8))
    pairs = [layer for _ in range(3) for layer in (layers.Dense(32), TwoArgActivation(phi))]
    model = keras.Sequential([keras.Input((20,)), *pairs, layers.Dense(64, "relu"), layers.Dense(2)])
    copy, report = convert(model, "swiglu", keep="parameters")
    assert abs(copy.count_params() / model.count_params() - 1) <= 0.005
    assert report.places[0].units < 64


def test_masks_are_no_tensors_whose_widths_count():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(tokens)
    stack = [layers.Dense(200), layers.BatchNormalization(), layers.ReLU(name="relu"), layers.Dense(8)]
    x = keras.Sequential([keras.Input((6, 8)), *stack], name="nested")(x)
    _, units = converted(keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))))
    assert units["nested/relu"][1] < 200


@pytest.mark.parametrize("format_", ["channels_first"])
def test_channels_first_is_said_to_have_no_width(format_):
    image = keras.Input((3, 8, 8))
    x = layers.Conv2D(16, 3, activation="relu", data_format=format_)(image)
    x = layers.GlobalAveragePooling2D(data_format=format_)(x)
    with pytest.raises(ValueError, match="no width to change"):
        convert(keras.Model(image, layers.Dense(3)(x)), keep="parameters")


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in NETWORKS if one not in ("cnn", "two_by_two")])
def test_the_same_number_of_parameters_within_half_a_percent(name):
    model = RELU_MODELS[name]()
    converted, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert abs(converted.count_params() / model.count_params() - 1) <= 0.005
    assert converted.output_shape == model.output_shape
    assert any(place.units < place.units_before for place in report.places)
    assert all(place.units <= place.units_before for place in report.places)
    outputs(converted, random_arrays(model))


def test_widths_that_a_residual_sum_fixes_stay():
    model = resnet()
    converted, _ = convert(model, InnerNetwork((8, 8)), keep="parameters")
    for layer in model.layers:
        if isinstance(layer, layers.Add):
            assert converted.get_layer(layer.name).output.shape == layer.output.shape


def test_a_small_model_gets_the_nearest_widths_and_a_warning():
    model = keras.Sequential([keras.Input((28,)), layers.Dense(8, "relu"), layers.Dense(8, "relu"), layers.Dense(10)])
    with pytest.warns(UserWarning, match=r"387 parameters instead of 394 \(-1.8%\)"):
        copy, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert copy.count_params() == report.parameters == 387
    assert "no whole widths come within 0.5%" in str(report)


@pytest.mark.filterwarnings("error::UserWarning")
def test_widths_that_match_need_no_warning():
    model = keras.Sequential([keras.Input((28,)), layers.Dense(16, "relu"), layers.Dense(16, "relu"), layers.Dense(10)])
    _, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert (report.parameters_before, report.parameters) == (906, 907)
    assert "whole widths" not in str(report)


def test_a_smaller_phi_is_advised_only_where_it_helps():
    x = keras.Input((8,))
    y = layers.Dense(16, activation="relu")(x)
    y = layers.Add()([y, layers.Dense(16, activation="relu")(x)])  # which fixes both
    model = keras.Model(x, layers.Dense(2)(layers.Dense(2, activation="relu")(y)))
    with pytest.raises(ValueError, match="too much of it is fixed"):
        convert(model, InnerNetwork((8, 8)), keep="parameters")
    small = keras.Sequential([keras.Input((28,)), layers.Dense(16, activation="relu"), layers.Dense(10)])
    with pytest.raises(ValueError, match=r"Pass a smaller phi, such as InnerNetwork\(\(8, 8\)\)"):
        convert(small, keep="parameters")


def test_what_was_adapted_to_the_data_stays_in_a_fresh_model():
    values = np.random.default_rng(0).normal(500, 40, (90, 5)).astype("float32")
    normalization = layers.Normalization(name="standardize")
    normalization.adapt(values)
    model = keras.Sequential([keras.Input((5,)), normalization, layers.Dense(90, "relu"), layers.Dense(30)])
    copy, _ = converted(model)
    np.testing.assert_allclose(copy.get_layer("standardize")(values), normalization(values), atol=1e-5)


def test_frozen_layers_stay_in_a_fresh_model_with_their_weights_and_what_reads_them_is_scaled():
    base = keras.Sequential(
        [keras.Input((9,)), layers.Dense(40, "relu", name="first"), layers.Dense(32, "relu", name="second")],
        name="base",
    )
    base.trainable = False
    head = [layers.Dense(64, "relu", name="head"), layers.Dense(5)]
    model = keras.Sequential([keras.Input((9,)), base, *head])
    copy, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert [place.name for place in report.places] == ["head"]
    assert set(reasons(report)) == {"base/first", "base/second"}
    assert all("frozen" in reason for reason in reasons(report).values())
    assert not copy.get_layer("base").trainable_weights
    for before, after in zip(base.get_weights(), copy.get_layer("base").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert abs(copy.count_params() / model.count_params() - 1) <= 0.005
    assert np.abs(head[0].get_weights()[0][:, :9] - copy.get_layer("head").get_weights()[0][:, :9]).max() > 0.01


def test_a_model_that_is_frozen_as_a_whole_has_no_fresh_one():
    model = keras.Sequential([keras.Input((9,)), layers.Dense(40, "relu"), layers.Dense(5)])
    model.trainable = False
    with pytest.raises(ValueError, match="frozen"):
        convert(model, keep="parameters")
