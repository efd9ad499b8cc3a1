"""`twoarg convert`: a whole new file or none, and one line for every mistake."""

import json
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from keras_twoarg import models
from tests.cli.test_cli import mistake
from tests.helpers import BACKEND, command
from tests.models.conversion.networks import resnet, units


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = models.mlp((6, 6, 1), 3, "relu", widths=(60, 50))
    model.save("model.keras")
    return partial(command, "convert")


def test_it_writes_a_model_and_its_report(run, tmp_path):
    said = run("model.keras", "--out", "new/model.keras")
    assert "2 of 2 activations" in said
    last = said.splitlines()[-2:]
    assert last[0] == "Converted model: new/model.keras"
    assert "not compiled" in last[1] and "Import keras_twoarg before keras.models.load_model" in last[1]
    converted = keras.models.load_model(tmp_path / "new" / "model.keras")
    report = json.loads((tmp_path / "new" / "model.json").read_text())
    assert report["parameters"] == converted.count_params() and report["difference"] < 1e-5
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["model.json", "model.keras"]


def test_parts_by_name_and_the_same_weights_for_the_same_seed(run, tmp_path):
    for out in ("a.keras", "b.keras"):
        run("model.keras", "--out", out, "--where", "activation.*", "--seed", 3)
    a, b = (keras.models.load_model(tmp_path / out) for out in ("a.keras", "b.keras"))
    assert all((x == y).all() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_other_arms(run, tmp_path):
    assert "learned function of one argument" in run("model.keras", "--out", "one.keras", "--arm", "one_arg")
    run("model.keras", "--out", "swiglu.keras", "--arm", "swiglu", "--keep", "parameters")
    report = json.loads((tmp_path / "swiglu.json").read_text())
    assert {place["phi"] for place in report["places"]} == {"swiglu"}
    assert "is fixed" in mistake(run("model.keras", "--out", "new.keras", "--arm", "swiglu", status=2))
    assert "must be an InnerNetwork, or one of" in mistake(
        run("model.keras", "--out", "new.keras", "--arm", "relu", status=2)
    )


def test_it_does_not_overwrite(run, tmp_path):
    before = (tmp_path / "model.keras").read_bytes()
    assert "exists already" in mistake(run("model.keras", "--out", "model.keras", status=2))
    (tmp_path / "new.json").write_text("{}")
    assert "exists already" in mistake(run("model.keras", "--out", "new.keras", status=2))
    assert (tmp_path / "model.keras").read_bytes() == before and not (tmp_path / "new.keras").exists()


def test_mistakes_leave_nothing(run, tmp_path):
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save("linear.keras")
    keras.Sequential([keras.Input((3,)), layers.Dense(2, "relu"), layers.Dense(2)]).save("small.keras")
    (tmp_path / "text.keras").write_text("no model")
    before = sorted(tmp_path.iterdir())
    assert "must end in .keras" in mistake(run("model.keras", "--out", "new", status=2))
    assert "has no activations" in mistake(run("linear.keras", "--out", "new.keras", status=2))
    assert "not a readable .keras file" in mistake(run("text.keras", "--out", "new.keras", status=2))
    assert "matches no activation" in mistake(run("model.keras", "--out", "new.keras", "--where", "x", status=2))
    small = run("small.keras", "--out", "new.keras", "--keep", "parameters", status=2)
    assert "use keep='function'" in mistake(small)
    assert sorted(tmp_path.iterdir()) == before


def test_a_small_model_takes_a_small_phi(run, tmp_path):
    keras.Sequential([keras.Input((20,)), layers.Dense(30, "relu"), layers.Dense(10)]).save("small.keras")
    assert "--phi 8,8" in mistake(run("small.keras", "--out", "new.keras", "--keep", "parameters", status=2))
    run("small.keras", "--out", "new.keras", "--keep", "parameters", "--phi", "8,8")
    report = json.loads((tmp_path / "new.json").read_text())
    assert report["parameters"] < 1.1 * report["parameters_before"]


def test_a_report_that_cannot_be_written_leaves_nothing(run, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("keras_twoarg.cli.convert.files.write_json", full)
    before = sorted(tmp_path.iterdir())
    assert "disk is full" in mistake(run("model.keras", "--out", "new.keras", status=2))
    assert sorted(tmp_path.iterdir()) == before


def test_widths_that_do_not_match_are_in_the_report(run, recwarn):
    keras.Sequential([keras.Input((784,)), layers.Dense(16, "relu"), layers.Dense(10)]).save("near.keras")
    assert "these are the nearest" in run("near.keras", "--out", "new.keras", "--keep", "parameters")
    assert not [one for one in recwarn if "The converted" in str(one.message)]


SERVE = """
import sys

sys.modules["keras_twoarg"] = None  # an import fails
import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load("served/1")
with np.load("served/recorded-1.npz") as record:
    (outputs,) = loaded.serve(record["inputs"]).values()
    np.testing.assert_allclose(outputs, record["outputs"], atol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="writes a SavedModel")
def test_a_network_of_plain_keras_is_converted_trained_exported_and_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resnet().save("model.keras")
    command("convert", "model.keras", "--out", "converted.keras")
    model = keras.models.load_model("converted.keras")
    phi = units(model)[0].inner
    before = phi.get_weights()[0]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.random.default_rng(0).normal(size=(16, 8, 8, 3)), np.arange(16) % 10, verbose=0)
    assert not np.array_equal(phi.get_weights()[0], before)
    model.save("trained.keras")
    command("export", "trained.keras", "--out", "served/1")
    subprocess.run([sys.executable, "-c", SERVE], check=True)
