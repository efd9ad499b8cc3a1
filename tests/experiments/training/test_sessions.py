"""The stages of a run: what is frozen, what is recorded, and going on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.experiments.training.configuration import ARCHITECTURES
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.training_loop import compile_network, evaluate, fit
from keras_twoarg.utils import versions
from tests.helpers import ROOT, blobs, save_npz

QUICK = {"widths": (8, 8), "epochs": 4, "frozen_epochs": 3, "batch_size": 50, "pretraining_epochs": 1, "seed": 3}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "two_arg"
    os.environ["KERAS_TWOARG_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")
    return out, sessions.run_sessions(blobs(), out, **QUICK)


def test_records_say_everything(finished):
    out, (second, third) = finished
    for record in (second, third):
        stored = json.loads((out / f"{record.stage}.json").read_text())
        assert Record(**stored) == record
        assert (record.arm, record.seed, record.widths, record.normalization) == ("two_arg", 3, [8, 8], "LayerNorm")
        assert record.splits == {"train": 240, "validation": 60, "test": 60}
        assert 0 <= record.test_accuracy <= 1 and record.status == "finished"
        assert record.parameters == 64 * 16 + 16 + 8 * 16 + 16 + 9 * 3 + 4417
        assert record.settings["dropout"] == 0.5 and record.versions["keras"] == keras.__version__
        assert set(record.epochs[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert len(second.epochs) == 4 and len(third.epochs) == 3


@pytest.mark.slow
def test_the_tested_weights_are_those_of_the_best_epoch(finished):
    out, (second, _) = finished
    assert second.best_epoch == 1 + int(np.argmin(second.curve("val_loss")))
    model = keras.models.load_model(out / "joint.keras")
    split = datasets.split(blobs(), 3)
    measured = evaluate(model, split.x_validation, split.y_validation)
    np.testing.assert_allclose(measured["loss"], min(second.curve("val_loss")), rtol=1e-4)
    np.testing.assert_allclose(evaluate(model, split.x_test, split.y_test)["accuracy"], second.test_accuracy)


def test_the_frozen_stage_keeps_phi_of_the_joint_stage_and_trains_a_new_outer_network(finished):
    out, _ = finished
    second, third = (keras.models.load_model(out / f"{stage}.keras", compile=False) for stage in ("joint", "frozen"))
    phi_2, phi_3 = (inner_network(model).get_weights() for model in (second, third))
    assert all(np.array_equal(a, b) for a, b in zip(phi_2, phi_3, strict=True))
    assert not np.allclose(second.layers[1].kernel, third.layers[1].kernel)


def test_snapshots_show_maturation(finished):
    out, _ = finished
    with np.load(out / "joint-phi.npz") as arrays:
        assert arrays["epochs"].tolist() == [0, 1, 2, 3, 4]
        assert arrays["weight_0"].shape == (5, 2, 64)
        assert np.abs(np.diff(arrays["weight_0"], axis=0)).max((1, 2)).min() > 0
    with np.load(out / "joint-surface.npz") as arrays:
        assert arrays["learned"].shape == arrays["start"].shape == arrays["counts"][0].shape == (101, 101)
        assert not np.allclose(arrays["learned"], arrays["start"])


def test_a_finished_folder_is_not_run_again(finished):
    out, records = finished
    before = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    assert sessions.run_sessions(blobs(), out, **QUICK) == records
    assert {file: file.stat().st_mtime_ns for file in out.iterdir()} == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path / "cache"))  # phi too is fitted anew
    again = sessions.run_sessions(blobs(), tmp_path / "again", **QUICK)
    for ours, theirs in zip(finished[1], again, strict=True):
        assert ours.curve("val_loss") == theirs.curve("val_loss") and ours.test_loss == theirs.test_loss


def test_a_frozen_stage_of_an_earlier_joint_stage_is_not_taken(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "joint.json").unlink()
    for name, other in (("frozen.json", "frozen-checkpoint.npz"), ("frozen-checkpoint.npz", "frozen.json")):
        with pytest.raises(ValueError, match=f"holds {name}, .*earlier joint stage.*Move all files frozen"):
            sessions.run_sessions(blobs(), tmp_path / "run", lambda *_: pytest.fail("it was trained"), **QUICK)
        (tmp_path / "run" / name).rename(tmp_path / "run" / other)


def test_a_lost_network_of_the_joint_stage_is_named_with_the_remedy(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "frozen.json").unlink()
    (tmp_path / "run" / "joint.keras").write_bytes(b"PK12")
    for message in ("joint.keras is not a readable .keras file", "There is no file .*joint.keras"):
        with pytest.raises(ValueError, match=f"{message}.*train the joint stage again, move joint.json away"):
            sessions.run_sessions(blobs(), tmp_path / "run", **QUICK)
        (tmp_path / "run" / "joint.keras").unlink(missing_ok=True)


RUN = """
import os, signal, sys
from keras_twoarg.experiments.training import datasets, sessions

def progress(stage, done, total, note):
    if f"{stage} {done}" == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

sessions.run_sessions(datasets.load(sys.argv[1]), sys.argv[2], progress,
    widths=(8, 8), epochs=4, frozen_epochs=3, batch_size=50, pretraining_epochs=1, seed=3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "done"), [("joint", 2), ("frozen", 1)])
def test_killed_and_started_again_it_ends_with_the_same_numbers(stage, done, finished, tmp_path):
    data, out = save_npz(tmp_path / "blobs.npz", blobs()), tmp_path / "out"
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-c", RUN, str(data), str(out), f"{stage} {done}"]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    assert not (out / f"{stage}.json").exists()
    assert not list((tmp_path / "temporary").glob("__autograph*"))  # TensorFlow leaves its code there when it is killed
    with np.load(out / f"{stage}-checkpoint.npz") as arrays:
        before = json.loads(str(arrays["summary"]))["epochs"]
    resumed = {record.stage: record for record in sessions.run_sessions(datasets.load(str(data)), out, **QUICK)}
    assert len(before) == done and resumed[stage].epochs[:done] == before  # with their seconds: they are not done again
    for record in finished[1]:
        again = resumed[record.stage]
        assert again.curve("val_loss") == record.curve("val_loss")
        assert (again.test_loss, again.best_epoch) == (record.test_loss, record.best_epoch)
    for name in ("joint-phi.npz", "joint-surface.npz"):
        with np.load(out / name) as ours, np.load(finished[0] / name) as theirs:
            assert set(ours) == set(theirs) and all(np.array_equal(ours[key], theirs[key]) for key in ours)
    assert not list(out.glob("*checkpoint*")) and not list(out.glob(".*"))


@pytest.mark.slow
def test_arms_without_phi_have_one_stage(tmp_path):
    (record,) = sessions.run_sessions(blobs(), tmp_path / "relu", arm="relu", **{**QUICK, "widths": None, "epochs": 2})
    assert record.stage == "joint" and record.arm == "relu"
    reference = ARCHITECTURES["mlp"].widths
    assert len(record.widths) == len(reference) and record.widths[0] > reference[0]
    assert not (tmp_path / "relu" / "joint-phi.npz").exists()


@pytest.mark.slow
def test_the_commit_is_that_of_the_beginning(tmp_path, commit_changes):
    quick = {**QUICK, "widths": None, "epochs": 1}
    (record,) = sessions.run_sessions(blobs(), tmp_path / "relu", commit_changes, arm="relu", **quick)
    assert record.commit == "before"


@pytest.mark.slow
def test_a_run_that_another_commit_resumes_is_recorded_as_of_both(tmp_path, monkeypatch):
    def stop(stage, done, *_):
        if done == 1:
            raise KeyboardInterrupt

    quick = {**QUICK, "arm": "relu", "epochs": 2}
    monkeypatch.setattr(versions, "commit", lambda: "first")
    with pytest.raises(KeyboardInterrupt):
        sessions.run_sessions(blobs(), tmp_path / "relu", stop, **quick)
    monkeypatch.setattr(versions, "commit", lambda: "second")
    (record,) = sessions.run_sessions(blobs(), tmp_path / "relu", **quick)
    assert record.commit == "second" and record.commits == ["first", "second"]
    assert record.earlier == [{"first_epoch": 1, "commit": "first", "versions": record.versions}]
    assert Record.read(tmp_path / "relu" / "joint.json") == record


@pytest.mark.slow
def test_one_argument_and_convolutions(tmp_path):
    quick = {**QUICK, "architecture": "cnn", "widths": (4, 8), "epochs": 1, "frozen_epochs": 0}
    (record,) = sessions.run_sessions(blobs(), tmp_path / "one", arm="one_arg", **quick)
    assert record.arm == "one_arg" and record.architecture == "cnn"
    with np.load(tmp_path / "one" / "joint-surface.npz") as arrays:
        assert arrays["learned"].shape == (101,)


@pytest.mark.slow
def test_a_run_that_diverges_is_recorded(tmp_path):
    records = sessions.run_sessions(blobs(), tmp_path / "out", learning_rate=1e38, **QUICK)
    assert records[0].status == "diverged" and len(records) == 1
    assert json.loads((tmp_path / "out" / "joint.json").read_text())["status"] == "diverged"


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_kept(tmp_path):
    from keras_twoarg import models

    split = datasets.split(blobs(), 0)

    def train(epochs):
        model = models.mlp((8, 8, 1), 3, widths=(8,), seed=0)
        compile_network(model, keras.optimizers.Adam(1e-3))
        return fit(model, split, tmp_path / "checkpoint.npz", epochs=epochs, batch_size=50, seed=(0,))

    train(1)
    content = (tmp_path / "checkpoint.npz").read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * 100):
        (tmp_path / "checkpoint.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match="checkpoint.npz is damaged or .*Delete it to restart this stage"):
            train(2)
        assert (tmp_path / "checkpoint.npz").read_bytes() == damaged


def test_folders_of_others_are_left_alone(finished, tmp_path):
    out, _ = finished
    with pytest.raises(ValueError, match="another configuration: dropout=0.5 there, 0.3 here"):
        sessions.run_sessions(blobs(), out, **QUICK, dropout=0.3)
    with pytest.raises(ValueError, match="another configuration: dataset_fingerprint="):
        sessions.run_sessions(blobs(seed=1), out, **QUICK)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("...")
    with pytest.raises(ValueError, match="holds other files but no run.json"):
        sessions.run_sessions(blobs(), tmp_path / "letters", **QUICK)
    with pytest.raises(ValueError, match="Received: the file"):
        sessions.run_sessions(blobs(), tmp_path / "letters" / "dear.txt", **QUICK)
    assert [f.name for f in (tmp_path / "letters").iterdir()] == ["dear.txt"]


@pytest.mark.parametrize("run", [None, '{"epochs": 7, "seed": 3}'])
def test_a_folder_with_other_files_is_left_as_it_is(run, tmp_path):
    (tmp_path / "session2.json").write_text('{"stage": "session2"}')
    if run:
        (tmp_path / "run.json").write_text(run)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="Use an(other| empty or new) folder"):
        sessions.run_sessions(blobs(), tmp_path, **QUICK)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["{", "[1]", '{"name": "another program"}'])
def test_what_is_no_record_is_named_and_nobody_is_told_to_delete_it(content, tmp_path):
    for name, action, remedy in (
        ("run.json", lambda: sessions.run_sessions(blobs(), tmp_path, **QUICK), "Use another folder"),
        ("joint.json", lambda: Record.read(tmp_path / "joint.json"), "Move it away"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=remedy) as raised:
            action()
        assert str(tmp_path) in str(raised.value) and "elete" not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arm": "tanhh"}, "`arm` must be one of"),
        ({"architecture": "rnn"}, "`architecture` must be one of"),
        ({"epochs": 0}, "`epochs` must be an integer of at least 1"),
        ({"batch_size": 0.5}, "`batch_size` must be an integer"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a number above 0"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"depth": 3}, r"Unknown configuration: \['depth'\]"),
    ],
)
def test_wrong_configurations_touch_nothing(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sessions.run_sessions(blobs(), tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "configuration", "message"),
    [
        ("parity-8-2", {"architecture": "cnn"}, "must be 'mlp' for 'parity-8-2', which has signs"),
        ("pydocs", {"architecture": "mlp"}, "must be 'transformer' or 'recurrent' for 'pydocs', which has tokens"),
        (
            "mnist5k",
            {"architecture": "transformer"},
            "must be 'mlp' or 'cnn' or 'resnet' for 'mnist5k', which has images",
        ),
        ("parity-8-2", {"augmentation": "crop_flip"}, "must be 'none' for 'parity-8-2', which has signs"),
        ("mnist5k", {"epoch_samples": 3201}, "at most 3,200, the training samples of 'mnist5k'"),
    ],
)
def test_data_that_a_network_is_not_for(data, configuration, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sessions.run_sessions(datasets.load(data), tmp_path / "run", **configuration)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def seen(monkeypatch):
    """What `fit` is given, epoch by epoch."""
    samples, original = [], keras.Model.fit

    def recorded(self, x, *args, **kwargs):
        samples.append(x if isinstance(x, np.ndarray) else np.concatenate([np.asarray(batch) for batch, _ in x]))
        return original(self, x, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", recorded)
    return samples


@pytest.mark.slow
def test_an_epoch_of_some_samples_draws_others_each_time(tmp_path, seen):
    settings = {**QUICK, "arm": "relu", "epochs": 2, "epoch_samples": 70}
    (record,) = sessions.run_sessions(blobs(), tmp_path / "run", **settings)
    assert [len(x) for x in seen] == [70, 70] and not np.array_equal(*seen)
    assert record.splits["train"] == 240 and record.settings["epoch_samples"] == 70


@pytest.mark.slow
def test_signs_are_learned(tmp_path):
    settings = {"arm": "product", "widths": (8,), "epochs": 3, "epoch_samples": 10_000, "dropout": 0.0}
    (record,) = sessions.run_sessions(datasets.load("parity-8-2"), tmp_path / "run", learning_rate=1e-2, **settings)
    assert record.test_accuracy > 0.95 and record.bits is None


@pytest.mark.slow
def test_images_are_moved_and_mirrored_in_training_alone(tmp_path, seen):
    settings = {**QUICK, "arm": "relu", "epochs": 2, "augmentation": "crop_flip", "architecture": "resnet"}
    (record,) = sessions.run_sessions(blobs(), tmp_path / "run", **{**settings, "widths": (4,)})
    whole = datasets.split(blobs(), 3).x_train.reshape(240, -1)
    same = [(np.abs(x.reshape(240, 1, -1) - whole).max(axis=-1) == 0).any(axis=1).mean() for x in seen]
    assert max(same) < 0.1 and record.normalization == "BatchNorm"
