"""Plans: what is in them, and runs that are stopped, fail and go on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import models
from keras_twoarg.cli import twoarg
from keras_twoarg.experiments import plan as plans
from keras_twoarg.experiments.plan import PLANS, Plan, read_plan
from keras_twoarg.experiments.reports.run_groups import group_runs
from keras_twoarg.experiments.reports.run_tables import paired_table, runs_table
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.robustness import NAMES, measure
from keras_twoarg.experiments.robustness.measure import evaluate
from keras_twoarg.experiments.training import datasets, networks, sessions
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.utils import subprocesses
from tests.helpers import blobs, record, save_npz

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)

PLAN = """
data = "blobs.npz"
arms = ["two_arg", "relu"]
seeds = 2
epochs = 1
frozen_epochs = 1
pretraining_epochs = 1
widths = [16, 16]
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npz(tmp_path / "blobs.npz", blobs())
    (tmp_path / "plan.toml").write_text(PLAN)
    return "plan.toml"


def silent(*_):
    pass


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_that_comes_along_is_usable(name):
    plan = read_plan(name)
    assert "two_arg" in plan.arms and "relu" in plan.arms
    kinds = {"cnn": "cnn", "lm": "transformer", "resnet": "resnet"}
    assert plan.configuration.architecture == kinds.get(name.split("-")[0], "mlp") or name == "lm-kjv-recurrent"
    assert f" {name}," in " ".join(str(twoarg.commands["reproduce"].help).split())


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_that_comes_along_begins(name, tmp_path, monkeypatch):
    nothing = types.SimpleNamespace(fingerprint="none", held_out_fingerprint=None)
    monkeypatch.setattr(plans, "load_data", lambda *_: nothing)
    monkeypatch.setattr(plans, "arm_widths", lambda plan, _: dict.fromkeys(plan.arms, (8,)))
    monkeypatch.setattr(plans, "_run_all", lambda *_: None)
    for _ in "begun", "begun again":
        assert plans.run(read_plan(name), tmp_path, silent)
    assert json.loads((tmp_path / "plan.json").read_text())["fingerprint"] == "none"


def test_changes_replace_what_the_file_says(plan):
    assert read_plan(plan, seeds=7, epochs=None).seeds == 7
    assert read_plan(plan, seeds=7, epochs=None).configuration.epochs == 1
    assert read_plan("mlp-mnist", arms=("relu",)).arms == ("relu",)


WRONG = {
    "no such plan": ("mlp-mnits", {}, "There is no plan 'mlp-mnits'"),
    "unknown arm": ("demo", {"arms": ("two_arg", "rleu")}, "`arm` must be one of"),
    "an arm twice": ("demo", {"arms": ("relu", "relu")}, "each once"),
    "no seeds": ("demo", {"seeds": 0}, "`seeds` must be an integer of at least 1"),
    "no epochs": ("demo", {"epochs": 0}, "`epochs` must be an integer of at least 1"),
}


@pytest.mark.parametrize(("name", "changes", "message"), WRONG.values(), ids=WRONG)
def test_errors(name, changes, message):
    with pytest.raises(ValueError, match=message):
        read_plan(name, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = ", "is not valid TOML"),
        ('data = "x"', "lacks arms"),
        (PLAN + "epoch = 3", "has unknown settings: epoch"),
    ],
)
def test_unusable_files_are_explained(text, message, tmp_path):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_plan(str(tmp_path / "bad.toml"))


def test_a_subset_is_drawn_once_and_leaves_the_test_images():
    whole = blobs()
    some = datasets.subset(whole, 50)
    assert len(some.y_train) == 50 and len(some.y_test) == len(whole.y_test)
    assert some.fingerprint == datasets.subset(whole, 50).fingerprint != whole.fingerprint
    with pytest.raises(ValueError, match="from 1 to"):
        datasets.subset(whole, 10**6)


@pytest.mark.slow
def test_the_command_runs_every_arm_and_seed_and_compares_them(plan, tmp_path):
    result = CliRunner().invoke(twoarg, ["reproduce", plan, "--out", "out", "--jobs", "2"])
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"two_arg-0", "two_arg-1", "relu-0", "relu-1", "plan.json"}
    page = (tmp_path / "out" / "report.html").read_text()
    for text in (result.output, page):
        assert "two_arg joint minus" in text and "test accuracy" in text
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("two_arg*/*.json")}
    assert len(before) == 6
    plans.run(read_plan(plan), tmp_path / "out", silent)
    assert {p: p.stat().st_mtime_ns for p in before} == before  # nothing was run again
    other = CliRunner().invoke(twoarg, ["reproduce", plan, "--out", "out", "--epochs", "3"])
    assert other.exit_code == 2 and "another configuration: epochs=1 there, 3 here" in " ".join(other.output.split())


KILLING = """
import os, signal
from pathlib import Path
from keras_twoarg.experiments import plan
from keras_twoarg.utils import subprocesses

def train_one(progress, *arguments):  # in the run's own process
    def killing(stage, done, *_):
        if (stage, done) == ("joint", 2):
            os.killpg(0, signal.SIGKILL)  # this process and the one that waits for it
    plan.train_one(killing, *arguments)

def run():
    call = subprocesses.call
    subprocesses.call = lambda _, *rest: call("killing:train_one", *rest)
    plan.run(plan.read_plan("plan.toml", arms=("two_arg",), seeds=1, epochs=4), Path("killed"), print)
"""


@pytest.mark.slow
def test_killed_and_started_again_ends_with_the_same_numbers(plan, tmp_path):
    whole = read_plan(plan, arms=("two_arg",), seeds=1, epochs=4)
    plans.run(whole, tmp_path / "whole", silent)
    (tmp_path / "killing.py").write_text(KILLING)
    done = subprocess.run([sys.executable, "-c", "import killing; killing.run()"], start_new_session=True)
    assert done.returncode == -signal.SIGKILL
    with np.load(tmp_path / "killed" / "two_arg-0" / "joint-checkpoint.npz") as arrays:
        before = json.loads(str(arrays["summary"]))["epochs"]
    plans.run(whole, tmp_path / "killed", silent)
    for stage in ("joint", "frozen"):
        first, second = (
            json.loads((tmp_path / out / "two_arg-0" / f"{stage}.json").read_text()) for out in ("whole", "killed")
        )
        assert first["test_loss"] == second["test_loss"]
        assert stage == "frozen" or second["epochs"][:2] == before  # with their seconds: they were not done again
        for a, b in zip(first["epochs"], second["epochs"], strict=True):
            assert {k: a[k] for k in a if k != "seconds"} == {k: b[k] for k in b if k != "seconds"}


@pytest.mark.slow
def test_a_run_that_fails_is_recorded_counted_and_tried_again(plan, tmp_path):
    chosen, out = read_plan(plan, seeds=1), tmp_path / "out"
    plans.run(read_plan(plan, seeds=1, arms=("two_arg",)), out, silent)
    (out / "relu-0").mkdir()
    (out / "relu-0" / "stray.txt").write_text("not a run")  # run_sessions refuses such a folder
    plans.run(chosen, out, silent)
    record = json.loads((out / "relu-0-failed" / "joint.json").read_text())
    assert record["status"] == "failed" and "holds other files" in record["settings"]["failure"]
    assert plans.failed_runs([out / "two_arg-0", out / "relu-0"]) == ["relu-0"]
    said = CliRunner().invoke(twoarg, ["reproduce", plan, "--out", "out", "--seeds", "1"])
    assert said.exit_code == 1 and "Failed: relu-0. The same command retries them" in said.output
    assert "Report: " in said.output and (out / "report.html").exists()
    said = CliRunner().invoke(twoarg, ["report", "out"])
    assert said.exit_code == 0, said.output
    assert "Counted as seeds but in no figure: relu joint seed 0" in " ".join(said.output.split())
    (out / "relu-0" / "stray.txt").unlink()
    plans.run(chosen, out, silent)
    assert not (out / "relu-0-failed").exists()
    assert json.loads((out / "relu-0" / "joint.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_stopped_is_ended_and_is_no_failure(error, plan, monkeypatch):
    began = threading.Event()

    def call(function, progress, *arguments):
        began.set()
        return children("threading:Event.wait", progress, *arguments)

    def waiting(*_):
        assert began.wait(60)
        while not subprocesses._children:
            time.sleep(0.05)
        raise error

    children = subprocesses.call
    monkeypatch.setattr(subprocesses, "call", call)
    monkeypatch.setattr(subprocesses, "_SERVE", "import time; time.sleep(300)")
    monkeypatch.setattr(plans, "as_completed", waiting)
    with pytest.raises(type(error)):
        plans.run(read_plan(plan, seeds=1, arms=("relu",)), Path("out"), silent)
    assert not subprocesses._children and not Path("out/relu-0-failed").exists()


@pytest.mark.parametrize(
    ("fails", "stages", "failed", "left"),
    [
        ("train_one", [], "relu-0", "joint.json"),
        ("train_one", ["joint"], "relu-0", "frozen.json"),
        ("measure_one", ["joint"], "relu-0 (robustness)", "robustness-failure.json"),
    ],
)
def test_what_failed_is_told_and_what_is_trained_counts_as_trained(fails, stages, failed, left, plan, monkeypatch):
    def call(function, progress, plan, configuration, folder, data_dir):
        os.makedirs(folder, exist_ok=True)
        for stage in stages:
            record(stage=stage).write(Path(folder) / f"{stage}.json")
            (Path(folder) / f"{stage}.keras").touch()
        return subprocesses.Outcome(int(function.endswith(f":{fails}")), None, ("no reason",))

    monkeypatch.setattr(subprocesses, "call", call)
    monkeypatch.setattr(measure, "check_possible", lambda *_: None)
    folders = plans.run(read_plan(plan, seeds=1, arms=("relu",), robustness=True), Path("out"), silent)
    assert plans.failed_runs(folders) == [failed]
    assert [file.name for file in Path("out/relu-0-failed").iterdir()] == [left]
    caption = runs_table(read_runs([Path("out")]).records).caption
    assert ("in no figure" in caption) == (fails == "train_one")
    fails = "nothing"
    plans.run(read_plan(plan, seeds=1, arms=("relu",), robustness=True), Path("out"), silent)
    assert plans.failed_runs(folders) == []


def test_a_failed_run_stands_in_the_row_of_its_arm(plan, monkeypatch):
    def call(function, progress, plan, configuration, folder, data_dir):
        if folder.endswith("two_arg-0"):
            return subprocesses.Outcome(1, None, ("no reason",))
        dataset = plans.load_data(plans.plan_of(plan), data_dir)
        own = {key: value for key, value in configuration.items() if key in ("arm", "seed", "widths", "architecture")}
        Path(folder).mkdir()
        record(**own, dataset=dataset.name, settings=configuration).write(Path(folder) / "joint.json")
        return subprocesses.Outcome(0, None, ())

    monkeypatch.setattr(subprocesses, "call", call)
    plans.run(read_plan(plan, seeds=3, subset=100), Path("out"), silent)
    records = read_runs([Path("out")]).records
    assert [(group.name, len(group.records)) for group in group_runs(records)] == [("two_arg joint", 3), ("relu", 3)]
    assert {row[-1] for row in paired_table(records).rows} == {"2"}


@pytest.mark.slow
def test_a_finished_run_needs_no_process_and_one_of_another_plan_is_told(plan, monkeypatch):
    chosen, started = read_plan(plan, seeds=1, widths=(4, 4)), []

    def call(function, progress, plan, configuration, folder, data_dir):
        started.append(Path(folder).name)
        return subprocesses.Outcome(1, None, ("no reason",))

    dataset = plans.load_data(chosen)
    for arm, widths in plans.arm_widths(chosen, dataset).items():
        sessions.run_sessions(dataset, f"out/{arm}-0", **chosen.of_run(arm, 0, widths).to_dict())
    monkeypatch.setattr(subprocesses, "call", call)
    monkeypatch.setattr(plans, "result_folder", lambda *_, **__: contextlib.nullcontext())
    told = []
    plans.run(chosen, Path("out"), lambda *words: told.append(words))
    assert not started and ("two_arg 0 frozen", 1, 1, "already done") in told
    folders = plans.run(read_plan(plan, seeds=1, widths=(4, 4), dropout=0.1), Path("out"), silent)
    assert sorted(started) == plans.failed_runs(folders)[::-1] == ["relu-0", "two_arg-0"]
    started.clear()
    Path("out/two_arg-0/frozen.json").unlink()
    plans.run(chosen, Path("out"), silent)
    assert started == ["two_arg-0"] and not Path("out/relu-0-failed").exists()


@pytest.mark.parametrize("missing", ["scipy.stats", "matplotlib.pyplot"])
@pytest.mark.parametrize("command", [["reproduce", "plan.toml"], ["demo"]])
def test_what_the_report_needs_is_missed_before_anything_is_trained(command, missing, plan, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    said = CliRunner().invoke(twoarg, [*command, "--out", "out"])
    assert said.exit_code == 2 and "pip install 'keras_twoarg[" in said.output and not Path("out").exists()


def test_what_robustness_needs_is_missed_before_anything_is_trained(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"not installed: torch.*pip install 'keras_twoarg\[robust\]'"):
        plans.run(read_plan(plan, robustness=True), Path("out"), silent)
    assert not Path("out").exists()


def test_corruptions_are_for_all_convolutional_networks():
    asked = {
        name: plans._corruptions(read_plan(name).configuration) for name in ("cnn-mnist", "resnet-cifar10", "demo")
    }
    assert asked == {"cnn-mnist": NAMES, "resnet-cifar10": NAMES, "demo": ()}


def test_another_number_of_points_is_one_error_before_anything_runs(plan, monkeypatch):
    monkeypatch.setattr(measure, "check_possible", lambda *_: None)
    monkeypatch.setattr(subprocesses, "call", lambda *_: pytest.fail("a run was started"))
    Path("out/relu-0/joint-robustness").mkdir(parents=True)
    Path("out/relu-0/joint-robustness/settings.json").write_text('{"points": 20}')
    with pytest.raises(ValueError, match="points=30, but .*relu-0.* was measured on 20 images"):
        plans.run(read_plan(plan, robustness=True, points=30), Path("out"), silent)


@pytest.mark.parametrize("seed", ["7", "2"])
def test_a_seed_to_report_is_one_of_the_plans(seed, plan):
    said = CliRunner().invoke(twoarg, ["reproduce", plan, "--out", "out", "--report-seed", seed])
    assert said.exit_code == 2 and f"0 to 1. Received: {seed}" in said.output and not Path("out").exists()


def test_widths_are_matched_to_the_plans_network():
    plan = Plan("blobs", ("two_arg", "relu", "swiglu"), configuration=Configuration(widths=(32, 32)))
    widths = plans.arm_widths(plan, blobs())
    assert widths["two_arg"] == (32, 32) and widths["relu"] > (32, 32) and len(widths["swiglu"]) == 2


def test_arms_are_matched_to_two_arg_with_the_plans_phi():
    configuration = Configuration(inner_units=(8, 8), inner_activation="silu")
    plan = Plan("blobs", ("two_arg", "relu", "one_arg", "quadratic", "glu"), configuration=configuration)
    parameters = {}
    for arm, widths in plans.arm_widths(plan, blobs()).items():
        run = plan.of_run(arm, 0, widths)
        inner = networks.make_phi(run) if arm in models.ARMS else None
        parameters[arm] = networks.build_network(run, (8, 8, 1), 3, widths, inner, 0).count_params()
    assert all(abs(number / parameters["two_arg"] - 1) <= 0.005 for number in parameters.values()), parameters


@pytest.mark.slow
def test_a_warning_of_a_run_stays_on_the_screen(plan, tmp_path):
    dull = blobs()
    save_npz(tmp_path / "blobs.npz", dull, x_train=0 * dull.x_train, x_test=0 * dull.x_test)
    options = ["--arms", "relu", "--seeds", "1", "--first-seed", "7"]
    said = CliRunner().invoke(twoarg, ["reproduce", plan, "--out", "out", *options])
    assert said.exit_code == 0, said.output
    assert "relu 7 warning: after epoch 1 of the joint stage" in said.output and (tmp_path / "out/relu-7").exists()


@pytest.mark.slow
def test_a_plan_of_an_older_version_is_resumed(plan, tmp_path):
    chosen, out = read_plan(plan, seeds=1, arms=("relu",)), tmp_path / "out"
    plans.run(chosen, out, silent)
    stored = json.loads((out / "plan.json").read_text())
    names = {"phi_init": "start", "phi_init_std": "amplitude"}
    old = ("architecture", "batch_size", "data", "dropout", "epochs", "evaluation", "fingerprint", "frozen_epochs",
           "learning_rate", "phi_init", "phi_init_std", "pretraining_epochs", "subset", "widths")  # fmt: skip
    (out / "plan.json").write_text(json.dumps({names.get(name, name): stored[name] for name in old}))
    before = (out / "relu-0" / "joint.json").read_bytes()
    plans.run(chosen, out, silent)
    assert (out / "relu-0" / "joint.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "architecture", "kind"), [("pydocs", "transformer", "tokens"), ("parity-8-2", "mlp", "signs")]
)
def test_robustness_is_for_images(name, architecture, kind, tmp_path):
    changes = {"data": name, "arms": ("relu",), "robustness": True, "architecture": architecture}
    with pytest.raises(ValueError, match=f"`robustness` is for images. Received: '{name}', which has {kind}"):
        plans.run(plans.plan_of(changes), tmp_path / "runs", lambda *_: None)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="Robustness is for images"):
        evaluate(keras.Sequential(), datasets.load(name), tmp_path / "robustness")
