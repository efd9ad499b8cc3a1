"""A process that keeps what it frees has its pages cleared once; one that does not, at every use."""

import subprocess
import sys

import pytest

from keras_twoarg.utils import allocator

FAULTS = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from keras_twoarg.utils.allocator import keep_freed_memory
    if not keep_freed_memory():
        sys.exit(3)
for _ in range(3):
    np.ones(20_000_000)  # 160 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(setting):
    done = subprocess.run([sys.executable, "-c", FAULTS, setting], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("not Linux with glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_kept_memory_is_not_cleared_anew():
    pytest.importorskip("resource")
    assert faults("kept") < faults("given back") / 4


def test_other_systems_are_left_as_they_are(monkeypatch):
    class NoGlibc:
        pass

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: NoGlibc())
    assert allocator.keep_freed_memory() is False
