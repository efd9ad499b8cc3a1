"""Searches: matched trials, the same from the same seeds; nothing finished is lost, and every search ends."""

import errno
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import cli, models
from tests.helpers import SMALL_SPACE as SPACE
from tests.helpers import blobs

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
kt = pytest.importorskip("keras_tuner")
from keras_twoarg.experiments import tuning  # noqa: E402
from keras_twoarg.experiments.training.configuration import Configuration  # noqa: E402
from keras_twoarg.experiments.tuning import oracles, search  # noqa: E402


def settings(data, arms=("two_arg",), **changes):
    flat = {"tuner": "random", "trials": 3, "epochs": 1, "space": SPACE, **changes}
    return tuning.search_of({"data": data, "arms": arms, **flat})


def run(searched, out, arm="two_arg", progress=lambda *_: None, lost=()):
    """Search in this process."""
    return search.run_arm(progress, searched.to_dict(), arm, str(out), list(lost), None)


@pytest.mark.slow
def test_no_two_trials_are_the_same_model(tmp_path, data):
    rows = run(settings(data, trials=50, tuner="grid", space={**SPACE, "learning_rate": [1e-3]}), tmp_path / "s")
    configurations = {json.dumps(row["configuration"]) for row in rows}
    assert len(rows) == len(configurations) == 4  # depth x dropout; a single taper, rate and start are no choice


@pytest.mark.slow
def test_the_commit_is_that_of_the_beginning(tmp_path, data, commit_changes):
    run(settings(data, trials=1, arms=("relu",)), tmp_path / "s", "relu", commit_changes)
    assert json.loads((tmp_path / "s" / "best-relu.json").read_text())["commit"] == "before"


def test_between_two_questions_for_a_trial_an_idle_worker_sleeps(tmp_path, data, monkeypatch):
    chosen = settings(data, arms=("relu",))
    tuner = search.make_tuner(chosen, chosen.hypermodel("relu", chosen.load()), tmp_path / "relu", lambda *_: None)
    statuses, happened = ["RUNNING", "IDLE", "IDLE", "RUNNING", "STOPPED"], []

    def create_trial(_):
        happened.append("asks")
        return kt.engine.trial.Trial(tuner.oracle.get_space(), status=statuses.pop(0))

    def run_trial(*_, **__):
        happened.append("runs")
        raise kt.errors.FailedTrialError("in a test")

    tuner.oracle.create_trial, tuner.run_trial, tuner.on_trial_end = create_trial, run_trial, lambda trial: None
    monkeypatch.setattr(search.time, "sleep", lambda seconds: happened.append("sleeps"))
    tuner.search(verbose=0)
    assert happened == "asks runs asks sleeps asks sleeps asks runs asks".split()


def test_a_result_that_is_lost_is_told_and_no_trial_blamed(tmp_path, data, monkeypatch):
    def call(_function, progress, *_):
        progress("0", 0, 1, "")
        return search.subprocesses.Outcome(0, None, ("the last line",))

    monkeypatch.setattr(search.subprocesses, "call", call)
    with pytest.raises(RuntimeError, match="search of relu stopped: the last line. The same command resumes it"):
        tuning.tune(settings(data, arms=("relu",)), tmp_path / "s", lambda *_: None)


@pytest.mark.slow
@pytest.mark.parametrize("tuner", oracles.TUNERS)
def test_stopped_or_not_the_same_seed_gives_the_same_trials(tuner, tmp_path, data):
    chosen = settings(data, tuner=tuner, epochs=3, arms=("relu",))

    def stop(stage, done, *_):
        if (stage, done) == ("1", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(chosen, tmp_path / "stopped", "relu", stop)
    first, second = (run(chosen, tmp_path / name, "relu") for name in ("stopped", "whole"))
    assert len(first) == len(second) == 3
    assert all(row["status"] == "COMPLETED" and 0 <= row["score"] <= 1 for row in first)
    assert all(row.pop("seconds") > 0 for row in first + second)
    best = json.loads((tmp_path / "stopped" / "best-relu.json").read_text())
    assert best["score"] == max(row["score"] for row in first)
    assert first == second


def trained(row):
    return {key: value for key, value in row.items() if key != "seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["random", "bayesian", "grid"])
def test_more_trials_extend_a_search_to_what_they_would_have_been_from_the_start(tuner, tmp_path, data):
    chosen = {"tuner": tuner, "arms": ("relu",)}
    few, begun = run(settings(data, **chosen, trials=2), tmp_path / "s", "relu"), set()
    more = run(settings(data, **chosen, trials=4), tmp_path / "s", "relu", lambda stage, *_: begun.add(stage))
    assert more[:2] == few and [row["trial"] for row in more] == [0, 1, 2, 3]
    assert begun == {"2", "3", "ended"}  # nothing is trained again
    best = json.loads((tmp_path / "s" / "best-relu.json").read_text())
    assert best["trials"] == 4 and best["score"] == max(row["score"] for row in more)
    whole = run(settings(data, **chosen, trials=4), tmp_path / "whole", "relu")
    assert [*map(trained, more)] == [*map(trained, whole)]


@pytest.mark.slow
def test_an_extension_that_is_stopped_is_resumed_with_its_number_of_trials(tmp_path, data):
    out = tmp_path / "s"
    options = ["tune", "--data", data, "--tuner", "random", "--epochs", "1", "--out", str(out)]
    options += ["--space", json.dumps(SPACE)]
    both = ["--arm", "relu", "--arm", "two_arg"]

    def invoke(*words):
        return CliRunner().invoke(cli.twoarg, [*options, *words])

    assert invoke(*both, "--trials", "1").exit_code == 0
    only = invoke("--arm", "relu", "--trials", "2")
    assert only.exit_code == 0 and "To give it up to 2 too, add --arm two_arg" in " ".join(only.output.split())

    def stop(stage, *_):
        if stage == "relu trial 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning.tune(settings(data, arms=("relu", "two_arg"), trials=4), out, stop)
    fewer = invoke(*both, "--trials", "1")
    assert fewer.exit_code == 2 and "trials=4 to resume it, a larger number to extend it" in fewer.output
    assert (done := invoke(*both, "--trials", "4")).exit_code == 0, done.output
    assert "add --arm" not in done.output
    for arm in ("relu", "two_arg"):
        rows = json.loads((out / arm / "trials.json").read_text())
        assert [(row["trial"], row["status"]) for row in rows] == [(i, "COMPLETED") for i in range(4)]
        assert json.loads((out / f"best-{arm}.json").read_text())["trials"] == 4
        assert f"Trials of {arm}" in (out / "report.html").read_text()


FOLDERS = [
    ("random", 2, "with trials=3, and none of them is taken away. Received: trials=2. Use trials=3 to resume it"),
    ("hyperband", 9, "of hyperband with trials=3, which cannot be changed.*Use trials=3, or another folder"),
]


@pytest.mark.parametrize(("tuner", "trials", "message"), FOLDERS)
def test_a_number_of_trials_that_a_folder_cannot_have_is_refused(tuner, trials, message, tmp_path, data):
    chosen = settings(data, tuner=tuner)
    with search.search_folder(chosen, tmp_path / "s", blobs()):
        before = (tmp_path / "s" / "search.json").read_text()
    with (
        pytest.raises(ValueError, match=message),
        search.search_folder(settings(data, tuner=tuner, trials=trials), tmp_path / "s", blobs()),
    ):
        raise AssertionError("entered")
    assert (tmp_path / "s" / "search.json").read_text() == before
    with (
        pytest.raises(ValueError, match="another configuration: .*tuner="),
        search.search_folder(settings(data, tuner="grid", trials=trials + 9), tmp_path / "s", blobs()),
    ):
        raise AssertionError("entered")


def children_of(pid):
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in children]


@pytest.mark.slow
@pytest.mark.parametrize(("killed", "trials"), [(1, 3), (0, 2)])
def test_a_trial_that_kills_its_process_is_given_up_and_the_others_are_run(killed, trials, tmp_path, data):
    def kill(stage, done, *_):
        if stage == f"relu trial {killed}" and done == 0:
            for child in children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)

    rows = tuning.tune(settings(data, arms=("relu",), trials=trials), tmp_path / "s", kill)["relu"]
    assert [row["status"] for row in rows] == ["FAILED" if i == killed else "COMPLETED" for i in range(trials)]
    assert "killed its process" in rows[killed]["message"]


BEYOND = {
    "no layer": {"depth": [0]},
    "a thousand layers": {"depth": [1000]},
    "a word for a depth": {"depth": ["2"]},
    "a taper of nothing": {"taper": [0]},
    "dropout": {"dropout": [0.1, 2]},
    "a rate without end": {"learning_rate": [float("inf")]},
    "no list": {"batch_size": 50},
    "two types": {"phi_init_std": ["paper", 0.01]},
}


@pytest.mark.parametrize("space", BEYOND.values(), ids=BEYOND)
def test_a_space_without_sense_is_refused_before_a_network_is_built(space, monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "add_weight", lambda *_, **__: pytest.fail("a weight was made"))
    (name,) = space
    with pytest.raises(ValueError, match=name):
        tuning.Search("mnist5k", ("relu",), space=space)


@pytest.mark.slow
def test_a_space_with_fewer_configurations_than_trials_is_told(tmp_path, data):
    space = json.dumps({**SPACE, "depth": [1], "dropout": [0.0, 0.1], "learning_rate": [1e-3]})
    options = ["--arm", "relu", "--data", data, "--trials", "5", "--epochs", "1", "--space", space]
    done = CliRunner().invoke(cli.twoarg, ["tune", *options, "--out", str(tmp_path / "s")])
    said = "relu has 2 of 5 trials: no other configuration was found in its space. Choices are added with --space"
    assert done.exit_code == 0 and said in " ".join(done.output.split())


@pytest.mark.slow
def test_a_trial_that_diverges_is_counted_and_all_failing_is_said(tmp_path, data):
    space = {**SPACE, "depth": [1], "dropout": [0.0], "learning_rate": [1e-3, 1e38]}
    rows = run(settings(data, space=space, trials=8, tuner="grid"), tmp_path / "some")
    statuses = {row["configuration"]["learning_rate"]: row["status"] for row in rows}
    assert statuses == {1e-3: "COMPLETED", 1e38: "FAILED"}
    assert "no longer finite" in next(row["message"] for row in rows if row["status"] == "FAILED")
    options = ["--arm", "relu", "--data", data, "--trials", "1", "--tuner", "random", "--epochs", "1"]
    space = json.dumps({**SPACE, "learning_rate": [1e38]})
    done = CliRunner().invoke(cli.twoarg, ["tune", *options, "--out", str(tmp_path / "all"), "--space", space])
    assert done.exit_code == 2 and "No trial of relu worked. The last one: " in done.output
    assert len(json.loads((tmp_path / "all" / "relu" / "trials.json").read_text())) == 1


@pytest.mark.slow
def test_damaged_files_and_other_searches_are_refused(tmp_path, data):
    out = tmp_path / "s"
    tuning.tune(settings(data, arms=("relu",), trials=2), out, lambda *_: None)
    with pytest.raises(ValueError, match="another configuration: epochs=1 there, 2 here, trials=2 there, 3 here"):
        tuning.tune(settings(data, arms=("relu",), epochs=2), out, lambda *_: None)
    for file in (out / "relu" / "oracle.json", next((out / "relu").glob("trial_*/trial.json"))):
        whole = file.read_text()
        file.write_text(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=f"{file.name} is damaged.*trials.json are not affected"):
            run(settings(data, arms=("relu",), trials=2), out, "relu")
        file.write_text(whole)
    assert len(run(settings(data, arms=("relu",), trials=2), out, "relu")) == 2


@pytest.mark.slow
def test_a_full_disk_ends_the_search_and_leaves_whole_files(tmp_path, data, monkeypatch):
    out, chosen = tmp_path / "s", settings(data, arms=("relu",))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(stage, done, *_):
        if (stage, done) == ("1", 1):
            monkeypatch.setattr(oracles, "write_whole", full)

    with pytest.raises(OSError, match="No space left"):
        run(chosen, out, "relu", fill)
    monkeypatch.undo()
    oracles.check_files(out / "relu")
    assert [row["status"] for row in run(chosen, out, "relu")] == ["COMPLETED"] * 3


def test_a_search_without_matplotlib_ends_before_its_first_trial(tmp_path, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    options = ["--arm", "relu", "--data", data, "--trials", "1", "--tuner", "random", "--epochs", "1"]
    done = CliRunner().invoke(cli.twoarg, ["tune", *options, "--out", str(tmp_path / "search")])
    assert done.exit_code == 2 and not (tmp_path / "search").exists()
    assert done.output == "Error: Drawing: matplotlib is not installed: pip install 'keras_twoarg[plot]'\n"


@pytest.mark.slow
def test_tune_and_train_with_what_was_found(tmp_path, data):
    options = ["--arm", "two_arg", "--data", data, "--trials", "2", "--tuner", "random", "--epochs", "1"]
    folder = tmp_path / "my search"
    tuned = ["tune", *options, "--out", str(folder), "--space", json.dumps(SPACE)]
    done = CliRunner().invoke(cli.twoarg, tuned)
    assert done.exit_code == 0, done.output
    assert f"twoarg train --hparams '{folder / 'best-two_arg.json'}' ..." in done.output
    best = json.loads((folder / "best-two_arg.json").read_text())
    page = (folder / "report.html").read_text()
    assert "each line is a trial" in page and f"{best['score']:.2%}" in page
    train = ["train", "--hparams", str(folder / "best-two_arg.json"), "--data", data, "--dropout", "0.25"]
    done = CliRunner().invoke(
        cli.twoarg, [*train, "--epochs", "1", "--frozen-epochs", "0", "--out", str(tmp_path / "run")]
    )
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "joint.json").read_text())
    assert record["widths"] == best["configuration"]["widths"] and record["settings"]["inner_units"] == [4, 4]
    assert record["settings"]["learning_rate"] == best["configuration"]["learning_rate"]
    assert record["settings"]["dropout"] == 0.25  # what is given on the command line wins
    relu = [*train, "--arm", "relu", "--epochs", "1", "--frozen-epochs", "0", "--out", str(tmp_path / "relu")]
    assert CliRunner().invoke(cli.twoarg, relu).exit_code == 0
    assert json.loads((tmp_path / "relu" / "joint.json").read_text())["widths"] != record["widths"]  # matched, as ever
    other = tmp_path / "other.json"
    other.write_text("{}")
    done = CliRunner().invoke(
        cli.twoarg, ["train", "--hparams", str(other), "--data", data, "--out", str(tmp_path / "x")]
    )
    assert done.exit_code == 2 and "no configuration written by `twoarg tune`" in done.output


def test_the_help_names_what_a_search_chooses():
    from keras_twoarg.cli.tune import CHOSEN

    assert set(CHOSEN) == set(tuning.SPACE)


def searched(**configuration):
    return tuning.Search("mnist5k", ("relu",), configuration=Configuration(**configuration))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: tuning.Search("mnist5k", ("relu",), tuner="best"), "`tuner` must be one of"),
        (lambda: tuning.Search("mnist5k", ("relu", "relu")), "each once"),
        (lambda: tuning.Search("mnist5k", ("relu",), trials=0), "`trials` must be an integer of at least 1"),
        (lambda: searched(architecture="transformer"), "`architecture` must be one of .'mlp', 'cnn'. in a search"),
        (lambda: searched(epoch_samples=50), "`epoch_samples` must be 0 in a search"),
        (lambda: searched(architecture="cnn", augmentation="crop_flip"), "`augmentation` must be 'none' in a search"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_depths_that_the_images_are_too_small_for_are_refused_before_any_trial(tmp_path, data):
    chosen = settings(data, arms=("relu",), architecture="cnn", widths=(4, 8), space={"depth": [1, 9]})
    with pytest.raises(ValueError, match="`depth` in `space` must be one that images of 8x8 are large enough for"):
        tuning.tune(chosen, tmp_path / "s", lambda *_: None)
    assert not (tmp_path / "s").exists()


def test_depths_without_matching_widths_are_refused_before_any_trial(tmp_path, data):
    chosen = settings(data, widths=(1,), space={"depth": [1, 32]})
    with pytest.raises(ValueError, match="No widths give the arm"):
        tuning.tune(chosen, tmp_path / "s", lambda *_: None)
    assert not (tmp_path / "s").exists()


def test_the_budget_is_that_of_the_two_argument_network(data):
    small, paper = (settings(data, widths=widths).hypermodel("relu", blobs()) for widths in ((8, 8), None))
    reference = models.mlp((8, 8, 1), 3, widths=(8, 8)).count_params()
    assert small.parameters == reference < paper.parameters
    assert abs(small.build(kt.HyperParameters()).count_params() / reference - 1) <= 0.01


def test_a_searched_network_has_the_searchs_schedule(data):
    chosen = settings(data, schedule="cosine", warmup_epochs=1, epochs=4, optimizer="adamw", weight_decay=0.1)
    assert tuning.search_of(json.loads(json.dumps(chosen.to_dict()))) == chosen
    optimizer = chosen.hypermodel("relu", blobs()).build(kt.HyperParameters()).optimizer
    rates = [float(optimizer._learning_rate(step)) for step in (0, 5, 20)]  # 240 images, 50 a step
    np.testing.assert_allclose(rates, [0, 1e-3, 0], atol=1e-8)


def test_no_frozen_stage_limits_the_warmup_of_a_search(tmp_path):
    chosen = tuning.search_of({"data": "any", "arms": ("two_arg",), "epochs": 30, "warmup_epochs": 25})
    assert (chosen.configuration.epochs, chosen.configuration.warmup_epochs) == (30, 25)
    (tmp_path / "best.json").write_text('{"configuration": {"arm": "two_arg", "warmup_epochs": 25}}')
    assert tuning.read_hparams(tmp_path / "best.json")["warmup_epochs"] == 25


def test_what_a_search_of_an_older_version_chose_is_read(tmp_path):
    chosen = {"arm": "two_arg", "norm": "none", "start": "glorot", "amplitude": 0.05}
    (tmp_path / "best.json").write_text(json.dumps({"configuration": chosen}))
    assert tuning.read_hparams(tmp_path / "best.json") == {
        "arm": "two_arg", "normalization": "none", "phi_init": "glorot", "phi_init_std": 0.05,
    }  # fmt: skip
    (tmp_path / "best.json").write_text(json.dumps({"configuration": {"arm": "relu", "dropout": 7}}))
    with pytest.raises(ValueError, match="best.json: `dropout` must be"):
        tuning.read_hparams(tmp_path / "best.json")
    for other in ({"arm": "relu", "color": "red"}, {}, {"dropout": 0.1}):  # a search always writes its arm
        (tmp_path / "best.json").write_text(json.dumps({"configuration": other}))
        with pytest.raises(ValueError, match="holds no configuration"):
            tuning.read_hparams(tmp_path / "best.json")
    (tmp_path / "best.json").write_text('{"configuration": ')
    with pytest.raises(ValueError, match="best.json is damaged: .*Expected the best-ARM.json of a `twoarg tune`"):
        tuning.read_hparams(tmp_path / "best.json")
