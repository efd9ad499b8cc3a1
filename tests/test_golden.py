"""Files that earlier versions wrote load, and mean what they meant."""

import shutil

import keras
import numpy as np
import pytest
from packaging.version import Version

import keras_twoarg
from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.training import datasets, sessions
from tests.helpers import ROOT

pytestmark = pytest.mark.jax

GOLDEN = ROOT / "tests" / "golden"


written_by_newer_keras = pytest.mark.skipif(
    Version(keras.__version__) < Version("3.15"),
    reason="Keras 3.15 wrote these files; an older one does not know all arguments of its initializers",
)


@written_by_newer_keras
@pytest.mark.parametrize(("file", "outputs"), [("model.keras", "y"), ("baked.keras", "baked")])
def test_a_saved_model_loads_and_computes_what_it_computed(file, outputs):
    model = keras.models.load_model(GOLDEN / file)
    with np.load(GOLDEN / "expected.npz") as expected:
        np.testing.assert_allclose(model.predict(expected["x"], verbose=0), expected[outputs], atol=1e-5)
    keras_twoarg.assert_shared(model)


def test_a_run_folder_is_read_as_before():
    joint, frozen = sorted(read_runs([GOLDEN / "run"]).records, key=lambda record: record.stage, reverse=True)
    assert (joint.stage, frozen.stage) == ("joint", "frozen")
    assert (joint.arm, joint.seed, joint.widths, joint.parameters) == ("two_arg", 3, [6, 6], 647)
    assert joint.test_accuracy == frozen.test_accuracy == pytest.approx(0.48)
    assert joint.earlier == [] and joint.commits == [joint.commit]
    assert len(joint.epochs) == 2 and joint.epochs[0]["val_accuracy"] == pytest.approx(0.52)


@written_by_newer_keras
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="it draws other initial weights")
def test_a_run_is_resumed_in_its_folder(tmp_path):
    shutil.copytree(GOLDEN / "run", tmp_path / "run")
    settings = {"arm": "two_arg", "widths": (6, 6), "epochs": 2, "frozen_epochs": 1, "pretraining_epochs": 2}
    dataset = datasets.load(str(GOLDEN / "data.npz"))
    (tmp_path / "run" / "session3.json").unlink()  # as if it had been killed there
    joint, frozen = sessions.run_sessions(dataset, tmp_path / "run", **settings, inner_units=(8, 8), seed=3)
    assert joint == read_runs([GOLDEN / "run"]).records[0]
    assert frozen.epochs[0]["val_loss"] == pytest.approx(0.69213, abs=1e-3)
    assert not list((tmp_path / "run").glob("session*"))
    assert frozen.settings["table_resolution"] == 81  # as when the run began, whatever the default is today


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="one backend is enough")
def test_a_run_that_had_not_ended_its_first_stage_keeps_its_tables(tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(GOLDEN / "run" / "run.json", tmp_path / "run")
    settings = {"arm": "two_arg", "widths": (6, 6), "epochs": 2, "frozen_epochs": 1, "pretraining_epochs": 2}
    dataset = datasets.load(str(GOLDEN / "data.npz"))
    joint, _ = sessions.run_sessions(dataset, tmp_path / "run", **settings, inner_units=(8, 8), seed=3)
    model = keras.models.load_model(tmp_path / "run" / "joint.keras", compile=False)
    assert joint.settings["table_resolution"] == inner_network(model).table_resolution == 81
