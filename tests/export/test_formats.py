"""Exports: what a server loads equals the model, and needs neither this package nor Keras."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, bake, models
from keras_twoarg.export import formats
from tests.helpers import shared_mlp

pytestmark = pytest.mark.jax

if keras.backend.backend() == "torch":
    pytest.skip("a SavedModel cannot be written from torch", allow_module_level=True)
pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = models.cnn((12, 12, 1), 3, widths=(4, 4, 8), seed=0)
    path = tmp_path_factory.mktemp("served") / "digits" / "1"
    formats.export(model, path)
    return model, path


def test_the_reloaded_export_agrees(exported):
    model, path = exported
    agreement = formats.compare(model, path, formats.random_inputs(model, seed=1))
    assert agreement.agrees and agreement.number == 64 and "agrees with the model" in agreement.sentence


def test_a_difference_is_seen(exported):
    model, path = exported
    other = models.cnn((12, 12, 1), 3, widths=(4, 4, 8), seed=1)
    agreement = formats.compare(other, path, formats.random_inputs(model, seed=1))
    assert not agreement.agrees and agreement.changed > 0 and "DIFFERS" in agreement.sentence


@pytest.mark.parametrize("dtype", ["float64", "float16", "bool"])
def test_inputs_of_every_type_are_compared(dtype, tmp_path):
    model = keras.Sequential([keras.Input((4,), dtype=dtype), keras.layers.Dense(3)])
    formats.export(model, tmp_path / "1")
    agreement = formats.compare(model, tmp_path / "1", formats.random_inputs(model, seed=0))
    assert agreement.agrees and agreement.scale > 0.1


@pytest.mark.parametrize("kind", ["bool", "uint8"])
def test_whole_outputs_are_compared(kind, monkeypatch):
    entry = keras.Input((3,))
    model = keras.Model(entry, keras.ops.cast(keras.ops.greater(entry, 0.0), kind))
    x = np.array([[1.0, -1.0, 2.0]], "float32")
    monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: (x > 0).astype(kind))
    assert formats.compare(model, "any", x).agrees
    monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: (x < 0).astype(kind))
    agreement = formats.compare(model, "any", x)
    assert agreement.difference == 1 and not agreement.agrees  # 0 - 1 is 255 in uint8


def test_an_output_without_columns_holds_no_predictions(monkeypatch):
    entry = keras.Input((3,))
    model = keras.Model(entry, entry[:, 0])
    monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: x[::-1, 0])  # another sample is the largest
    agreement = formats.compare(model, "any", np.eye(5, 3, dtype="float32"))
    assert (agreement.changed, agreement.number, agreement.agrees) == (0, 0, False)
    assert "predictions" not in agreement.sentence


def test_outputs_of_sigmoids_hold_a_prediction_each(monkeypatch):
    entry = keras.Input((2,))
    model = keras.Model(entry, keras.ops.sigmoid(entry))
    monkeypatch.setattr(formats.runtimes, "load", lambda *_: lambda x: np.array([[0.4, 0.45], [0.9, 0.8]]))
    agreement = formats.compare(model, "any", np.array([[1.0, 2.0], [3.0, 2.0]], "float32"))
    assert (agreement.changed, agreement.number) == (2, 4)


def test_rounding_may_turn_two_equal_outputs():
    """A map of 4 million classes has ties; the outputs tell whether only rounding differs."""
    assert formats.Agreement(2e-7, 1.0, changed=2, number=4_000_000).agrees


def test_small_outputs_agree_only_if_their_difference_is_smaller():
    wrong = formats.Agreement(9e-6, 1e-6, changed=0, number=0)
    assert not wrong.agrees and "9.0e-06 (at most 3.2e-09 by rounding) on outputs up to 1e-06" in wrong.sentence
    assert formats.Agreement(1e-9, 1e-6, 0, 0).agrees and formats.Agreement(0.0, 0.0, 0, 0).agrees


def _factors_are_in_full():
    """Return whether float32 is multiplied in full on a GPU, by the settings of this moment."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.config.jax_default_matmul_precision == "highest"
    import tensorflow as tf

    return not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch's own setting is left alone")
def test_factors_are_not_rounded_in_a_comparison(tmp_path):
    seen = []

    class Watch(keras.layers.Layer):
        def call(self, x):
            seen.append(_factors_are_in_full())
            return x

    model = keras.Sequential([keras.Input((3,)), Watch()])
    before = _factors_are_in_full()
    seen.clear()
    formats.record(model, tmp_path / "recorded-1.npz", np.zeros((2, 3), "float32"))
    assert seen == [True] and _factors_are_in_full() == before


def twice(layer):
    return lambda x: layer([keras.layers.Softmax()(x), keras.layers.Dense(3, "softmax")(x)])


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Activation("softmax"),
        keras.layers.Softmax(),
        keras.ops.softmax,
        lambda x: keras.layers.Activation("linear", dtype="float32")(keras.layers.Softmax()(x)),
        twice(keras.layers.Average()),
    ],
)
def test_probabilities_get_no_second_softmax(last, rng):
    entry = keras.Input((4,))
    model = keras.Model(entry, last(keras.layers.Dense(3)(entry)))
    x = rng.normal(size=(5, 4)).astype("float32")
    served = formats.servable(model, softmax=True)(x)
    np.testing.assert_allclose(served["probabilities"], model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("units", "activation", "name"),
    [
        (3, "softmax", "probabilities"),
        (3, "sigmoid", "probabilities"),
        (1, "sigmoid", "probabilities"),
        (3, None, "logits"),
        (1, None, "outputs"),  # of a regression, or one logit
        (3, "tanh", "outputs"),
    ],
)
def test_outputs_are_named_for_what_they_are(units, activation, name):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation=activation)])
    assert list(formats.servable(model)(np.zeros((2, 4)))) == [name]


def test_a_softmax_is_not_put_behind_a_sigmoid():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
    with pytest.raises(ValueError, match="not the outputs of a sigmoid"):
        formats.servable(model, softmax=True)


def test_a_softmax_is_not_put_behind_unknown_operations_whose_outputs_are_probabilities():
    entry = keras.Input((4,))
    halves = [keras.layers.Dense(3, "softmax")(entry) / 2 for _ in range(2)]
    with pytest.raises(ValueError, match="sum to 1 already, as behind a softmax. Export without it"):
        formats.servable(keras.Model(entry, keras.layers.Add()(halves)), softmax=True)
    logits = keras.layers.Add()([keras.layers.Dense(3)(entry) for _ in range(2)])
    assert list(formats.servable(keras.Model(entry, logits), softmax=True)(np.zeros((2, 4)))) == ["probabilities"]


def test_a_softmax_is_not_put_over_the_samples():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), keras.layers.Reshape(())])
    with pytest.raises(ValueError, match="needs one output per class.*with a single output"):
        formats.servable(model, softmax=True)


def test_names_are_given_once():
    served = formats.servable(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    assert formats.servable(served) is served
    with pytest.raises(ValueError, match="names already.*once, with `softmax` or `pixels`, on the model itself"):
        formats.servable(served, softmax=True)


def test_a_layer_with_a_state_between_calls_is_told(tmp_path):
    entry = keras.Input(batch_shape=(4, 6, 3))
    model = keras.Model(entry, keras.layers.GRU(2, stateful=True, name="memory")(entry))
    with pytest.raises(ValueError, match="no state between calls. Received: memory.*stateful=False"):
        formats.export(model, tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_pixels_are_not_put_in_front_of_tokens():
    model = models.transformer((4,), 5, widths=(4,), sequence_width=8, seed=0)
    with pytest.raises(ValueError, match="takes int32"):
        formats.servable(model, pixels=True)


BARE = """
import sys
sys.modules.update(keras=None, keras_twoarg=None)  # importing either is an error from here on
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], loaded.signatures["serving_default"](image=tf.constant(x))["logits"].numpy())
"""


@pytest.mark.slow
def test_a_process_without_keras_serves_it(exported, tmp_path):
    model, path = exported
    x = formats.random_inputs(model, seed=2)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", BARE, str(path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run(command, check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), keras.ops.convert_to_numpy(model(x)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX exports reject an empty batch")
@pytest.mark.parametrize("batch", [0, 1, 37, 1000])
def test_any_batch(exported, batch):
    import tensorflow as tf

    model, path = exported
    loaded = tf.saved_model.load(str(path))
    x = formats.random_inputs(model, seed=3, number=batch)
    assert loaded.serve(x)["logits"].shape == (batch, 3)
    if batch:  # TensorFlow's eager convolution takes no empty batch, the export does
        np.testing.assert_allclose(loaded.serve(x)["logits"].numpy(), keras.ops.convert_to_numpy(model(x)), atol=1e-5)


NEEDS = {
    "onnx": ["onnxruntime", "tf2onnx"],
    "openvino": ["openvino"],
    "litert": ["ai_edge_litert"],
    "tf_saved_model": [],
}
FORMATS = {"onnx": "model.onnx", "openvino": "model.xml", "litert": "model.tflite", "tf_saved_model": "model"}


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these formats are written from TensorFlow")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("baked", [False, True])
def test_every_format_agrees_in_its_own_runtime(format, baked, tmp_path, rng):
    for package in NEEDS[format]:
        pytest.importorskip(package)
    model = models.cnn((12, 12, 1), 3, widths=(4, 4), seed=0)
    x = 3 * rng.normal(size=(37, 12, 12, 1)).astype("float32")
    path = tmp_path / "exports" / FORMATS[format]
    formats.export(model, path, format, baked=baked)
    if baked:
        model, _ = bake(model)
    assert formats.compare(model, path, x, format).agrees
    assert formats.compare(model, path, x[:1], format).agrees
    assert all(file.name.startswith("model") for file in path.parent.iterdir())  # nothing that was there on the way


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="OpenVINO reads TensorFlow's graphs")
@pytest.mark.parametrize("resolution", [2, 8, 9])
def test_openvino_looks_baked_tables_up_with_grid_sample_inside_and_outside(resolution, tmp_path, rng):
    openvino = pytest.importorskip("openvino")
    grid = Interpolation(extent=2.0, resolution=resolution)
    model, _ = bake(keras.Sequential([keras.Input((5, 6), name="x"), TwoArgActivation(evaluation=grid)]))
    formats.export(model, tmp_path / "model.xml", "openvino")
    x = rng.uniform(-4, 4, size=(20, 5, 6)).astype("float32")  # half of them outside of the table
    assert formats.compare(model, tmp_path / "model.xml", x, "openvino").difference < 1e-5
    read = openvino.Core().read_model(tmp_path / "model.xml")
    assert [op.get_type_name() for op in read.get_ops()].count("GridSample") == 1
    assert read.inputs[0].get_names() == {"x"}


def test_errors(exported, tmp_path):
    model, path = exported
    with pytest.raises(ValueError, match="already exists"):
        formats.export(model, path)
    with pytest.raises(ValueError, match="`format` must be one of .*'pmml'"):
        formats.export(model, tmp_path / "x", format="pmml")
    with pytest.raises(ValueError, match="is a folder, and .onnx the ending of 'onnx'. Use this format"):
        formats.export(model, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="is not a readable export"):
        formats.compare(model, tmp_path, formats.random_inputs(model, seed=0))


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these formats are written from TensorFlow")
def test_a_recurrent_network_runs_in_litert_alone(tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = models.recurrent((5,), 7, widths=(4,), sequence_width=4, seed=0)
    formats.export(model, tmp_path / "model.tflite", "litert")
    assert formats.compare(model, tmp_path / "model.tflite", formats.random_inputs(model, 0), "litert").agrees
    assert not model.layers[1].unroll


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="this format is written from TensorFlow")
def test_a_sequence_of_unknown_length_is_refused_by_litert(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(2)])
    with pytest.raises(ValueError, match=r"unknown length.*Build the model with a fixed length.*\(None, None, 3\)"):
        formats.export(model, tmp_path / "model.tflite", "litert")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="from TensorFlow all formats are written")
@pytest.mark.parametrize("format", ["onnx", "openvino", "litert"])
def test_what_is_not_written_from_jax_says_from_where_it_is(format, tmp_path):
    with pytest.raises(ValueError, match=f"'{format}' cannot be written from jax. Set KERAS_BACKEND=tensorflow"):
        formats.export(models.mlp((8, 8, 1), 3, widths=(8,)), tmp_path / FORMATS[format], format)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="written from TensorFlow")
def test_missing_writer_names_the_package_and_leaves_nothing(tmp_path, monkeypatch):
    model = shared_mlp(InnerNetwork(hidden_units=(4,)))

    def missing(*_, **__):
        raise ImportError("tf2onnx")

    monkeypatch.setattr(keras.Model, "export", missing)
    with pytest.raises(ImportError, match="'onnx' needs a missing package .*pip install tf2onnx onnx"):
        formats.export(model, tmp_path / "model.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_of_named_inputs_is_exported(tmp_path):
    """One whose names are not its keys cannot be called with a list."""
    one, two = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    with pytest.warns(UserWarning, match="all keys in the dict must match"):
        model = keras.Model({"y": one, "x": two}, keras.layers.Concatenate()([one, two]))
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    formats.export(loaded, tmp_path / "1")
    assert (tmp_path / "1" / "saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="OpenVINO reads TensorFlow's graphs")
def test_named_inputs_keep_their_names_in_openvino(tmp_path, rng):
    openvino = pytest.importorskip("openvino")
    entries = {name: keras.Input((size,), name=name) for name, size in (("zz", 4), ("bb", 2))}
    x = keras.layers.Concatenate()([entries["zz"], entries["bb"]])
    model, _ = bake(keras.Model(entries, TwoArgActivation(InnerNetwork((4,)))(x)))
    formats.export(model, tmp_path / "model.xml", "openvino")
    given = {name: rng.normal(size=(3, *entry.shape[1:])).astype("float32") for name, entry in entries.items()}
    (outputs,) = openvino.Core().compile_model(tmp_path / "model.xml", "CPU")(given).values()
    np.testing.assert_allclose(outputs, model(given), atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these formats are written from TensorFlow")
@pytest.mark.parametrize(
    ("format", "policy"),
    [("onnx", "mixed_bfloat16"), ("openvino", "bfloat16"), ("litert", "mixed_float16"), ("litert", "mixed_bfloat16")],
)
def test_a_precision_that_a_runtime_does_not_run_is_refused(format, policy, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, dtype=policy), keras.layers.Dense(3)])
    said = f"does not run {policy.removeprefix('mixed_')}.*Export a SavedModel; or build"
    with pytest.raises(ValueError, match=said):
        formats.export(model, tmp_path / FORMATS[format], format)
    assert not list(tmp_path.iterdir())


def test_half_precision_differs_by_its_own_rounding():
    assert not formats.Agreement(1e-3, 1.0, 0, 64).agrees
    half = formats.tolerance_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="mixed_float16")]))
    assert formats.Agreement(1e-3, 1.0, 1, 64, half).agrees and not formats.Agreement(0.1, 1.0, 0, 64, half).agrees


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these formats are written from TensorFlow")
@pytest.mark.parametrize("format", ["tf_saved_model", "litert"])
@pytest.mark.parametrize("name", ["two words", "größe"])
def test_a_name_that_tensorflow_refuses_is_told(format, name, tmp_path):
    model = keras.Sequential([keras.Input((4,), name=name), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=f"letters a to z.*'{name}'. Rename"):
        formats.export(model, tmp_path / FORMATS[format], format)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these formats are written from TensorFlow")
@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_tables_of_words_are_told(format, tmp_path):
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), keras.layers.StringLookup(vocabulary=["a"]), keras.layers.Embedding(2, 3)]
    )
    with pytest.raises(ValueError, match="no tables of words.*string_lookup.*Export a SavedModel"):
        formats.export(model, tmp_path / FORMATS[format], format)


@pytest.mark.parametrize(("entry", "last"), [("string", "float32"), ("float32", "bfloat16")])
def test_what_numpy_has_no_numbers_for_is_not_compared(entry, last):
    first = keras.layers.StringLookup(vocabulary=["a"]) if entry == "string" else keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((1,), dtype=entry), first, keras.layers.Dense(2, dtype=last)])
    assert not formats.comparable(model)
