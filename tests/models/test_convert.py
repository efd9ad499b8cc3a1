"""convert keeps a model's function or its parameters, and says what it left as it was."""

import shutil

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared, bake, convert, models
from keras_twoarg.export import formats
from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.models.conversion.compare import outputs, random_arrays
from tests.helpers import BACKEND
from tests.models.conversion.networks import (
    NETWORKS,
    RELU_MODELS,
    difference,
    names,
    of,
    reasons,
    settle,
    units,
)

pytestmark = pytest.mark.jax


@pytest.mark.parametrize("name", NETWORKS)
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


@pytest.mark.parametrize("name", NETWORKS)
def test_a_learned_function_of_one_argument_starts_as_the_old_one_without_new_layers(name):
    model = settle(RELU_MODELS[name]())
    converted, report = convert(model, "one_arg")
    assert report.difference <= 1e-5 * max(1, report.scale)
    assert not report.new_layers and {place.arguments for place in report.places} == {1}
    phis = {place.phi for place in report.places}
    assert converted.count_params() - model.count_params() == len(phis) * 4_353  # 1 -> 64 -> 64 -> 1
    assert not [name for name in names(converted) if "two_arg" in name]


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["one_arg", "swiglu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_other_arms_have_as_many_parameters_are_trained_and_saved(name, arm, tmp_path):
    model = RELU_MODELS[name]()
    inner = InnerNetwork((8, 8), arity=1) if arm == "one_arg" else arm
    converted, report = convert(model, inner, keep="parameters")
    assert abs(converted.count_params() / model.count_params() - 1) <= 0.005
    assert {place.phi for place in report.places} == {arm if arm == "swiglu" else inner.name}
    inputs = random_arrays(model)
    targets = keras.tree.map_structure(lambda x: np.ones((8, *x.shape[1:]), "float32"), converted.output)
    converted.compile("adam", "mse")
    converted.fit(inputs if len(inputs) > 1 else inputs[0], targets, epochs=1, verbose=0)
    converted.save(tmp_path / "model.keras")
    assert difference(converted, keras.models.load_model(tmp_path / "model.keras")) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
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
    inputs = random_arrays(model)
    targets = keras.tree.map_structure(lambda x: np.ones((8, *x.shape[1:]), "float32"), converted.output)
    converted.compile("adam", "mse")
    converted.fit(inputs if len(inputs) > 1 else inputs[0], targets, epochs=2, verbose=0)
    assert difference(model, converted) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["gelu", "silu", "tanh", "elu"])
def test_a_smooth_activation_is_fitted_and_the_error_reported(activation):
    model = settle(models.mlp((6, 6, 1), 4, activation, widths=(60, 60), normalization="none"))
    _, report = convert(model)
    assert 1e-5 < max(place.error for place in report.places) < 3e-3
    assert report.difference < 3e-2 * report.scale


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer", [lambda: layers.ReLU(6.0), lambda: layers.LeakyReLU(0.2), lambda: layers.PReLU("ones")]
)
def test_piecewise_linear_layers_are_exact_also_far_out(layer):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(60), layer(), layers.Dense(2)])
    converted, _ = convert(model)
    x = 20 * np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    assert units(converted)[0].evaluation_in_use != "exact"  # so it is the table that is exact
    np.testing.assert_allclose(converted(x), model(x), atol=1e-4)


def baked(converted):
    inputs = random_arrays(converted)
    return bake(converted, inputs if len(inputs) > 1 else inputs[0], most_changed=0.2)[0]


def served(converted, path, export):
    """Outputs of an export, run by TensorFlow without Keras, in the order of the model's."""
    import tensorflow as tf

    export(converted, path)
    inputs, loaded = random_arrays(converted, seed=3), tf.saved_model.load(path)
    returned = loaded.serve(*([inputs] if len(inputs) > 1 else inputs))
    return [np.asarray(value) for value in keras.tree.flatten(returned)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_converted_model_is_baked(name, tmp_path):
    converted, _ = convert(settle(RELU_MODELS[name]()))
    tables = baked(converted)
    assert not units(tables) and difference(converted, tables) < 1e-5
    tables.save(tmp_path / "model.keras")
    assert difference(tables, keras.models.load_model(tmp_path / "model.keras")) <= 1e-6


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="writes a SavedModel")
@pytest.mark.parametrize("name", RELU_MODELS)
def test_a_converted_model_is_exported_and_run(name, tmp_path):
    converted, _ = convert(settle(RELU_MODELS[name]()))
    expected = outputs(converted, random_arrays(converted, seed=3))
    exports = [formats.export, *[lambda model, path: model.export(path, verbose=False)] * (name == "mlp")]
    for export in exports:
        for value, own in zip(served(converted, tmp_path / "served", export), expected, strict=True):
            np.testing.assert_allclose(value, own, atol=1e-4)
        shutil.rmtree(tmp_path / "served")


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
    assert difference(converted, baked(converted)) < 5e-3
    if BACKEND == "tensorflow":
        expected = outputs(converted, random_arrays(converted, seed=3))
        np.testing.assert_allclose(served(converted, tmp_path / "served", formats.export), expected, atol=1e-4)
    _, report = convert(model, keep="parameters")
    assert abs(report.parameters / report.parameters_before - 1) <= 0.005


def subclassed():
    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda: of(layers.Dense(3)), {}, "has no activations"),
        (lambda: of(TwoArgActivation(InnerNetwork((4,)))), {}, "two arguments already"),
        (lambda: of(PairActivation("swiglu")), {}, "two arguments already"),
        (lambda: of(PairActivation("swiglu"), layers.Dense(3, "softmax")), {}, "arguments already.*not elementwise"),
        (lambda: of(TwoArgActivation(InnerNetwork((4,), arity=1))), {}, "a learned function of one argument"),
        (lambda: models.recurrent((4,), 3, widths=(4,)), {}, "two arguments already"),
        (lambda: of(layers.Dense(3, "softmax")), {}, "not elementwise"),
        (lambda: of(layers.Dense(3, "relu")), {}, "gives the model's output"),
        (subclassed, {}, "is subclassed"),
        (lambda: keras.Sequential([layers.Dense(3, "relu")]), {}, "is not built"),
        (lambda: of(layers.Dense(3, lambda x: x * keras.random.normal(())), layers.Dense(2)), {}, "different values"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"where": "nothing"}, "matches no activation"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"where": "("}, "regular expressions"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"where": 5}, "regular expressions"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"keep": "both"}, "must be one of"),
        (lambda: of(layers.Dense(3, "exponential"), layers.Dense(2)), {}, "misses it"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"keep": "parameters"}, "too small"),
        (lambda: of(layers.Dense(16, "relu"), layers.Dense(9)), {"keep": "parameters"}, r"InnerNetwork\(\(4, 4\)\)"),
        (lambda: of(layers.Dense(1, "relu"), layers.Dense(2)), {"keep": "parameters"}, "use keep='function'"),
        (lambda: of(layers.Dense(3, lambda x: x.numpy().no_such_thing), layers.Dense(2)), {}, "fails on an array"),
        (lambda: of(layers.EinsumDense("ab,bcd->acd", (2, 3), activation="relu"), layers.Dense(2)),
         {"keep": "parameters"}, "no width to change.* Fixed are 'einsum_dense.*' by shapes that"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": InnerNetwork(arity=3)}, "one or two arg"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": "swish"}, "one of .*swiglu"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": "swiglu"}, "'swiglu' is fixed"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(2)), {"inner": InnerNetwork(activation="gelu")}, "ReLUs"),
        (lambda: of(layers.Dense(3, "relu"), layers.Dense(3, "tanh"), layers.Dense(2)),
         {"inner": InnerNetwork()}, "several activations"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_says_what_to_do(make, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        convert(make(), **settings)
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_a_type_error():
    with pytest.raises(TypeError, match="Keras model"):
        convert("model.keras")
    with pytest.raises(TypeError, match="InnerNetwork"):
        convert(of(layers.Dense(3, "relu"), layers.Dense(2)), 5)


def test_the_new_half_of_an_adapted_layer_is_trained_as_a_whole():
    dense = keras.layers.Dense(16, activation="relu")
    model = keras.Sequential([keras.Input((6,)), dense, keras.layers.Dense(1)])
    dense.enable_lora(2)
    converted, _ = convert(model)
    new = [weight for weight in converted.weights if "apical" in weight.path]
    assert len(new) == 2 and all(weight.trainable for weight in new)
