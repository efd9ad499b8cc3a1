"""What `twoarg serve-check` measures of a runtime: also of one that is slow, refuses batches, or never answers."""

from importlib import util

import numpy as np
import pytest

from keras_twoarg.export import runtimes, verify


def last(run, x, seconds=0.001):
    (*_, arrays) = runtimes.measure(run, x, seconds)
    return arrays


@pytest.mark.parametrize("refused", [0, 1, 37, 1000])
def test_a_refused_batch_is_a_result_and_is_not_timed(refused, monkeypatch):
    monkeypatch.setattr(runtimes, "_time", lambda run, x: (run(x), 0.001)[1])

    def run(x):
        if len(x) == refused:
            raise ValueError(f"no {refused}\nbecause")
        return 2 * x

    arrays = last(run, np.ones((8, 3)))
    assert arrays[f"refused_{refused}"] == f"no {refused}"
    assert [f"batch_{size}" in arrays for size in (0, 1, 37, 1000)] == [size != refused for size in (0, 1, 37, 1000)]
    assert ("latency" in arrays, "throughput" in arrays) == (refused != 1, refused != 1000)


def test_a_slow_model_is_measured_in_batches_that_it_can_answer(monkeypatch):
    monkeypatch.setattr(runtimes, "LONGEST", 0.02)
    monkeypatch.setattr(runtimes, "_time", lambda run, x: len(x) / 1000)
    arrays = last(lambda x: 2 * x, np.ones((8, 3)))
    assert arrays["largest"] == len(arrays["batch_20"]) == 20
    assert arrays["throughput"] == pytest.approx(1000) and max(verify._sizes(arrays, "batch")) == 37


def test_a_model_slower_than_that_is_measured_one_by_one(monkeypatch):
    monkeypatch.setattr(runtimes, "LONGEST", 1e-9)
    assert last(lambda x: x, np.ones((8, 3)))["largest"] == 1


KILLED = """
import os, sys
import numpy as np
*_, given, found = sys.argv
outputs = np.load(given)["inputs"]
np.savez(found, outputs=outputs, batch_0=outputs[:0], batch_1=outputs[:1], refused_37="no")
os.kill(os.getpid(), 9)  # as for memory; the time limit kills too
"""


def test_outputs_are_compared_even_if_there_is_no_time_or_memory_to_measure(tmp_path, monkeypatch):
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    np.savez(tmp_path / "recorded-1.npz", inputs=np.ones((8, 3)), outputs=np.ones((8, 3)), tolerance=1e-5)
    monkeypatch.setattr(verify.runtimes, "__file__", str(program))
    check = verify._runtime(tmp_path / "1", "tf_saved_model", tmp_path / "recorded-1.npz")
    assert check.passes and check.refused == (37,) and check.latency is check.throughput is check.batch is None
    page = verify.checks_table([check]).html()
    assert "<td>not 37</td>" in page and "agrees (stopped while measuring: exit status -9)" in page


def test_packages_are_found_where_python_finds_them_and_not_beside_the_program(tmp_path, monkeypatch):
    """Not those of the current folder, nor of the program's: `export/openvino.py` is not OpenVINO."""
    for folder in ("installed", "beside", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"in_{folder}.py").touch()
    program = tmp_path / "beside" / "program.py"
    program.write_text(
        "import sys, importlib.util as u, numpy as np\n"
        "np.savez(sys.argv[2], *[u.find_spec(f'in_{name}') is not None for name in ('installed', 'beside', 'here')])"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    monkeypatch.chdir(tmp_path / "here")
    found = verify._in_a_bare_process(str(program), inputs=tmp_path / "none.npz")
    assert [bool(found[f"arr_{i}"]) for i in range(3)] == [True, False, False], found


def test_a_wheel_without_the_c_library_fails_nothing(tmp_path, monkeypatch):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").touch()
    spec = util.spec_from_file_location("tensorflow", tmp_path / "tensorflow" / "__init__.py")
    monkeypatch.setattr(verify.tensorflow_c.util, "find_spec", lambda name: spec)
    check = verify._c_library(tmp_path / "1", tmp_path / "recorded-1.npz")
    assert check.passes and "no C library, such as libtensorflow_cc.so.2" in check.problem
    for name in ("libtensorflow_framework.2.dylib", "libtensorflow_cc.2.dylib"):
        (tmp_path / "tensorflow" / name).touch()
    assert [file.name for file in verify.tensorflow_c.library_files()] == [
        "libtensorflow_framework.2.dylib", "libtensorflow_cc.2.dylib",
    ]  # fmt: skip


def test_every_version_is_an_export_and_other_folders_are_none(tmp_path):
    for name in ("2", "10", "1", "\u00b2", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "model.onnx").touch()
    assert [path.name for path, _ in verify._exports(tmp_path)] == ["1", "2", "10", "model.onnx"]


def test_whole_outputs_are_compared_as_numbers():
    for kind in ("bool", "uint8"):
        zeros, ones = np.zeros((2, 3), kind), np.ones((2, 3), kind)
        assert verify._compare([(zeros, ones)]) == (1.0, False) and verify._compare([(ones, ones)]) == (0.0, True)
