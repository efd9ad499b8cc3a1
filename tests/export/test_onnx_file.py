"""An ONNX file's look-ups: fetched number by number, and nothing else changed."""

import keras
import numpy as np
import pytest

from keras_twoarg import Interpolation, bake, models
from keras_twoarg.export import formats, onnx_file, runtimes
from keras_twoarg.layers.baked_activation import BakedActivation

onnx = pytest.importorskip("onnx")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the file is written from TensorFlow", allow_module_level=True)
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


def graph_of(nodes, inputs, outputs, **initializers):
    values = [onnx.helper.make_tensor_value_info(*value) for value in (*inputs, *outputs)]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in initializers.items()]
    graph = onnx.helper.make_graph(nodes, "graph", values[: len(inputs)], values[len(inputs) :], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def test_numbers_are_gathered_by_elements_and_rows_are_not(tmp_path):
    path, kinds = tmp_path / "model.onnx", onnx.TensorProto
    nodes = [
        onnx.helper.make_node("Gather", ["vector", "places"], ["numbers"]),
        onnx.helper.make_node("Gather", ["table", "places"], ["rows"]),
        onnx.helper.make_node("Gather", ["vector", "place"], ["number"]),
    ]
    inputs = [("places", kinds.INT32, ["n"]), ("place", kinds.INT32, [])]
    outputs = [("numbers", kinds.FLOAT, ["n"]), ("rows", kinds.FLOAT, ["n", 2]), ("number", kinds.FLOAT, [])]
    table = np.arange(8, dtype="float32").reshape(4, 2)
    onnx.save(graph_of(nodes, inputs, outputs, vector=table[:, 1].copy(), table=table), path)
    onnx_file.gather_numbers(path)
    changed = onnx.load(path)
    assert [node.op_type for node in changed.graph.node] == ["GatherElements", "Gather", "Gather"]
    import onnxruntime

    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    numbers, rows, number = session.run(None, {"places": np.int32([3, 0]), "place": np.array(2, "int32")})
    assert numbers.tolist() == [7.0, 1.0] and rows.tolist() == [[6.0, 7.0], [0.0, 1.0]] and number == 5.0


def test_a_file_without_such_a_gather_is_left_alone(tmp_path):
    path = tmp_path / "relu.onnx"
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    onnx.save(graph_of([node], [("x", 1, ["n"])], [("y", 1, ["n"])]), path)
    before = path.stat().st_mtime_ns
    onnx_file.gather_numbers(path)
    assert path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_images_are_looked_up_where_the_convolution_leaves_them(tmp_path):
    model = models.cnn((12, 12, 1), 3, widths=(4, 4, 8), seed=0)
    baked, _ = bake(model)
    formats.export(baked, tmp_path / "model.onnx", "onnx")
    operations = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operations.count("GatherElements") >= 12 and "Less" not in operations
    assert operations.count("Transpose") <= 2  # none around a look-up
    x = formats.random_inputs(baked, seed=0)
    assert formats.compare(baked, tmp_path / "model.onnx", x, "onnx").agrees
    assert runtimes.load(tmp_path / "model.onnx", "onnx")(x[:0]).shape == (0, 3)


CASES = {
    "adjacent": ((6,), {}),
    "halves": ((6,), {"pairing": "halves"}),
    "sequence": ((5, 6), {}),
    "channels_first": ((6, 4, 4), {"axis": 1, "pool_size": 2}),
    "halves, pooled": ((4, 4, 6), {"pairing": "halves", "pool_size": 2}),
    "one argument": ((4, 6), {"arity": 1}),
    "half precision": ((6,), {"dtype": "mixed_float16"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_layout_exports_to_the_same_function(case, tmp_path, rng):
    shape, settings = CASES[case]
    layer = BakedActivation(Interpolation(3.0, 9), **settings)
    model = keras.Sequential([keras.Input(shape), layer])
    layer.fill(rng.normal(size=9**layer.arity))
    formats.export(model, tmp_path / "model.onnx", "onnx")
    x = rng.normal(0, 2, (5, *shape)).astype("float32")
    outputs, expected = runtimes.load(tmp_path / "model.onnx", "onnx")(x), keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(outputs, expected, rtol=2e-3 if "half" in case else 1e-5, atol=1e-5)


def test_two_tensors_export_to_the_same_function(tmp_path, rng):
    import onnxruntime

    layer, (x, y) = BakedActivation(Interpolation(3.0, 9)), [keras.Input((4,), name=name) for name in "xy"]
    model = keras.Model([x, y], layer([x, y]))
    layer.fill(rng.normal(size=81))
    formats.export(model, tmp_path / "model.onnx", "onnx")
    arrays = rng.normal(size=(2, 5, 4)).astype("float32")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {entry.name: a for entry, a in zip(session.get_inputs(), arrays, strict=True)})
    np.testing.assert_allclose(outputs, keras.ops.convert_to_numpy(model(list(arrays))), rtol=1e-5, atol=1e-5)


def test_what_was_adapted_is_in_the_file(tmp_path, rng):
    layer, x = keras.layers.Normalization(), rng.normal(3, 5, (50, 4)).astype("float32")
    layer.adapt(x)
    model = keras.Sequential([keras.Input((4,)), layer])
    expected, mean = keras.ops.convert_to_numpy(model(x)), layer.mean
    formats.export(model, tmp_path / "model.onnx", "onnx")
    np.testing.assert_allclose(runtimes.load(tmp_path / "model.onnx", "onnx")(x), expected, atol=1e-6)
    assert layer.mean is mean


def test_a_tensor_that_would_become_an_input_is_refused(tmp_path):
    tensor = keras.ops.ones((4,))

    class Shift(keras.layers.Layer):
        def call(self, x):
            return x + tensor

    model = keras.Sequential([keras.Input((4,)), Shift()])
    with pytest.raises(ValueError, match="could not be converted to ONNX.*Make it a weight"):
        formats.export(model, tmp_path / "model.onnx", "onnx")
    assert not list(tmp_path.iterdir())
