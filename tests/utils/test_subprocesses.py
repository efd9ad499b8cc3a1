"""Work in a process of its own: results, progress, and every way in which it may end."""

import os
import signal
import subprocess
import sys
import time

import keras
import pytest

from keras_twoarg.utils import subprocesses
from tests.helpers import ROOT

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)


def add(progress, a, b):
    print("a line beside")
    progress("adding", 1, 2, "half")
    return {"sum": a + b}


def leave_a_line_unfinished(progress):
    print("written by a library", end="")
    return 7


def fail(progress):
    raise ValueError("no such luck")


def die(progress):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_results_and_progress_come_back():
    seen = []
    ended = subprocesses.call(f"{__name__}:add", lambda *p: seen.append(p), 2, 3)
    assert ended.status == 0 and ended.result == {"sum": 5}
    assert seen == [("adding", 1, 2, "half")]
    assert "a line beside" in ended.output


@pytest.mark.slow
def test_a_result_behind_an_unfinished_line_comes_back():
    ended = subprocesses.call(f"{__name__}:leave_a_line_unfinished", lambda *_: None)
    assert ended.result == 7 and "written by a library" in ended.output


def test_failures_say_why():
    ended = subprocesses.call(f"{__name__}:fail", print)
    assert ended.status == 1 and ended.result is None and ended.reason == "ValueError: no such luck"
    assert subprocesses.call(f"{__name__}:die", print).reason == "killed by signal 9 (out of memory?)"


@pytest.mark.slow
def test_a_child_whose_parent_is_gone_before_it_begins_does_nothing():
    def child(parent):
        command = [sys.executable, "-c", subprocesses._SERVE, "builtins:repr", str(parent)]
        return subprocess.run(command, input="[]", capture_output=True, text=True, cwd=ROOT)

    gone = child(os.getpid() + 1)
    assert gone.returncode == 1 and not gone.stdout
    assert child(os.getpid()).stdout.strip().startswith("result ")


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
