"""convert keeps a model's function or its parameters, and says what it left as it was."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared, bake, convert, models
from keras_twoarg.export import formats
from keras_twoarg.models.conversion.compare import outputs, random_inputs
from keras_twoarg.models.conversion.graph import flatten_layers, graphs
from tests.helpers import BACKEND

pytestmark = pytest.mark.jax


def settle(model, seed=0):
    """Give every weight another value, as training would, normalization's statistics too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = ops.convert_to_numpy(weight)
        if "float" not in str(value.dtype):
            continue
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, value.shape).astype(value.dtype))
        else:
            weight.assign((value + 0.1 * rng.normal(size=value.shape)).astype(value.dtype))
    return model


def difference(model, converted):
    inputs = random_inputs(model, seed=3)
    pairs = zip(outputs(model, inputs), outputs(converted, inputs), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


def units(model):
    return [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation)]


def names(model):
    return [layer.name for graph in graphs(model) for layer in graph.layers]


def reasons(report):
    return {place.name: place.reason for place in report.left}


def resnet():
    image = x = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    for i, width in enumerate((16, 24)):
        shortcut = x if x.shape[-1] == width else layers.Conv2D(width, 1)(x)
        y = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"block{i}_conv")(x)
        y = layers.ReLU(name=f"block{i}_relu")(layers.BatchNormalization(name=f"block{i}_bn")(y))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
        x = layers.ReLU(name=f"block{i}_sum")(layers.Add()([shortcut, y]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def transformer(activation="relu", width=16):
    """As in Keras' examples: attention and a feed-forward network, pre-norm, in the functional API."""
    tokens = keras.Input((12,), dtype="int32")
    x = layers.Embedding(20, width, mask_zero=True)(tokens)
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8, dropout=0.1)(normal, normal)])
        normal = layers.LayerNormalization()(x)
        y = layers.Dropout(0.1)(layers.Dense(64, activation=activation)(normal))
        x = layers.Add()([x, layers.Dense(width)(y)])
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def autoencoder():
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(60, activation="relu"),
            layers.Dense(24, activation="relu"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            keras.Input((24,)),
            layers.Dense(4 * 4 * 16),
            layers.Reshape((4, 4, 16)),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.1),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ],
        name="decoder",
    )
    return keras.Sequential([keras.Input((8, 8, 1)), encoder, decoder])


def two_by_two():
    image, numbers = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="numbers")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    y = layers.Dense(16)(numbers)
    y = ops.relu(y)
    both = layers.Dense(32, activation="relu")(layers.Concatenate()([x, y]))
    return keras.Model([image, numbers], {"label": layers.Dense(3)(both), "size": layers.Dense(1)(both)})


RELU_MODELS = {
    "mlp": lambda: models.mlp((6, 6, 1), 4, "relu", widths=(60, 50, 40)),
    "cnn": lambda: models.cnn((28, 28, 1), 4, "relu", widths=(8, 16, 16, 60)),
    "resnet": resnet,
    "transformer": transformer,
    "autoencoder": autoencoder,
    "two_by_two": two_by_two,
}


@pytest.mark.parametrize("name", RELU_MODELS)
def test_a_converted_relu_network_computes_the_same_function(name):
    model = settle(RELU_MODELS[name]())
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    converted, report = convert(model)
    assert report.difference <= 1e-5 * max(1, report.scale)
    assert difference(model, converted) <= 1e-5 * max(1, report.scale)
    assert report.parameters == converted.count_params() > model.count_params() == report.parameters_before
    assert len(units(converted)) == len(report.places) and all(place.error < 1e-6 for place in report.places)
    assert set(names(model)) - {place.name.split("/")[-1] for place in report.places} <= set(names(converted))
    assert all(np.array_equal(a, ops.convert_to_numpy(b)) for a, b in zip(before, model.weights, strict=True))
    assert_shared(converted)


@pytest.mark.parametrize("name", RELU_MODELS)
def test_a_converted_model_is_saved_and_loaded(name, tmp_path):
    converted, _ = convert(RELU_MODELS[name]())
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_shared(loaded)
    assert loaded.count_params() == converted.count_params()
    assert difference(converted, loaded) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", RELU_MODELS)
def test_a_converted_model_is_trained_on(name):
    model = RELU_MODELS[name]()
    converted, _ = convert(model)
    inputs = random_inputs(model)
    targets = keras.tree.map_structure(lambda x: np.ones((8, *x.shape[1:]), "float32"), converted.output)
    converted.compile("adam", "mse")
    converted.fit(inputs if len(inputs) > 1 else inputs[0], targets, epochs=2, verbose=0)
    assert difference(model, converted) > 1e-5


@pytest.mark.parametrize("activation", ["gelu", "silu", "tanh", "elu"])
def test_a_smooth_activation_is_fitted_and_the_error_reported(activation):
    model = settle(models.mlp((6, 6, 1), 4, activation, widths=(60, 60), normalization="none"))
    _, report = convert(model)
    assert 1e-5 < max(place.error for place in report.places) < 3e-3
    assert report.difference < 3e-2 * report.scale


@pytest.mark.parametrize(
    "layer", [lambda: layers.ReLU(6.0), lambda: layers.LeakyReLU(0.2), lambda: layers.PReLU("ones")]
)
def test_piecewise_linear_layers_are_exact_also_far_out(layer):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(60), layer(), layers.Dense(2)])
    converted, _ = convert(model)
    x = 20 * np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    assert units(converted)[0].evaluation_in_use != "exact"  # so it is the table that is exact
    np.testing.assert_allclose(converted(x), model(x), atol=1e-4)


def test_phi_learns_from_the_second_argument_at_once():
    converted, _ = convert(models.mlp((6, 6, 1), 3, "relu", widths=(16,)))
    x, y = np.random.default_rng(0).normal(size=(64, 6, 6, 1)), np.arange(64) % 3
    apical = next(layer for layer in converted.layers if layer.name.endswith("_apical") and layer.weights)
    before = ops.convert_to_numpy(apical.kernel)
    converted.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    converted.fit(x, y, epochs=2, batch_size=16, verbose=0)
    assert np.abs(ops.convert_to_numpy(apical.kernel) - before).max() > 1e-5


def test_one_phi_for_each_kind_of_activation():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "relu"),
            layers.Dense(5),
            layers.ReLU(),
            layers.Dense(5, "tanh"),
            layers.Dense(1),
        ]
    )
    converted, report = convert(model)
    assert [place.phi for place in report.places] == ["phi_relu", "phi_relu", "phi_tanh"]
    assert units(converted)[0].inner is units(converted)[1].inner is not units(converted)[2].inner


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
    assert not converted.get_layer("frozen").trainable
    assert units(converted)[0].compute_dtype == "bfloat16"
    assert converted.get_layer("frozen").activity_regularizer is None
    x = np.ones((3, 4), "float32")
    model(x), converted(x)
    assert len(converted.losses) == len(model.losses) == 1


def test_masks_reach_what_is_behind_the_units():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Dense(5, activation="relu")(layers.Embedding(9, 4, mask_zero=True)(tokens))
    model = keras.Model(tokens, layers.LSTM(3)(x))
    converted, report = convert(settle(model))
    short, long = np.array([[1, 2, 0, 0, 0, 0]]), np.array([[1, 2, 0, 0, 0, 0]])
    np.testing.assert_allclose(converted(short), model(long), atol=1e-6)
    assert "gates inside of LSTM" in reasons(report)[model.layers[-1].name]


def test_what_several_layers_feed_and_what_ends_the_model_is_left():
    _, report = convert(resnet())
    assert "several layers feed" in reasons(report)["block0_sum"]
    assert [place.activation for place in report.left] == ["relu", "relu", "softmax"]
    assert "not elementwise" in report.left[-1].reason
    _, report = convert(autoencoder())
    assert [place.activation for place in report.left] == ["sigmoid"] and "output" in report.left[0].reason
    assert "left as it is" in str(report) and "parameters before" in str(report)


def test_gates_are_left_unless_they_are_named():
    x = features = keras.Input((6,))
    gate = layers.Dense(6, activation="sigmoid", name="gate")(layers.Dense(12, activation="relu", name="squeeze")(x))
    model = keras.Model(features, layers.Dense(2)(layers.Multiply()([x, gate])))
    _, report = convert(model)
    assert [place.name for place in report.places] == ["squeeze"] and "gate" in reasons(report)["gate"]
    _, report = convert(model, where=["squeeze", "gate"])
    assert [place.name for place in report.places] == ["squeeze", "gate"]


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
    branch = keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="relu")], name="branch")
    shared, relu = layers.Dense(5, activation="tanh", name="shared"), layers.ReLU(name="relu")
    a, b = keras.Input((4,)), keras.Input((4,))
    x, y = branch(a), branch(b)
    z = layers.Concatenate()([shared(x), shared(y), relu(layers.Dense(3)(x)), relu(layers.Dense(3)(y)), relu(x)])
    model = settle(keras.Model([a, b], layers.Dense(1)(z)))
    converted, report = convert(model)
    assert [place.name for place in report.places] == ["branch/dense", "shared", "relu", "relu_2"] or len(
        report.places
    ) == 4
    assert "relu_3" in reasons(report)
    assert difference(model, converted) < 5e-3
    assert sum(layer.name == "shared_apical" for layer in converted.layers) == 1


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


@pytest.mark.parametrize("name", ["mlp", "resnet", "autoencoder", "transformer"])
def test_the_same_number_of_parameters_within_half_a_percent(name):
    model = RELU_MODELS[name]()
    converted, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
    assert abs(converted.count_params() / model.count_params() - 1) <= 0.005
    assert converted.output_shape == model.output_shape
    assert any(place.units < place.units_before for place in report.places)
    assert all(place.units <= place.units_before for place in report.places)
    outputs(converted, random_inputs(model))


def test_widths_that_a_residual_sum_fixes_stay():
    model = resnet()
    converted, _ = convert(model, InnerNetwork((8, 8)), keep="parameters")
    for layer in model.layers:
        if isinstance(layer, layers.Add):
            assert converted.get_layer(layer.name).output.shape == layer.output.shape


def test_a_phi_is_used_as_it_is_with_the_parameters_kept():
    phi = InnerNetwork((8, 8))
    phi.build((None, 2))
    before = phi.get_weights()
    converted, _ = convert(models.mlp((6, 6, 1), 3, "gelu", widths=(32, 32)), phi, keep="parameters")
    assert all(unit.inner is phi for unit in units(converted))
    assert all(np.array_equal(a, b) for a, b in zip(before, phi.get_weights(), strict=True))


def test_a_fresh_phi_becomes_the_activation():
    model = models.mlp((6, 6, 1), 3, "relu", widths=(16,))
    phi = InnerNetwork((16,))
    converted, report = convert(model, phi)
    assert units(converted)[0].inner is phi and report.difference < 1e-5
    _, report = convert(models.mlp((6, 6, 1), 3, "relu", widths=(8,)), phi)  # it is the activation already
    assert report.places[0].error < 1e-6


def test_baked(tmp_path):
    model = settle(models.cnn((28, 28, 1), 4, "relu", widths=(4, 8, 8, 16)))
    converted, _ = convert(model)
    baked, _ = bake(converted, random_inputs(model)[0])
    assert difference(converted, baked) < 2e-2 and not units(baked)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="writes a SavedModel")
def test_exported(tmp_path):
    converted, _ = convert(models.mlp((6, 6, 1), 3, "relu", widths=(60, 60)))
    formats.export(converted, tmp_path / "served" / "1")
    assert formats.compare(converted, tmp_path / "served" / "1", formats.random_inputs(converted, 0)).agrees
    converted.export(tmp_path / "plain", verbose=False)


@pytest.mark.slow
@pytest.mark.parametrize("application", ["MobileNetV3Small", "EfficientNetB0"])
def test_keras_applications(application, tmp_path):
    make = getattr(keras.applications, application)
    model = make(input_shape=(32, 32, 3), weights=None, classes=10)
    converted, report = convert(model)
    assert len(report.places) > 30 and report.difference < 5e-3
    assert not [name for name in reasons(report) if "expand_activation" in name]
    converted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert difference(converted, loaded) < 1e-6
    _, report = convert(model, keep="parameters")
    assert abs(report.parameters / report.parameters_before - 1) <= 0.005


def subclassed():
    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


def of(*stack):
    return keras.Sequential([keras.Input((4,)), *stack])


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda: of(layers.Dense(3)), {}, "has no activations"),
        (lambda: of(layers.Dense(3, "softmax")), {}, "not elementwise"),
        (lambda: of(layers.Dense(3, "relu")), {}, "gives the model's output"),
        (subclassed, {}, "is subclassed"),
        (lambda: keras.Sequential([layers.Dense(3, "relu")]), {}, "is not built"),
        (lambda: of(layers.Dense(3, lambda x: x * keras.random.normal(())), layers.Dense(2)), {}, "gives other values"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"where": "nothing"}, "matches no activation"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"where": "("}, "regular expressions"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"keep": "both"}, "must be one of"),
        (lambda: of(layers.Dense(3, "exponential"), layers.Dense(2)), {}, "misses it"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"keep": "parameters"}, "Pass a smaller phi"),
        (lambda: of(layers.EinsumDense("ab,bc->ac", 3, activation="relu"), layers.Dense(2)),
         {"keep": "parameters"}, "no width to change"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": InnerNetwork(arity=1)}, "two arguments"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": InnerNetwork(activation="gelu")}, "ReLUs"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(3, "tanh"), layers.Dense(2)),
         {"inner": InnerNetwork()}, "several activations"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_says_what_to_do(make, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        convert(make(), **settings)
    assert "\n" not in str(caught.value)


def test_a_trained_phi_that_is_another_function_is_refused():
    phi = InnerNetwork()
    phi.build((None, 2))
    with pytest.raises(ValueError, match="misses it"):
        convert(of(layers.Dense(3, "relu"), layers.Dense(2)), phi)


def test_what_is_no_model_is_a_type_error():
    with pytest.raises(TypeError, match="Keras model"):
        convert("model.keras")
    with pytest.raises(TypeError, match="InnerNetwork"):
        convert(of(layers.Dense(3, "relu"), layers.Dense(2)), "phi")


def test_a_lambda_that_is_elementwise_is_converted():
    model = of(layers.Dense(6, lambda x: x * ops.sigmoid(1.7 * x)), layers.Dense(2))
    _, report = convert(model)
    assert report.places[0].error < 5e-3


def test_activations_inside_of_custom_layers_and_wrappers_are_listed():
    x = series = keras.Input((5, 3))
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="wrapped")(x)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    x = layers.Dense(6, "relu", name="plain")(x)
    _, report = convert(keras.Model(series, layers.Dense(1)(x)))
    assert [place.name for place in report.places] == ["plain"]
    assert "inside of TimeDistributed" in reasons(report)["wrapped"] and "gates" in reasons(report)["both"]


def test_a_quantized_layer_is_left():
    model = of(layers.Dense(8, "relu"), layers.Dense(2))
    model.quantize("int8")
    with pytest.raises(ValueError, match="quantized"):
        convert(model)
