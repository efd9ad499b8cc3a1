"""Baking: what the tables compute, and every way a baked model is saved, copied and exported."""

import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import (
    BakedActivation,
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgDense,
    TwoArgRNNCell,
    bake,
    clone_model,
    models,
    set_evaluation,
)  # fmt: skip
from keras_twoarg.analysis import pre_activations
from keras_twoarg.export import formats, runtimes
from tests.helpers import inner_networks, phi_in_float64, predictions, shared_mlp

BACKEND = keras.backend.backend()


def test_an_interpolated_model_keeps_its_table_and_its_outputs(model, images):
    grid = Interpolation(4.0, 21)
    set_evaluation(model, grid)
    baked, report = bake(model, images)
    assert all((place.extent, place.resolution) == (4.0, 21) for place in report.places)
    assert report.places[0].before == "interpolated"
    np.testing.assert_allclose(predictions(baked, images), predictions(model, images), atol=1e-5)


@pytest.mark.slow
def test_baking_leaves_the_model_as_it_was(model, images):
    before, weights = predictions(model, images), model.get_weights()
    bake(model, images)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    np.testing.assert_array_equal(predictions(model, images), before)


@pytest.mark.slow
def test_a_baked_model_has_no_inner_network_and_trains_nothing_of_phi(model, images):
    baked, _ = bake(model, images)
    assert not [layer for layer in baked._flatten_layers() if isinstance(layer, InnerNetwork | TwoArgActivation)]
    activation = next(layer for layer in baked.layers if isinstance(layer, BakedActivation))
    assert not activation.trainable_weights and len(activation.weights) == 1
    assert len(baked.trainable_weights) == 6  # kernels and biases of three linear layers


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
def test_arity_and_pairing(arity, pairing, rng):
    inner = InnerNetwork((8, 8), arity=arity)
    model = keras.Sequential([keras.Input((5, 4 * arity)), TwoArgActivation(inner, pairing=pairing)])
    x = rng.normal(size=(50, 5, 4 * arity)).astype("float32")
    baked, _ = bake(model, x, 1e-3)
    np.testing.assert_allclose(predictions(baked, x), predictions(model, x), atol=0.02)


@pytest.mark.slow
def test_functional_nested_and_two_tensor_models(rng):
    inner = InnerNetwork((8, 8))
    block = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), TwoArgActivation(inner)], name="block")
    inputs = keras.Input((6,))
    basal, apical = keras.layers.Dense(4)(inputs), keras.layers.Dense(4)(inputs)
    outputs = keras.layers.Add()([TwoArgActivation(inner)([basal, apical]), block(inputs)])
    model = keras.Model(inputs, outputs)
    x = rng.normal(size=(50, 6)).astype("float32")
    baked, report = bake(model, x, 1e-3)
    assert len(report.places) == 2
    np.testing.assert_allclose(predictions(baked, x), predictions(model, x), atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_table_in_float32(policy, rng):
    layer = TwoArgActivation(InnerNetwork((8, 8), dtype=policy), dtype=policy)
    model = keras.Sequential([keras.Input((8,)), layer])
    x = rng.normal(size=(50, 8)).astype("float32")
    baked, _ = bake(model, x)
    assert baked.layers[0].cells.dtype == "float32"
    y = baked(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    exact = phi_in_float64(layer.inner, x.reshape(50, 4, 2))[..., 0]
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(y, "float32")), exact, atol=0.05)


@pytest.mark.slow
def test_files_pickles_copies_and_rebuilt_models_compute_the_same(model, images, tmp_path):
    baked, _ = bake(model, images)
    expected = predictions(baked, images)
    baked.save(tmp_path / "baked.keras")
    baked.save_weights(tmp_path / "baked.weights.h5")
    copies = [keras.models.load_model(tmp_path / "baked.keras"), pickle.loads(pickle.dumps(baked))]
    for rebuilt in (clone_model(baked), keras.models.clone_model(baked), type(baked).from_config(baked.get_config())):
        rebuilt.load_weights(tmp_path / "baked.weights.h5")
        copies.append(rebuilt)
    for copy in copies:
        np.testing.assert_array_equal(predictions(copy, images), expected)


@pytest.mark.slow
def test_the_layers_around_can_still_be_trained(model, images):
    baked, _ = bake(model, images)
    table = ops.convert_to_numpy(baked.layers[3].cells)
    baked.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = baked.fit(images, np.arange(300) % 10, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(ops.convert_to_numpy(baked.layers[3].cells), table)


@pytest.mark.slow
def test_nan_stays_nan_and_spreads_no_further(model, images):
    baked, _ = bake(model, images)
    x = np.array([[np.nan, 0.0, 1.0, 2.0], [np.inf, 0.0, 1.0, 2.0], [1e30, 0.0, 1.0, 2.0]], "float32")
    y = predictions(baked.layers[3], x)
    assert np.isnan(y[0, 0]) and not np.isfinite(y[1, 0]) and np.isfinite(y[:, 1]).all()


EXPORTS = {"tf_saved_model": "tensorflow", "onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="these formats are written from TensorFlow")
@pytest.mark.parametrize("format", EXPORTS)
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_exports_compute_the_same_in_their_own_runtimes(format, architecture, tmp_path, rng):
    pytest.importorskip(EXPORTS[format])
    if format == "onnx":
        pytest.importorskip("tf2onnx")
    build = {
        "mlp": lambda: models.mlp((8, 8, 1), 10, widths=(24, 24)),
        "cnn": lambda: models.cnn((12, 12, 1), 10, widths=(6, 8)),
    }
    model = build[architecture]()
    images = rng.normal(size=(37, *model.input_shape[1:])).astype("float32")
    baked, _ = bake(model, images)
    path = tmp_path / {"litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}.get(format, "model")
    formats.export(baked, path, format)
    run = runtimes.load(path, format)
    for batch in (1, 37):
        x = images[:batch]
        np.testing.assert_allclose(run(x), predictions(baked, x), atol=1e-4)
    images[3] = np.nan  # neither a stopped server nor other samples' outputs
    outputs, others = run(images), np.arange(len(images)) != 3
    np.testing.assert_allclose(outputs[others], predictions(baked, images)[others], atol=1e-4)


@pytest.mark.slow
def test_a_saved_model_holds_tables_and_no_phi(model, images, tmp_path):
    if BACKEND != "tensorflow":
        pytest.skip("run once, on TensorFlow")
    baked, _ = bake(model, images)
    baked.export(tmp_path / "exported", verbose=False)
    graph = (tmp_path / "exported" / "saved_model.pb").read_bytes()
    assert b"_XlaMustCompile" not in graph
    assert graph.count(b"MatMul") < 3 * 4  # three linear layers, in a handful of signatures; phi would add nine


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.unit = TwoArgActivation()

    def call(self, x):
        return self.unit(x)


def filled(values):
    layer = BakedActivation(Interpolation(resolution=3))
    layer.build((None, 2))
    layer.fill(values)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: bake(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])), "holds no TwoArgActivation"),
        (lambda: bake(shared_mlp(InnerNetwork(arity=3))), "with an inner network of arity 3. Export the model without"),
        (lambda: bake(shared_mlp(), tolerance=0.0), "`tolerance` is relative to phi"),
        (lambda: bake(shared_mlp(), tolerance=1e-9), "meets the tolerance.*Use a larger"),
        (lambda: bake(shared_mlp(), np.zeros((0, 6))), "no samples"),
        (lambda: bake(shared_mlp(), np.full((5, 6), np.nan)), "NaN or infinity in 5 of 5 samples"),
        (lambda: bake(shared_mlp(), np.full((5, 6), 3e38, "float32")), "no finite pre-activations"),
        (lambda: bake(shared_mlp(), (np.zeros((5, 6)), np.zeros(5))), "a tuple of 2. Pass labels as `labels`"),
        (lambda: bake(shared_mlp(), ([x, 0] for x in np.zeros((5, 6)))), "must be arrays. Received: generator"),
        (lambda: bake(shared_mlp(), np.ones((5, 6)), labels=np.eye(5)), "integer label for each of 5.*not one-hot"),
        (lambda: BakedActivation(Interpolation(), arity=3), "one or two arguments"),
        (lambda: BakedActivation(Interpolation(1.0, 3)).fill(np.zeros(9)), "has no table yet. Call its `build`"),
        (lambda: filled(np.zeros(16)), "each of the grid's 9 nodes. Received: 16"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()


class WithoutConfig(keras.layers.Layer):
    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)


def test_a_layer_that_cannot_be_rebuilt_is_named_as_the_reason():
    model = keras.Sequential([keras.Input((4,)), WithoutConfig(object(), name="own"), TwoArgActivation()])
    with pytest.raises(ValueError, match="^The layer 'own' of class WithoutConfig cannot be rebuilt"):
        bake(model)


@pytest.mark.slow
def test_models_that_keras_cannot_rebuild_are_refused(rng):
    subclassed = Subclassed()
    subclassed(rng.normal(size=(3, 4)))
    with pytest.raises(ValueError, match="Only Sequential and functional models"):
        bake(subclassed)
    wrapped = keras.Sequential([keras.Input((5, 4)), keras.layers.TimeDistributed(TwoArgActivation())])
    with pytest.raises(ValueError, match="inside a layer other than TwoArgDense"):
        bake(wrapped)


def test_what_preprocessing_layers_have_learned_is_baked_too(rng):
    x = rng.normal(30, 5, size=(200, 4)).astype("float32")
    normalization, words = keras.layers.Normalization(), keras.layers.IntegerLookup(vocabulary=[3, 5, 8])
    normalization.adapt(x)
    phi = InnerNetwork((8, 8))
    model = keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(6), TwoArgActivation(phi)])
    np.testing.assert_allclose(predictions(bake(model, x)[0], x), predictions(model, x), atol=0.02)
    numbers = np.array([[3, 8, 5], [1, 5, 5]])
    model = keras.Sequential(
        [keras.Input((3,), dtype="int64"), words, keras.layers.Embedding(4, 4), TwoArgActivation(phi)]
    )
    np.testing.assert_allclose(bake(model, numbers)[0](numbers), model(numbers), atol=0.02)


def test_a_frozen_block_stays_frozen():
    model = keras.Sequential([keras.Input((6,)), TwoArgDense(4), keras.layers.Dense(2)])
    model.layers[0].trainable = False
    assert len(bake(model)[0].trainable_weights) == 2


@pytest.mark.slow
def test_a_dense_block_is_baked(tmp_path):
    phi = InnerNetwork((8, 8))
    stack = [TwoArgDense(8, phi, kernel_regularizer="l2"), TwoArgDense(5, phi, use_bias=False)]
    model = keras.Sequential([keras.Input((6,)), *stack, keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    baked, report = bake(model, x)
    assert [place.name for place in report.places] == [layer.name for layer in stack]
    assert inner_networks(baked) == []
    np.testing.assert_allclose(baked(x), model(x), atol=1e-2)
    baked.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), baked(x))


@pytest.mark.slow
def test_a_transformer_is_baked():
    model = models.transformer((12,), 20, widths=(16, 16), sequence_width=16, inner=InnerNetwork((8, 8)))
    tokens = np.random.default_rng(0).integers(0, 20, (50, 12))
    baked, report = bake(model, tokens)
    assert len(report.places) == 2 and inner_networks(baked) == []
    np.testing.assert_allclose(baked(tokens), model(tokens), atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((5, 6), lambda: keras.layers.RNN(TwoArgRNNCell(8, InnerNetwork((8, 8))))),
        ((6,), lambda: TwoArgDense(8, [InnerNetwork((8, 8)), InnerNetwork((8, 8))])),
    ],
)
def test_other_blocks_are_refused_in_one_line(shape, layer):
    model = keras.Sequential([keras.Input(shape), layer(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="inside a layer other than TwoArgDense.*Export the model without baking it"):
        bake(model)


def test_functions_of_ones_own_are_baked(rng):
    stack = [keras.layers.Dense(6), TwoArgActivation(), keras.layers.Lambda(lambda x: ops.square(x) + 1)]
    model = keras.Sequential([keras.Input((4,)), *stack, keras.layers.Dense(3, lambda x: 2 * x)])
    x = rng.normal(size=(50, 4)).astype("float32")
    baked, _ = bake(model, x)
    np.testing.assert_allclose(predictions(baked, x), predictions(model, x), atol=0.05)


def test_places_of_one_name_in_nested_models_are_baked(rng):
    def block(name, extent):
        place = TwoArgActivation(evaluation=Interpolation(extent=extent, resolution=33), name="units")
        return keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="dense"), place], name=name)

    model = keras.Sequential([keras.Input((8,)), block("first", 3.0), block("second", 6.0), keras.layers.Dense(3)])
    x = rng.normal(size=(50, 8)).astype("float32")
    baked, report = bake(model, x)
    assert [(place.name, place.extent) for place in report.places] == [("units", 3.0), ("units_2", 6.0)]
    np.testing.assert_allclose(predictions(baked, x), predictions(model, x), atol=1e-5)
    assert list(set_evaluation(model, "exact")) == ["units", "units_2"]
    tuples = pre_activations(model, x)
    assert list(tuples) == ["units", "units_2"] and len(tuples["units_2"]) == 50 * 8
