"""A folder holds the results of one configuration, and one process works in it at a time, none for ever."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_twoarg import models
from keras_twoarg.experiments.robustness import measure
from keras_twoarg.experiments.training import result_folder as module
from keras_twoarg.experiments.training import sessions
from keras_twoarg.experiments.training.result_folder import only_process, result_folder
from tests.helpers import ROOT, blobs


def test_other_results_and_other_files_are_left_alone(tmp_path):
    with result_folder(tmp_path / "out", {"epochs": 1, "widths": (8, 8)}):
        assert json.loads((tmp_path / "out" / "run.json").read_text()) == {"epochs": 1, "widths": [8, 8]}
    with pytest.raises(ValueError, match="another configuration: epochs=1 there, 2 here"):
        with result_folder(tmp_path / "out", {"epochs": 2, "widths": (8, 8)}):
            pass
    with pytest.raises(ValueError, match="holds other files but no plan.json"):
        with result_folder(tmp_path / "out", {"epochs": 1}, "plan.json"):
            pass
    with pytest.raises(ValueError, match="Received: the file"):
        with result_folder(tmp_path / "out" / "run.json", {}):
            pass


def test_what_an_older_version_did_not_write_has_its_default(tmp_path):
    with result_folder(tmp_path, {"start": "glorot"}):
        pass
    with result_folder(tmp_path, {"phi_init": "glorot", "schedule": "constant"}, defaults={"schedule": "constant"}):
        pass
    with pytest.raises(ValueError, match="schedule='constant' there, 'cosine' here"):
        with result_folder(tmp_path, {"phi_init": "glorot", "schedule": "cosine"}, defaults={"schedule": "constant"}):
            pass


def test_of_two_that_begin_at_once_one_gets_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 10)

    def begin(epochs):
        try:
            with result_folder(tmp_path / "out", {"epochs": epochs}):
                return json.loads((tmp_path / "out" / "run.json").read_text())["epochs"] == epochs
        except ValueError as error:
            return "another configuration" not in str(error) and str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(begin, range(8)))
    assert outcomes.count(True) == 1 and outcomes.count(False) == 7, outcomes


def test_what_a_kill_left_while_the_settings_were_written_does_not_lock_the_folder(tmp_path):
    (tmp_path / ".run.json-abcd").write_text("{")
    with result_folder(tmp_path, {"a": 1}):
        assert (tmp_path / "run.json").exists()


def test_what_kills_left_while_files_were_written_is_removed_by_the_next_command(tmp_path):
    settings, number = {"a": 1}, "0123456789abcdef" * 2
    with result_folder(tmp_path, settings):
        for name in (f".joint-checkpoint.npz-{number}", f".{number}-joint.keras"):
            (tmp_path / name).write_text("half")
            os.utime(tmp_path / name, (0, 0))
        (tmp_path / f".report.html-{number}").write_text("half")  # another command may be writing it now
        (tmp_path / ".notes").write_text("mine")
    with result_folder(tmp_path, settings):
        assert sorted(file.name for file in tmp_path.iterdir()) == [".notes", f".report.html-{number}", "run.json"]


HOLD = """
import sys, time
from pathlib import Path
from keras_twoarg.experiments.training.result_folder import only_process
with only_process(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no lock there")
def test_the_second_process_says_so_and_a_killed_one_leaves_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="Another process is working in .*out. Wait until it ends"):
            with only_process(tmp_path / "out"):
                pass
        with pytest.raises(ValueError, match="Another process is working in"):
            sessions.run_sessions(blobs(), tmp_path / "out", arm="relu", widths=(4,), epochs=1)
        model = models.mlp((8, 8, 1), 3, "relu", (4,))
        with pytest.raises(ValueError, match="Another process is working in"):
            measure.evaluate(model, blobs(), tmp_path / "out", corruptions=(), attacks=())
        process.kill()
    with only_process(tmp_path / "out"):
        assert not list((tmp_path / "out").iterdir())  # the lock is no file, and nobody claimed the folder
