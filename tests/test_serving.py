"""Exports: what a server loads equals the model, and needs neither this package nor Keras."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, outer, serving
from tests.conftest import shared_mlp

if keras.backend.backend() == "torch":
    pytest.skip("a SavedModel cannot be written from torch", allow_module_level=True)
pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = outer.cnn((12, 12, 1), 3, widths=(4, 4, 8), seed=0)
    path = tmp_path_factory.mktemp("served") / "digits" / "1"
    serving.export(model, path)
    return model, path


def test_the_reloaded_export_agrees(exported):
    model, path = exported
    found = serving.compare(model, path, serving.random_inputs(model, seed=1))
    assert found.agrees and found.number == 64 and "agrees with the model" in found.sentence


def test_a_difference_is_seen(exported):
    model, path = exported
    other = outer.cnn((12, 12, 1), 3, widths=(4, 4, 8), seed=1)
    found = serving.compare(other, path, serving.random_inputs(model, seed=1))
    assert not found.agrees and found.changed > 0 and "DIFFERS" in found.sentence


BARE = """
import sys
sys.modules.update(keras=None, keras_twoarg=None)  # importing either is an error from here on
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], loaded.signatures["serving_default"](image=tf.constant(x))["output_0"].numpy())
"""


def test_a_process_without_keras_serves_it(exported, tmp_path):
    model, path = exported
    x = serving.random_inputs(model, seed=2)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", BARE, str(path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run(command, check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), keras.ops.convert_to_numpy(model(x)), atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX exports reject an empty batch")
@pytest.mark.parametrize("batch", [0, 1, 37, 1000])
def test_any_batch(exported, batch):
    import tensorflow as tf

    model, path = exported
    loaded = tf.saved_model.load(str(path))
    x = serving.random_inputs(model, seed=3, number=batch)
    assert loaded.serve(x).shape == (batch, 3)
    if batch:  # TensorFlow's eager convolution takes no empty batch, the export does
        np.testing.assert_allclose(loaded.serve(x).numpy(), keras.ops.convert_to_numpy(model(x)), atol=1e-5)


def test_errors(exported, tmp_path):
    model, path = exported
    with pytest.raises(ValueError, match="exists already"):
        serving.export(model, path)
    with pytest.raises(ValueError, match="`format` must be one of .*'pmml'"):
        serving.export(model, tmp_path / "x", format="pmml")
    with pytest.raises(ValueError, match="There is no SavedModel"):
        serving.compare(model, tmp_path, serving.random_inputs(model, seed=0))
    (tmp_path / "broken.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match="broken.keras is no readable .keras file"):
        serving.load(tmp_path / "broken.keras")


def test_missing_writer_names_the_package_and_leaves_nothing(tmp_path, monkeypatch):
    model = shared_mlp(InnerNetwork(hidden_units=(4,)))

    def missing(*_, **__):
        raise ImportError("tf2onnx")

    monkeypatch.setattr(model, "export", missing)
    with pytest.raises(ImportError, match="'onnx' needs another package .*pip install tf2onnx onnx"):
        serving.export(model, tmp_path / "model.onnx", format="onnx")
    assert not list(tmp_path.iterdir())
