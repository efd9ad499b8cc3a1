"""Outer networks: the paper's numbers of parameters, the order in a block, matched widths, errors."""

import random

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, TwoArgDense, assert_shared, models
from keras_twoarg.analysis import surfaces
from keras_twoarg.layers.pair_activation import FUNCTIONS
from tests.helpers import inner_networks

MNIST, CIFAR = (28, 28, 1), (32, 32, 3)
PUBLISHED = [
    (models.mlp, MNIST, "two_arg", (64, 64, 64), 122_187),
    (models.mlp, MNIST, "one_arg", (114, 114, 114), 121_213),
    (models.mlp, MNIST, "relu", (118, 118, 118), 121_904),
    (models.mlp, CIFAR, "two_arg", (64, 64, 64), 415_051),
    (models.mlp, CIFAR, "one_arg", (123, 123, 123), 414_076),
    (models.mlp, CIFAR, "relu", (124, 124, 124), 413_302),
    (models.cnn, MNIST, "two_arg", (60, 120, 120, 120), 425_147),
    (models.cnn, MNIST, "one_arg", (120, 150, 165, 200), 425_828),
    (models.cnn, CIFAR, "two_arg", (60, 120, 120, 120), 513_707),
    (models.cnn, CIFAR, "one_arg", (65, 150, 180, 240), 512_703),
    (models.cnn, CIFAR, "relu", (120, 150, 170, 170), 512_660),
]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "shape", "arm", "widths", "parameters"), PUBLISHED)
def test_parameters_are_the_papers(build, shape, arm, widths, parameters):
    model = build(shape, 10, arm, widths)
    assert model.count_params() == parameters
    assert type(model) is keras.Sequential


def test_three_arguments():
    inner = InnerNetwork(arity=3)
    model = keras.Sequential([keras.Input((784,))])
    for _ in range(3):
        model.add(keras.layers.Dense(192))
        model.add(TwoArgActivation(inner))
    model.add(keras.layers.Dense(10))
    assert model.count_params() == 180_811


@pytest.mark.slow
@pytest.mark.parametrize(
    "arm", ["two_arg", "one_arg", "relu", "gelu", "prelu", "swiglu", "glu", "maxout", "xnor", "product"]
)
def test_order_in_a_block_is_the_same_for_every_arm(arm):
    kinds = [type(layer).__name__ for layer in models.cnn(CIFAR, 10, arm, (4, 4, 4)).layers]
    unit = {"two_arg": "TwoArgActivation", "one_arg": "TwoArgActivation", "prelu": "PReLU"}.get(arm)
    unit = unit or ("Activation" if arm in ("relu", "gelu") else "PairActivation")
    pooled = ["TwoArgMaxPooling2D"] if unit == "TwoArgActivation" else [unit, "MaxPooling2D"]
    convolution = ["Conv2D", "JointLayerNormalization", *pooled, "Dropout"]
    assert kinds == [*convolution * 2, "Flatten", "Dense", "LayerNormalization", unit, "Dropout", "Dense"]
    kinds = [type(layer).__name__ for layer in models.mlp(CIFAR, 10, arm, (4, 4)).layers]
    assert kinds == ["Flatten", *["Dense", "LayerNormalization", unit, "Dropout"] * 2, "Dense"]


def test_norm_learns_nothing_and_runs_over_the_whole_sample(rng):
    model = models.cnn(CIFAR, 10, widths=(4, 4, 4))
    norm = model.layers[1]
    assert not norm.weights
    y = keras.ops.convert_to_numpy(norm(rng.normal(2, 3, size=(5, 30, 30, 8))))
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2, 3)), 1, atol=1e-4)


IN_NUMPY = {
    "product": lambda a, b: a * b,
    "glu": lambda a, b: b / (1 + np.exp(-a)),
    "swiglu": lambda a, b: a * b / (1 + np.exp(-a)),
    "maxout": lambda a, b: np.where(a > b, a, b),
    "xnor": lambda a, b: np.where((a > 0) == (b > 0), 1, -1) * np.where(abs(a) < abs(b), abs(a), abs(b)),
}


@pytest.mark.parametrize("function", IN_NUMPY)
def test_every_fixed_pair_is_its_formula(function, rng):
    assert set(IN_NUMPY) == set(FUNCTIONS)
    x1, x2 = rng.normal(size=(2, 50, 4)).astype("float32")
    y = keras.ops.convert_to_numpy(models.PairActivation(function)([x1, x2]))
    np.testing.assert_allclose(y, IN_NUMPY[function](x1, x2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(getattr(surfaces, function)(x1, x2), IN_NUMPY[function](x1, x2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", ["swiglu", "glu", "maxout", "xnor", "product"])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_fixed_pairs_are_the_named_surfaces(function, pairing, rng, tmp_path):
    x1, x2 = rng.normal(size=(2, 5, 3, 4))
    joined = np.stack([x1, x2], -1).reshape(5, 3, 8) if pairing == "adjacent" else np.concatenate([x1, x2], -1)
    model = keras.Sequential([keras.Input((3, 8)), models.PairActivation(function, pairing)])
    model.save(tmp_path / "model.keras")
    y = keras.models.load_model(tmp_path / "model.keras").predict(joined, verbose=0)
    np.testing.assert_allclose(y, getattr(surfaces, function)(x1, x2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(models.PairActivation(function)([x1, x2]), y, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere one path serves all")
@pytest.mark.parametrize("function", ["swiglu", "glu", "maxout", "xnor", "product"])
def test_fixed_pairs_and_their_gradients_are_the_same_compiled(function, rng):
    import tensorflow as tf

    layer, x = models.PairActivation(function), tf.constant(rng.normal(size=(5, 3, 8)).astype("float32"))
    weights = tf.constant(rng.normal(size=(5, 3, 4)).astype("float32"))
    networks = []
    for training in (True, False):  # compiled, and operation by operation
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        networks.append((y, tape.gradient(y, x, output_gradients=weights)))
    for compiled, plain in zip(*networks, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-6)
    graph = tf.function(lambda x: layer(x, training=False)).get_concrete_function(x).graph.as_graph_def()
    assert b"_XlaMustCompile" not in graph.SerializeToString()


def test_all_units_share_one_phi():
    for model in (models.mlp(MNIST, 10), models.cnn(MNIST, 10)):
        assert len(inner_networks(model)) == 1
        assert_shared(model)
    inner = InnerNetwork()
    assert inner_networks(models.mlp(MNIST, 10, inner=inner)) == [inner]


def test_images_have_their_channels_last_whatever_keras_is_set_to():
    expected = models.cnn((20, 24, 3), 10, widths=(4, 4, 4), seed=1)
    keras.config.set_image_data_format("channels_first")
    try:
        network = models.cnn((20, 24, 3), 10, widths=(4, 4, 4), seed=1)
        assert network.output_shape == (None, 10) and network.count_params() == expected.count_params()
        relu = models.cnn((20, 24, 3), 10, "relu", widths=(4, 4, 4))
        assert relu.layers[0].output.shape == (None, 18, 22, 4) and relu.output_shape == (None, 10)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_seed_gives_the_same_weights_and_each_layer_its_own():
    first, second, third = (models.mlp((16,), 3, widths=(8, 8, 8), seed=s).get_weights() for s in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, third, strict=True) if a.any())
    same_shape = [w for w in first if w.shape == (8, 16)]
    assert len(same_shape) == 2 and not np.array_equal(*same_shape)


def test_dropout_of_two_layers_is_independent():
    model = models.mlp((16,), 3, widths=(8, 8), seed=5)
    masks = [
        keras.ops.convert_to_numpy(layer(np.ones((50, 8)), training=True))
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert not np.array_equal(*masks)


@pytest.mark.parametrize("build", [models.mlp, models.cnn])
@pytest.mark.parametrize("shape", [MNIST, CIFAR])
@pytest.mark.parametrize("arm", ["two_arg", "one_arg", "quadratic", "relu", "gelu", "prelu", "swiglu"])
def test_matched_widths_match(build, shape, arm):
    reference = build(shape, 10)
    widths = models.matched_widths(arm, reference)
    model = build(shape, 10, arm, widths)
    assert abs(model.count_params() / reference.count_params() - 1) <= 0.005
    if arm == "two_arg":
        assert widths == {models.mlp: (64, 64, 64), models.cnn: (60, 120, 120, 120)}[build]
    _, row = models.compare({"reference": reference, arm: model})
    assert row.matched and row.normalization == "LayerNorm" and row.parameters == model.count_params()


@pytest.mark.parametrize("arm", ["two_arg", "quadratic", "relu"])
def test_matching_and_counting_draw_no_random_numbers(arm):
    reference = models.mlp((10,), 2, "relu", widths=(300, 300))
    phi, before = InnerNetwork((5,), arity=3), random.getstate()
    models.matched_widths(arm, reference)
    assert phi.count_params() == 4 * 5 + 6
    assert random.getstate() == before and not phi.built


def test_matching_small_and_odd_networks():
    reference = models.mlp((10,), 2, widths=(30, 7))
    widths = models.matched_widths("relu", reference)
    assert abs(models.mlp((10,), 2, "relu", widths).count_params() / reference.count_params() - 1) <= 0.005


def test_matching_more_closely_than_half_a_percent():
    widths = models.widths_for_budget("swiglu", 3406, (38, 28, 6), (10,), 3, tolerance=0.001)
    assert abs(models.count_parameters("swiglu", widths, (10,), 3) / 3406 - 1) <= 0.001


def test_multiply_adds_by_hand():
    model = models.cnn((10, 10, 3), 5, widths=(4, 6))
    convolution = 8 * 8 * 9 * 3 * 8
    dense = 4 * 4 * 4 * 12
    phi = (8 * 8 * 4 + 6) * (2 * 64 + 64 * 64 + 64)
    (row,) = models.compare({"cnn": model})
    assert row.multiply_adds == convolution + dense + phi + 6 * 5
    assert row.pre_activations == 2 * row.units == 2 * (8 * 8 * 4 + 6)


def test_a_model_without_norm_is_called_so():
    bare = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), TwoArgActivation(), keras.layers.Dense(2)])
    assert models.compare({"bare": bare})[0].normalization == "none"


def _ending_in(layer, shape=(4,)):
    return keras.Sequential([keras.Input(shape), layer])


def test_activations_of_a_class_of_their_own_are_units():
    for activation in (keras.layers.ReLU(), keras.layers.LeakyReLU(), keras.layers.ELU()):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), activation, keras.layers.Dense(2)])
        assert models.compare({"mine": model})[0].units == 6


ERRORS = [
    (lambda: models.mlp(MNIST, 10, "rleu"), "`arm` must be one of .*'rleu'.*relu"),
    (lambda: models.mlp(MNIST, 10, "softmax"), "`arm` must be one of"),
    (lambda: models.mlp(MNIST, 10, "threshold"), "`arm` must be one of"),
    (lambda: models.mlp(MNIST, 10, "relu", inner=InnerNetwork()), "'relu' has no inner network"),
    (lambda: models.mlp(MNIST, 10, "one_arg", inner=InnerNetwork()), "of arity 1. Received: arity=2"),
    (lambda: models.mlp(MNIST, 10, widths=()), "`widths` must be positive integers"),
    (lambda: models.mlp(MNIST, 10, widths=(64, 0)), "`widths` must be positive integers"),
    (lambda: models.mlp(MNIST, 0), "`classes` must be a positive integer"),
    (lambda: models.mlp(MNIST, 10, dropout=1.0), r"`dropout` must be in \[0, 1\)"),
    (lambda: models.cnn((28, 28), 10), "height, width, channels"),
    (lambda: models.cnn((8, 8, 1), 10), "too small for 3 layers"),
    (
        lambda: models.matched_widths("relu", keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])),
        "made by models.mlp, models.cnn or",
    ),
    (
        lambda: models.matched_widths("relu", models.resnet((8, 8, 3), 10, widths=(4,), blocks_per_stage=1)),
        "made by models.mlp, models.cnn or",
    ),
    (
        lambda: models.matched_widths("one_arg", models.mlp((4,), 2, "relu", (9,))),
        "No widths give the arm 'one_arg' 65.*wider --widths",
    ),
    (lambda: models.widths_for_budget("relu", 1000, (), (4,), 2), "`proportions` must be positive"),
    (lambda: models.widths_for_budget("relu", 1000, (1, 0), (4,), 2), "`proportions` must be positive"),
    (lambda: models.widths_for_budget("relu", 0, (1,), (4,), 2), "`parameters` must be a positive integer"),
    (lambda: models.count_parameters("relu", (8,) * 6, MNIST, 10, architecture="cnn"), "too small for 5 layers"),
    (lambda: models.widths_for_budget("relu", 9999, (1,) * 6, MNIST, 10, architecture="cnn"), "too small for 5"),
    (lambda: models.count_parameters("relu", (8,), (4, 4), 10, architecture="transformer"), "must be .context,."),
    (lambda: models.compare({"mine": _ending_in(TwoArgDense(4))}), "class TwoArgDense"),
    (lambda: models.compare({"mine": _ending_in(keras.layers.Dense(4, "relu"))}), "class Dense.*relu"),
    (lambda: models.compare({"mine": _ending_in(keras.layers.Conv1D(4, 3), (8, 3))}), "class Conv1D"),
    (lambda: models.compare({"mine": _ending_in(keras.layers.LSTM(4), (8, 3))}), "class LSTM.*return_sequences"),
    (lambda: models.compare({"mine": _ending_in(_ending_in(keras.layers.Dense(4)))}), "class Sequential"),
]


def test_options_that_no_network_has_are_refused():
    with pytest.raises(TypeError, match="sequence_width.*Received: sequence_widht"):
        models.widths_for_budget("relu", 9999, (1,), (9,), 5, architecture="recurrent", sequence_widht=8)


@pytest.mark.parametrize(("action", "message"), ERRORS)
def test_errors(action, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action()
