"""Chief and workers: every trial is run once, whoever is killed, and nobody waits for ever."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
from click.testing import CliRunner

from keras_twoarg import cli
from tests.helpers import SMALL_SPACE as SPACE
from tests.helpers import blobs, save_npz

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
kt = pytest.importorskip("keras_tuner")
from keras_twoarg.experiments.tuning import cluster, oracles, search  # noqa: E402


def command(log, *words):
    # Into a file: a pipe that nobody reads stops whoever writes into it.
    with open(log, "w") as file:
        return subprocess.Popen([sys.executable, "-m", "keras_twoarg", "tune", *words], stdout=file, stderr=file)


def free_address():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{opened.getsockname()[1]}"


@pytest.mark.slow
def test_chief_and_workers_account_for_every_trial_when_a_worker_is_killed(tmp_path, data):
    out, address = tmp_path / "s", free_address()
    common = ["--out", str(out), "--chief-timeout", "120"]
    options = ["--arm", "relu", "--data", data, "--tuner", "random", "--trials", "4", "--epochs", "5"]
    options += ["--worker-timeout", "12"]  # a busy machine may keep the one that lives from its heartbeats for seconds
    space = json.dumps({**SPACE, "learning_rate": [1e-4, 3e-4, 1e-3]})
    chief = command(tmp_path / "chief", "--chief", address, *common, *options, "--space", space)
    workers = [command(tmp_path / n, "--worker", address, *common, "--name", n) for n in ("first", "second")]
    try:
        until(lambda: "second" in ongoing(out) and len(ongoing(out)) == 2)
        workers[1].kill()
        assert chief.wait(timeout=120) == 0, (tmp_path / "chief").read_text()
        assert workers[0].wait(timeout=60) == 0
    finally:
        for process in (chief, *workers):
            process.kill()
    assert "second has not been heard of" in (tmp_path / "chief").read_text()
    rows = json.loads((out / "relu" / "trials.json").read_text())
    assert [row["trial"] for row in rows] == list(range(4)) and {row["status"] for row in rows} == {"COMPLETED"}


def ongoing(out: Path) -> list[str]:
    file = out / "relu" / "oracle.json"
    return list(json.loads(file.read_text())["ongoing_trials"]) if file.exists() else []


def until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.1)


def test_a_worker_without_work_waits_for_trials_that_another_may_lose():
    oracle = oracles.make_oracle("random", 2, 1, seed=0)
    hp = kt.HyperParameters()
    hp.Choice("rate", [1, 2, 3])
    oracle.update_space(hp)
    oracle.save = oracle._save_trial = lambda *_: None
    done, lost = oracle.create_trial("stays"), oracle.create_trial("dies")
    done.status = "COMPLETED"
    oracle.update_trial(done.trial_id, {oracles.OBJECTIVE: 0.5})
    oracle.end_trial(done)
    assert oracle.create_trial("stays").status == "IDLE"  # KerasTuner says STOPPED: nobody would be left for the other
    oracle.last_heard()["dies"] -= 60
    assert oracle.drop_silent(30) == ["dies"]
    retried = oracle.create_trial("stays")
    assert (retried.trial_id, retried.status) == (lost.trial_id, "RUNNING")
    retried.status = "COMPLETED"
    oracle.update_trial(retried.trial_id, {oracles.OBJECTIVE: 0.5})
    oracle.end_trial(retried)
    assert oracle.create_trial("stays").status == "STOPPED"


def test_a_workers_last_heartbeat_does_not_keep_it_waiting(monkeypatch):
    monkeypatch.setattr(cluster, "HEARTBEAT", 0.05)
    asked, answered = threading.Event(), threading.Event()
    oracle = SimpleNamespace(get_trial=lambda _: asked.set() or answered.wait(60))  # a chief that has gone home
    began = time.monotonic()
    with cluster._heartbeat(SimpleNamespace(running="0", oracle=oracle)):
        assert asked.wait(30)
    assert time.monotonic() - began < 50  # seconds; the question itself would have taken sixty
    answered.set()


def test_a_worker_with_other_data_than_the_chief_is_refused(tmp_path, data):
    searched = search.search_of({"data": data, "arms": ["relu"], "trials": 1, "space": SPACE})
    with search.search_folder(searched, tmp_path / "s", searched.load()):
        (tmp_path / "s" / "arms.json").write_text('["relu"]')
    save_npz(data, blobs(seed=1))
    with pytest.raises(ValueError, match="not those of the search .* fingerprint=.* there, .* Copy the chief's data"):
        cluster.worker(tmp_path / "s", "127.0.0.1:9", "one", lambda *_: None, chief_timeout=1.0)


@pytest.mark.slow
def test_a_chief_that_is_killed_and_started_again_goes_on_with_its_worker(tmp_path, data):
    out, address = tmp_path / "s", free_address()
    common = ["--out", str(out), "--chief-timeout", "120"]
    options = ["--arm", "relu", "--data", data, "--tuner", "random", "--trials", "3", "--epochs", "5"]
    start = ["--chief", address, *common, *options, "--space", json.dumps(SPACE)]
    chief = command(tmp_path / "chief", *start)
    worker = command(tmp_path / "worker", "--worker", address, *common, "--name", "only")
    try:
        until(lambda: (out / "relu" / "trials.json").exists())  # a trial has ended, another one runs
        chief.kill()
        chief.wait()
        chief = command(tmp_path / "again", *start)
        assert chief.wait(timeout=120) == 0, (tmp_path / "again").read_text()
        assert worker.wait(timeout=60) == 0, (tmp_path / "worker").read_text()
    finally:
        for process in (chief, worker):
            process.kill()
    rows = json.loads((out / "relu" / "trials.json").read_text())
    assert [row["trial"] for row in rows] == list(range(3)) and {row["status"] for row in rows} == {"COMPLETED"}


@pytest.mark.slow
def test_a_chief_and_a_worker_without_the_other_end_with_a_sentence(tmp_path, data):
    out, address = str(tmp_path / "s"), free_address()
    alone = ["tune", "--chief", address, "--arm", "relu", "--data", data, "--out", out, "--chief-timeout", "1"]
    done = CliRunner().invoke(cli.twoarg, alone)
    assert done.exit_code == 2 and "No worker has been heard of for 1 s; 0 trials have ended" in done.output
    done = CliRunner().invoke(cli.twoarg, ["tune", "--worker", address, "--out", out, "--chief-timeout", "1"])
    assert done.exit_code == 2 and "did not answer for 1 s" in done.output
    done = CliRunner().invoke(cli.twoarg, ["tune", "--worker", "nowhere", "--out", out])
    assert done.exit_code == 2 and "HOST:PORT" in done.output


@pytest.mark.parametrize("option", ["--worker-timeout", "--chief-timeout"])
def test_a_time_that_no_clock_shows_is_refused(option, tmp_path):
    done = CliRunner().invoke(cli.twoarg, ["tune", "--worker", "18000", "--out", str(tmp_path), option, "-1"])
    assert done.exit_code == 2 and "is not in the range x>0" in done.output


@pytest.mark.parametrize(
    ("side", "option"),
    [("--chief", "--worker-timeout"), ("--chief", "--chief-timeout"), ("--worker", "--chief-timeout")],
)
def test_a_time_that_never_ends_by_mistake_is_refused(side, option, tmp_path, data):
    of_chief = ["--arm", "relu", "--data", data] if side == "--chief" else []
    words = ["tune", side, free_address(), *of_chief, "--out", str(tmp_path / "s"), option, "nan"]
    done = CliRunner().invoke(cli.twoarg, words)
    assert done.exit_code == 2 and re.search(f"`{option[2:].replace('-', '_')}` must be .*=nan", done.output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arm", "relu", "--worker-timeout", "30"], "Without --chief or --worker.*Leave out --worker-timeout"),
        (["--arm", "relu", "--chief-timeout", "30"], "Without --chief or --worker.*Leave out --chief-timeout"),
        (["--arm", "relu", "--name", "one"], "--name is that of a worker"),
        (["--chief", "18000", "--arm", "relu", "--name", "one"], "--name is that of a worker"),
        (["--worker", "18000", "--trials", "40"], "reads its search from --out. Give --trials to the --chief"),
        (["--worker", "18000", "--worker-timeout", "30"], "Give --worker-timeout to the --chief"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, message, tmp_path):
    done = CliRunner().invoke(cli.twoarg, ["tune", *options, "--out", str(tmp_path / "s")])
    assert done.exit_code == 2 and re.search(message, " ".join(done.output.split())), done.output
    assert not (tmp_path / "s").exists()
