"""Work in a process of its own: results, progress, and every way in which it may end."""

import os
import signal

import keras
import pytest

from keras_twoarg.utils import subprocesses

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)


def add(progress, a, b):
    print("a line beside")
    progress("adding", 1, 2, "half")
    return {"sum": a + b}


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
def test_failures_say_why():
    ended = subprocesses.call(f"{__name__}:fail", print)
    assert ended.status == 1 and ended.result is None and ended.reason == "ValueError: no such luck"
    assert subprocesses.call(f"{__name__}:die", print).reason == "killed by signal 9 (out of memory?)"
