"""A SavedModel's two signatures: one that any runtime serves, and one that XLA compiles."""

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import TwoArgActivation, cli, models
from keras_twoarg.export import formats, runtimes

pytestmark = pytest.mark.jax

if keras.backend.backend() == "torch":
    pytest.skip("a SavedModel cannot be written from torch", allow_module_level=True)
tf = pytest.importorskip("tensorflow")
saved_model_pb2 = pytest.importorskip("tensorflow.core.protobuf.saved_model_pb2")
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow's has two")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = formats.servable(models.cnn((12, 12, 1), 3, widths=(4, 8), seed=0))
    path = tmp_path_factory.mktemp("served") / "1"
    formats.export(model, path, baked=True)
    return model, path


def functions_of(path, signature):
    """Return all functions that a signature runs."""
    (graph,) = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    nodes = {node.name: node for node in graph.graph_def.node}
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    (output,) = graph.signature_def[signature].outputs.values()
    names, reached = [nodes[output.name.split(":")[0]].attr["f"].func.name], []
    while names:
        reached.append(library[names.pop()])
        names += [node.attr["f"].func.name for node in reached[-1].node_def if "f" in node.attr]
    return reached


@on_tensorflow
@pytest.mark.parametrize("baked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_both_signatures_compute_the_same_from_the_same_names(baked, exported, tmp_path):
    model, path = exported
    if not baked:
        path = tmp_path / "1"
        formats.export(model, path)
    portable, compiled = (tf.saved_model.load(str(path)).signatures[n] for n in ("serving_default", runtimes.COMPILED))
    for batch in (0, 1, 5):
        x = tf.constant(formats.random_inputs(model, seed=0, number=batch))
        expected = portable(image=x)["logits"].numpy()
        np.testing.assert_allclose(compiled(image=x)["logits"].numpy(), expected, atol=1e-5)
    assert portable.structured_input_signature == compiled.structured_input_signature


@on_tensorflow
def test_images_of_any_size_are_compiled_at_one_that_poolings_can_halve(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.AveragePooling2D(8)(TwoArgActivation()(keras.layers.Conv2D(4, 5)(inputs)))
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(2, 3)(x)))
    formats.export(model, tmp_path / "1")
    assert runtimes.has_compiled(tmp_path / "1", "tf_saved_model")
    assert formats.compare(model, tmp_path / "1", formats.random_inputs(model, seed=0)).agrees


@on_tensorflow
def test_the_portable_signature_holds_nothing_that_needs_xla(exported):
    _, path = exported
    for signature, wanted in (("serving_default", False), ("serve", False), (runtimes.COMPILED, True)):
        functions = functions_of(path, signature)
        assert any(function.attr["_XlaMustCompile"].b for function in functions) is wanted, signature
        operations = {node.op for function in functions for node in function.node_def}
        assert {"Conv2D"} <= operations and not any("Xla" in operation for operation in operations), signature


@on_tensorflow
def test_weights_are_there_once(exported):
    _, path = exported
    stored = [
        int(np.prod(shape)) for _, shape in tf.train.list_variables(str(path / "variables" / "variables")) if shape
    ]
    loaded = tf.saved_model.load(str(path))
    assert sorted(stored) == sorted(int(np.prod(variable.shape)) for variable in loaded.variables)
    compiled, portable = (loaded.signatures[name].variables for name in (runtimes.COMPILED, "serving_default"))
    assert {id(variable) for variable in compiled} == {id(variable) for variable in portable} and len(compiled) > 4


@on_tensorflow
def test_a_runtime_without_xla_serves_the_default(exported):
    openvino = pytest.importorskip("openvino")
    model, path = exported
    x = formats.random_inputs(model, seed=1)
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(x)[0], runtimes.load(path, "tf_saved_model")(x), atol=1e-5)


@on_tensorflow
def test_a_runtime_that_is_asked_for_the_compiled_one_runs_it(exported):
    model, path = exported
    x = formats.random_inputs(model, seed=1)
    portable, compiled = (runtimes.load(path, "tf_saved_model", compiled=flag) for flag in (False, True))
    np.testing.assert_allclose(compiled(x), portable(x), atol=1e-5)


def strings():
    vectorize = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)
    words = keras.Input((), dtype="string", name="words")
    return keras.Model(words, keras.layers.Dense(2)(keras.layers.Embedding(5, 3)(vectorize(words)))), ["a b"]


class Dilation(keras.layers.Layer):
    """An operation that XLA lacks."""

    def call(self, images):
        ones = tf.ones((3, 3, 1))
        return tf.nn.dilation2d(images, ones, (1, 1, 1, 1), "SAME", "NHWC", (1, 1, 1, 1))

    def compute_output_shape(self, shape):
        return shape


def lacking():
    images = keras.Input((4, 4, 1), name="image")
    return keras.Model(images, keras.layers.Flatten()(Dilation()(images))), np.zeros((2, 4, 4, 1), "float32")


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("build", [strings, lacking])
def test_what_xla_cannot_compile_has_the_portable_signature_alone_and_says_why(build, tmp_path):
    model, x = build()
    with pytest.warns(UserWarning, match="no signature 'serving_compiled'.*: .") as caught:
        formats.export(model, tmp_path / "1")
    assert all("\n" not in str(warning.message) for warning in caught)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    assert set(loaded.signatures) == {"serve", "serving_default"} and not hasattr(loaded, runtimes.COMPILED)
    assert len(loaded.serve(tf.constant(x))["logits"]) == len(x)
    with pytest.raises(ValueError, match="no signature 'serving_compiled'"):
        runtimes.load(tmp_path / "1", "tf_saved_model", compiled=True)


@pytest.mark.slow
@on_tensorflow
def test_the_command_says_so_in_one_line(tmp_path, monkeypatch):
    def fail(model):
        raise ValueError("an operation\nis missing")

    monkeypatch.setattr("keras_twoarg.export.saved_model._compiled", fail)
    models.mlp((5, 5, 1), 3, widths=(4,), seed=0).save(tmp_path / "model.keras")
    done = CliRunner().invoke(cli.twoarg, ["export", str(tmp_path / "model.keras"), "--out", str(tmp_path / "1")])
    assert done.exit_code == 0 and "cannot compile the model: an operation is missing\n" in done.output
    assert "agrees with the model" in done.output and not runtimes.has_compiled(tmp_path / "1", "tf_saved_model")


@pytest.mark.slow
def test_other_backends_write_what_they_did(tmp_path):
    formats.export(models.mlp((5,), 3, widths=(4,), seed=0), tmp_path / "1")
    assert runtimes.has_compiled(tmp_path / "1", "tf_saved_model") is (keras.backend.backend() == "tensorflow")
