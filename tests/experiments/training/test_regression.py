"""Runs that ask for a number: their loss, what is recorded, and what does not show or do what is for classes."""

import json
import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_twoarg.experiments.reports.page import write_report
from keras_twoarg.experiments.reports.run_tables import paired_table, runs_table
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.training import datasets, networks, optimizers, sessions, tabular
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.population import Population
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.training_loop import compile_network
from keras_twoarg.utils import files
from tests.helpers import command, record, regression_record, slopes

pytestmark = pytest.mark.jax

QUICK = {"widths": (8,), "epochs": 3, "frozen_epochs": 2, "phi_init": "glorot", "dropout": 0.0, "learning_rate": 1e-2}
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out, notes = tmp_path_factory.mktemp("runs") / "two_arg", []
    return out, sessions.run_sessions(slopes(), out, lambda *note: notes.append(note[-1]), **QUICK), notes


def test_a_record_says_what_was_asked_and_how_far_off_it_is(finished):
    out, records, notes = finished
    for stage in records:
        assert stage == Record(**json.loads((out / f"{stage.stage}.json").read_text()))
        assert stage.task == "regression" and stage.test_accuracy is None and stage.bits is None
        model = keras.models.load_model(out / f"{stage.stage}.keras", compile=False)
        error = model.predict(slopes().x_test, verbose=0)[:, 0] - slopes().y_test
        assert stage.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
        assert stage.curve("val_loss")[-1] < stage.curve("val_loss")[0]
        assert np.isnan(stage.curve("val_accuracy")).all() and stage.epochs_to(0.0) is None
    assert model.output_shape == (None, 1)
    assert any(note.startswith("val RMSE 0.") for note in notes)


@pytest.mark.slow
def test_stopped_and_started_again_it_ends_with_the_same_numbers(finished, tmp_path):
    def stop(stage, done, *_):
        if (stage, done) == ("joint", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.run_sessions(slopes(), tmp_path / "run", stop, **QUICK)
    resumed = sessions.run_sessions(slopes(), tmp_path / "run", **QUICK)
    for ours, theirs in zip(resumed, finished[1], strict=True):
        assert ours.curve("val_loss") == pytest.approx(theirs.curve("val_loss"), rel=1e-5)


def test_a_run_is_not_resumed_on_other_validation_data(tmp_path):
    data = slopes()
    own = replace(data, validation=(data.x_test[:20], data.y_test[:20]), checksum="1234")
    other = replace(own, validation=(data.x_test[:20], data.y_test[20:40]))
    settings = {"arm": "relu", "widths": (8,), "epochs": 1}
    sessions.run_sessions(own, tmp_path / "run", **settings)
    with pytest.raises(ValueError, match="another configuration: held_out_fingerprint="):
        sessions.run_sessions(other, tmp_path / "run", **settings)
    stored = files.read_json(tmp_path / "run" / "run.json")
    del stored["held_out_fingerprint"]  # as in folders of earlier versions
    files.write_json(tmp_path / "run" / "run.json", stored)
    assert sessions.run_sessions(own, tmp_path / "run", **settings)


def test_networks_that_learn_one_phi_together_have_the_mean_of_their_errors(rng):
    configuration = Configuration(**{**QUICK, "networks": 2})
    together = Population(configuration, (4,), 1, (8,), networks.make_phi(configuration), seed=2, samples=20)
    compile_network(together.trainer, optimizers.make_optimizer(configuration, 3, 20), "regression")
    x, y = [rng.normal(size=(20, 4)).astype("float32") for _ in range(2)], rng.normal(size=(20, 2)).astype("float32")
    outputs = [network.predict(one, verbose=0)[:, 0] for network, one in zip(together.networks, x, strict=True)]
    error = np.mean((np.stack(outputs, axis=-1) - y) ** 2)
    assert together.trainer.evaluate(x, y, verbose=0) == pytest.approx(error, rel=1e-4)


def test_always_the_mean_is_told(tmp_path):
    said, dataset = [], slopes()
    settings = {**QUICK, "arm": "relu", "epochs": 1, "learning_rate": 1e-9}
    sessions.run_sessions(dataset, tmp_path / "run", say=said.append, **settings)
    assert len(said) == 1 and "no better than always giving the mean" in said[0]


def test_a_record_from_before_there_were_regressions_is_a_classification(tmp_path):
    old = {name: value for name, value in vars(record()).items() if name != "task"}
    (tmp_path / "joint.json").write_text(json.dumps(old))
    assert Record.read(tmp_path / "joint.json").task == "classification"


RUNS = [
    *(regression_record("two_arg", seed=seed, losses=(0.9, 0.25 + seed / 100)) for seed in (1, 2, 3)),
    *(regression_record("relu", seed=seed, losses=(0.9, 0.36 + seed / 200)) for seed in (1, 2, 3)),
]


def test_tables_show_an_error_and_no_accuracy():
    table = runs_table(RUNS)
    assert table.columns == ("arm", "RMSE", "seeds") and "accuracy" not in table.caption
    assert table.rows[1] == ("relu", "0.608 ± 0.004", "3")
    assert [row[:2] for row in paired_table(RUNS).rows] == [("relu", "RMSE")]
    assert paired_table(RUNS).rows[0][2] == "-0.089"


def test_beside_a_classification_each_has_its_own_columns():
    table = runs_table([*RUNS, record("relu")])
    assert table.columns == ("arm", "to 95%", "curve", "test accuracy", "RMSE", "seeds")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["relu, slopes"] == ("-", "-", "-", "0.608 ± 0.004", "3")
    assert rows["relu, digits"][:4] == ("3", "78.67%", "96.00%", "-")


@on_tensorflow
@pytest.mark.slow
def test_a_report_shows_an_error_and_no_accuracy(finished, tmp_path):
    pytest.importorskip("matplotlib")
    text = write_report(read_runs([finished[0]]), tmp_path).read_text()
    assert "RMSE, mean over seeds: two_arg" in text and "validation loss" in text
    said = re.sub(r"<(script|style|svg).*?</\1>", "", text, flags=re.S)
    assert "RMSE" in said and "accuracy" not in said.lower()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load", lambda name, **_: slopes())
    return command


@on_tensorflow
def test_show_bake_export_and_play_take_a_regression(run, finished, tmp_path):
    model = finished[0] / "joint.keras"
    assert "of the pre-activations" in run("show", model, "--data", "slopes", "--out", "phi.png")
    assert "standard deviation" in run("bake", model, "--data", "slopes", "--out", "baked.keras")
    assert "one output per class" in run("export", model, "--softmax", "--out", "served/1", status=2)
    run("export", model, "--out", "served/1")
    assert "A page shows images and text, and slopes has features" in run("play", model, "--out", "play.html")


@on_tensorflow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tune", "--data", "slopes", "--arm", "relu"), "A search is for classification. Received: 'slopes'"),
        (("train", "--data", "slopes", "--arm", "relu", "--architecture", "cnn"), "must be 'mlp' for 'slopes'"),
        (("reproduce", "demo", "--data", "slopes", "--robustness"), "`robustness` is for images. Received: 'slopes'"),
    ],
)
def test_what_is_for_classes_or_images_says_so(run, words, message, tmp_path):
    assert message in run(*words, "--out", tmp_path / "out", status=2)
    assert not (tmp_path / "out").exists()


@on_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", ["randhie", "fair"])
def test_a_plan_of_a_table_runs_and_is_reported(name, tmp_path):
    try:
        tabular.load_table(name)
    except ImportError as error:
        pytest.skip(str(error))
    few = ("--arms", "two_arg,relu", "--seeds", 1, "--subset", 400, "--epochs", 2, "--widths", "32,32")
    said = command("reproduce", f"tables-{name}", *few, "--out", tmp_path / "out")
    assert ("RMSE" in said) == (name == "randhie") == ("test accuracy" not in said)
    assert (tmp_path / "out" / "report.html").exists()
