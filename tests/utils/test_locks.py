"""One process at a time in a folder, and none for ever."""

import os
import subprocess
import sys
import time

import pytest

from keras_twoarg import models
from keras_twoarg.experiments.robustness import measure
from keras_twoarg.experiments.training import sessions
from keras_twoarg.utils import locks
from tests.helpers import ROOT, blobs

HOLD = """
import sys, time
from pathlib import Path
from keras_twoarg.utils.locks import only_process
with only_process(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no lock there")
def test_the_second_process_says_so_and_a_killed_one_leaves_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.3)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="Another process is working in .*out. Wait until it ends"):
            with locks.only_process(tmp_path / "out"):
                pass
        with pytest.raises(ValueError, match="Another process is working in"):
            sessions.run_sessions(blobs(), tmp_path / "out", arm="relu", widths=(4,), epochs=1)
        model = models.mlp((8, 8, 1), 3, "relu", (4,))
        with pytest.raises(ValueError, match="Another process is working in"):
            measure.evaluate(model, blobs(), tmp_path / "out", corruptions=(), attacks=())
        process.kill()
    with locks.only_process(tmp_path / "out"):
        assert not list((tmp_path / "out").iterdir())  # the lock is no file, and nobody claimed the folder


CHILD = """
import os, time
from keras_twoarg.utils import subprocesses
def work(progress):
    progress("pid", os.getpid(), 1, "")
    time.sleep(60)
"""

PARENT = """
from keras_twoarg.utils import subprocesses
subprocesses.call("child:work", lambda *values: print(values[1], flush=True))
"""


@pytest.mark.slow
def test_a_child_ends_soon_after_its_parent_was_killed(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{child}/status") and "Z" not in _state(child):
            assert time.monotonic() < end, "the child works on"
            time.sleep(0.1)


def _state(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return next(line for line in file if line.startswith("State:"))
    except FileNotFoundError:
        return "Z"
