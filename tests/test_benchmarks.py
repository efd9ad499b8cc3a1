"""The programs in benchmarks/ run, and their records say what they should."""

import importlib
import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.training import datasets
from tests.helpers import BACKEND, ROOT, blobs

BOTH = "forward and backward"
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="benchmarks/gpu.py needs JAX")


@pytest.fixture
def gpu():
    return importlib.import_module("benchmarks.gpu")


@pytest.mark.slow
@pytest.mark.jax
@on_jax
def test_gpu_benchmark_on_a_cpu_holds_every_row_and_needs_no_tensorflow(gpu, tmp_path):
    out = tmp_path / "gpu.json"
    # TensorFlow cannot be imported there.
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow was imported')")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small", "--seconds", "1500", "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["left_out"] == {}
    rows = {(row["name"], row["case"], row["pass"]): row for row in record["rows"]}
    names = ["relu", "swiglu", "exact", "exact, in one piece", "table", *gpu.SUMS]
    alone = {(n, f"{pairs} pairs", p) for n in names for pairs in ("1,000", "4,000") for p in ("forward", BOTH)}
    networks = {
        (arm, f"{net}, batch 2", p)
        for arm in ("relu", "swiglu", "two_arg")
        for net in ("cnn", "transformer")
        for p in ("predict", "training step")
    }
    assert set(rows) == alone | networks
    for (name, case, what), row in rows.items():
        assert 0 < row["quartiles"][0] <= row["median"] <= row["quartiles"][1]
        assert f"{case:24} {name:20} {what}" in done.stdout
        if name in gpu.SUMS and what == BOTH:
            assert row["gradient_error"] < gpu.TOLERANCE


@pytest.mark.jax
@on_jax
def test_gpu_benchmark_leaves_out_what_it_has_no_time_for(gpu, tmp_path, monkeypatch, capsys):
    calls = []

    def in_a_process(job, seconds):
        calls.append(job)
        return (["some gpu"], None) if job == [["device"]] else (None, "not done in 1 s")

    monkeypatch.setattr(gpu, "in_a_process", in_a_process)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--seconds", "0", "--out", str(tmp_path / "gpu.json")])
    gpu.main()
    left_out = json.loads((tmp_path / "gpu.json").read_text())["left_out"]
    assert calls == [[["device"]]] and left_out == dict.fromkeys(gpu.jobs(False), "no time left")
    assert "Left out: table: no time left" in capsys.readouterr().out


@pytest.mark.jax
@on_jax
@pytest.mark.parametrize(
    "name", ["table, 1 copies", "table, 16 copies", "table, 64 copies", "table, one-hot", "table, sorted"]
)
def test_every_way_of_summing_gives_the_same_gradients(gpu, name, rng):
    """To phi and to the pairs, as JAX differentiates the look-up itself; pairs beyond the table and on nodes too."""
    import jax

    pairs = np.concatenate([3 * rng.normal(size=(3000, 2)), gpu.GRID.nodes(2)[::50]]).astype("float32")
    upstream = rng.normal(size=len(pairs)).astype("float32")
    inner, weights = gpu.phi()
    operations = gpu.operations(inner)

    def gradients(name):
        return jax.vjp(operations[name], pairs, weights)[1](upstream)

    for own, expected in zip(*map(jax.tree.leaves, map(gradients, (name, "table"))), strict=True):
        assert np.abs(own - expected).max() <= gpu.TOLERANCE * np.abs(expected).max()


@pytest.mark.jax
@on_jax
def test_a_wrong_sum_is_seen(gpu, rng, monkeypatch):
    pairs = rng.normal(size=(500, 2)).astype("float32")
    assert gpu.gradient_error("table, sorted", pairs) < gpu.TOLERANCE
    monkeypatch.setitem(gpu.SUMS, "table, sorted", lambda row, added: gpu.by_segments(row, added)[::-1])
    assert gpu.gradient_error("table, sorted", pairs) > gpu.TOLERANCE


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="benchmarks/growth.py needs TensorFlow")
def test_growth_measures_every_way(tmp_path):
    out = tmp_path / "growth.json"
    program = str(ROOT / "benchmarks" / "growth.py")
    command = [sys.executable, program, "--rounds", "2", "--units", "8", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    record = json.loads(out.read_text())
    ways = {"exact", "table_41", "table_81", "baked", "relu", "swiglu"}
    assert set(record["pairs"]) == set(record["one_core"]) == {"1024"} and set(record["places"]) == {"1", "3", "10"}
    assert set(record["pairs"]["1024"]) == set(record["one_core"]["1024"]) == ways
    assert set(record["places"]["3"]) == ways - {"baked"}
    assert set(record["pairs"]["1024"]["baked"]) == {"forward"}
    low, high = record["pairs"]["1024"]["exact"]["both"]["quartiles"]
    assert 0 < low <= record["pairs"]["1024"]["exact"]["both"]["median"] <= high


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="benchmarks/xla_look_up.py needs TensorFlow")
def test_compiled_look_ups_are_timed_with_each_instruction_set(tmp_path):
    out, program = tmp_path / "xla.json", str(ROOT / "benchmarks" / "xla_look_up.py")
    command = [sys.executable, program, "--rounds", "2", "--pairs", "1000", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    record = json.loads(out.read_text())
    assert set(record["isas"]) == {"own", "AVX2"}
    for by_number in record["isas"].values():
        assert set(by_number["1000"]) == {"rows", "one by one", "swiglu"}
        assert all(len(times["seconds"]) == 2 and times["median"] > 0 for times in by_number["1000"].values())


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="benchmarks/first_block.py needs TensorFlow")
def test_the_layers_of_the_first_block_are_timed_in_turns(tmp_path, monkeypatch, capsys):
    first_block, out = importlib.import_module("benchmarks.first_block"), tmp_path / "block.json"
    monkeypatch.setattr(sys, "argv", ["first_block.py", "--batch", "2", "--rounds", "2", "--out", str(out)])
    first_block.main()
    record, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert record["pairs"] == 2 * 30 * 30 * 60 and record["machine"]["commit"]
    assert set(record["layers"]) == set(first_block.layers()) and all(name in printed for name in record["layers"])
    for times in record["layers"].values():
        assert set(times) == set(first_block.PASSES)
        assert all(len(each["seconds"]) == 2 and each["median"] > 0 for each in times.values())


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="benchmarks/int8.py exports from TensorFlow")
def test_int8_measures_every_way_of_both_arms(monkeypatch):
    pytest.importorskip("ai_edge_litert")
    int8 = importlib.import_module("benchmarks.int8")
    small = partial(models.mlp, (8, 8, 1), 3, widths=(8,))
    monkeypatch.setattr(int8, "NETWORKS", {"mlp28": (small, 10, 100, 1), "timed alone": (small, 10, 0, 0)})
    split = datasets.split(blobs(), seed=0)
    for name in int8.NETWORKS:
        found = int8.measure(name, split, 2)
        assert set(found) == {"relu", "two_arg"}
        for arm in found.values():
            assert set(arm) == {"parameters", *int8.WAYS}
            for way in int8.WAYS:
                assert arm[way]["wall"]["median"] > 0 and arm[way]["processor"]["rounds"] == (
                    16 if "mlp" in name else 2
                )
                assert ("accuracy" in arm[way]) == ("mlp" in name)
            assert arm["float"].get("changed", 0) == 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="benchmarks/growth.py needs TensorFlow")
def test_growth_keeps_what_was_measured_on_another_commit(tmp_path, monkeypatch, capsys):
    growth, out = importlib.import_module("benchmarks.growth"), tmp_path / "growth.json"
    out.write_text(before := json.dumps({"machine": {"commit": "another"}, "pairs": {}}))
    monkeypatch.setattr(growth, "child", lambda *_: {})
    monkeypatch.setattr(sys, "argv", ["growth.py", "--parts", "places", "--out", str(out)])
    with pytest.raises(SystemExit):
        growth.main()
    assert out.read_text() == before and "Use another --out" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="run once, on TensorFlow")
def test_the_steps_of_a_plan_are_timed_beside_those_of_other_plans(tmp_path):
    out = tmp_path / "plans.json"
    out.write_text(json.dumps({"lm-kjv": {"arms": {}}}))
    command = [sys.executable, str(ROOT / "benchmarks" / "plan_steps.py"), "parity", "--arms", "two_arg,relu"]
    done = subprocess.run(
        [*command, "--rounds", "2", "--nodes", "81", "--out", str(out)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    record = json.loads(out.read_text())
    assert set(record) == {"lm-kjv", "parity"} and set(record["parity"]["arms"]) == {"two_arg", "two_arg_81", "relu"}
    assert all(times["median"] > 0 for times in record["parity"]["arms"].values())
    assert record["parity"]["machine"]["commit"] and done.stdout.count(" ms ") == 3
