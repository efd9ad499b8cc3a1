"""Check that exports can be served: each runs in a process without Keras and this package, and is compared.

A served folder holds versions (SavedModels named `1`, `2`, ...), other formats beside them (`model.onnx`, `model.xml`,
`model.tflite`), and for each of them a record, such as `recorded-1.npz`, with inputs and the Keras model's outputs,
written by `twoarg export`.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_twoarg.export import runtimes, tensorflow_c
from keras_twoarg.export.changed_predictions import Changes, count_changes
from keras_twoarg.export.formats import TOLERANCE, record_of, rounding
from keras_twoarg.export.runtimes import FORMATS
from keras_twoarg.utils import files
from keras_twoarg.utils.table import Table

C_LIBRARY = "TensorFlow C library"
DEFAULT = "serving_default"
_TIME_LIMIT = 300
_NO_RECORD = "no record to compare it with"
_ALONE = """import sys
sys.path = [folder for folder in sys.path if folder]  # without the current one, which may hold modules of any name
import runpy
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program that is given by its path, but not from the folder it lies in, whose `openvino` is not OpenVINO."""


@dataclass(frozen=True)
class Check:
    """How one runtime fared with one export.

    Attributes:
        export: The file or folder.
        runtime: The runtime.
        difference: Largest difference from the recorded outputs; None if the export did not run, and no finite number
            if there is none, for which `problem` says why.
        agrees: Whether the outputs differ only by rounding, for all batch sizes that the runtime accepts.
        refused: The batch sizes that the runtime does not accept.
        latency: Median seconds per sample in batches of 1; None if it was not measured, or took too long.
        throughput: Samples per second in batches of `batch`; None if it was not measured, or took too long.
        batch: The largest batch: 1000 samples, or as many as take about 2 seconds; None if none was tried.
        problem: Why the export did not run, or why its outputs have no difference from the recorded ones.
        optional: Whether the runtime need not run it: the compiled signature, in runtimes without XLA; the C library,
            where TensorFlow's wheel has none.
        changes: For an export in int8, a sentence about how many predictions differ, and how many may.
        stopped: Why the process ended before everything was measured.
    """

    export: str
    runtime: str
    difference: float | None = None
    agrees: bool = False
    refused: tuple[int, ...] = ()
    latency: float | None = None
    throughput: float | None = None
    batch: int | None = None
    problem: str = ""
    optional: bool = False
    changes: str = ""
    stopped: str = ""

    @property
    def passes(self) -> bool:
        """Whether it agrees, or did not run and need not."""
        return self.agrees or (self.optional and self.difference is None)


def check(folder: Path, progress: Callable[[str], None] = lambda runtime: None) -> list[Check]:
    """Run every export in a folder, all versions included, each in its runtime.

    A runtime that is not installed is a problem.

    Args:
        folder: A served folder, as described at the top of this module.
        progress: Called with each runtime before it is tried.

    Returns:
        One `Check` per export and runtime. SavedModels also run in the C library and `saved_model_cli`, and their
        compiled signature has separate entries.

    Raises:
        ValueError: If the folder holds no export, or no record to compare exports with.
    """
    exports = _exports(folder)
    if not exports:
        raise ValueError(
            f"{folder} holds no export: no version such as 1, and no model.onnx, model.xml or model.tflite"
        )
    checks = []
    for path, format in exports:
        recorded = record_of(path)
        if not recorded.is_file():
            problem = f"{_NO_RECORD}, {record_of(path).name}"
            checks.append(Check(path.name, FORMATS[format].runtime, problem=problem))
            continue
        if problem := _damage(recorded):
            checks.append(Check(path.name, FORMATS[format].runtime, problem=problem))
            continue
        progress(FORMATS[format].runtime)
        checks.append(_runtime(path, format, recorded))
        if format == "tf_saved_model":
            for name, run in (("saved_model_cli", _saved_model_cli), (C_LIBRARY, _c_library)):
                progress(name)
                checks.append(run(path, recorded))
        if runtimes.has_compiled(path, format):
            for name, run in ((FORMATS[format].runtime, _compiled), (C_LIBRARY, _compiled_c_library)):
                progress(f"{name}, compiled")
                checks.append(run(path, recorded))
    if all(check.problem.startswith(_NO_RECORD) for check in checks):
        names = " or ".join(record_of(path).name for path, _ in exports)
        raise ValueError(
            f"{folder} has no {names} to compare its exports with. `twoarg export MODEL --out {exports[0][0]}` writes "
            "both, for a model with one input and one output of NumPy's numbers"
        )
    return checks


def checks_table(checks: list[Check]) -> Table:
    """Return the checks as a table, with failures in red."""
    rows, flagged = [], set()
    for i, c in enumerate(checks):
        verdict = "agrees" if c.agrees else "DIFFERS" if c.difference is not None else ""
        verdict = ": ".join(part for part in (verdict, c.problem, c.changes) if part)
        verdict += f" (stopped while measuring: {c.stopped})" if c.stopped else ""
        if not c.passes:
            flagged.add((i, 3))
        batches = "not " + ", ".join(map(str, c.refused)) if c.refused else "-" if c.batch is None else "all"
        throughput = "-" if c.throughput is None else f"{c.throughput:,.0f}/s"
        if c.throughput is not None and c.batch != runtimes.LARGEST:
            throughput += f" in batches of {c.batch}"
        rows.append(
            (
                c.export,
                c.runtime,
                "-" if c.difference is None else f"{c.difference:.1e}",
                verdict,
                batches,
                "-" if c.latency is None else f"{1e3 * c.latency:.2f} ms",
                throughput,
            )
        )
    columns = ("export", "runtime", "difference", "verdict", "batches", "latency", "throughput")
    caption = (
        "Each ran in a process that can import neither Keras nor keras_twoarg. difference: largest difference from the "
        f"recorded outputs. batches: accepted sizes among 0, 1, 37 and the largest, of {runtimes.LARGEST} samples or "
        f"what takes {runtimes.LONGEST:g} s. latency: median for one sample; throughput: in the largest batches; - if "
        f"it was not measured. compiled: the signature {runtimes.COMPILED}, which needs XLA. "
        "In int8 outputs differ by more than rounding; an export agrees if few enough predictions differ."
    )
    return Table("Exports in their runtimes", columns, tuple(rows), caption, ("runtime", "verdict"), frozenset(flagged))


def _exports(folder: Path) -> list[tuple[Path, str]]:
    versions = sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdecimal()), key=lambda p: int(p.name))
    endings = {kind.ending: name for name, kind in FORMATS.items() if kind.ending}
    others = [(p, endings[p.suffix]) for p in sorted(folder.iterdir()) if p.suffix in endings]
    return [(p, "tf_saved_model") for p in versions] + others


def _damage(recorded: Path) -> str:
    """Return what is wrong with a record in one line, or an empty string."""
    try:
        with np.load(recorded) as record:
            inputs, outputs = record["inputs"], record["outputs"]
    except files.UNREADABLE as error:
        return f"{recorded.name} is damaged: {error}. Export the model again"
    if not len(inputs) or len(inputs) != len(outputs):
        return f"{recorded.name} is damaged: {len(inputs)} inputs, {len(outputs)} outputs. Export the model again"
    return ""


def _runtime(path: Path, format: str, recorded: Path, more: tuple[str, ...] = ()) -> Check:
    name = FORMATS[format].runtime
    arrays = _in_a_bare_process(runtimes.__file__, str(path), format, inputs=recorded, more=more)
    if isinstance(arrays, str):
        return Check(path.name, name, problem=arrays)
    with np.load(recorded) as record:
        expected, changes, tolerance = record["outputs"], _changes(record, arrays["outputs"]), _tolerance(record)
    taken, refused = (_sizes(arrays, kind) for kind in ("batch", "refused"))
    pairs = [(arrays["outputs"], expected)]
    if changes is not None:
        expected = arrays["outputs"]  # int8 outputs do not depend on the batch size
    pairs += [(arrays[f"batch_{b}"], np.resize(expected, (b, *expected.shape[1:]))) for b in taken]
    difference, agrees = _compare(pairs, tolerance)
    sentence = ""
    if changes is not None:
        found, most_changed = changes
        agrees, sentence = (
            found.within(most_changed, most_changed) and _compare(pairs[1:], tolerance)[1],
            found.sentence(most_changed),
        )
    latency, throughput = (float(arrays[key]) if key in arrays else None for key in ("latency", "throughput"))
    batch = int(arrays["largest"]) if "largest" in arrays else None
    return Check(
        path.name, name, difference, agrees, refused, latency, throughput, batch, _no_difference(pairs),
        changes=sentence, stopped=str(arrays.get("stopped", "")),
    )  # fmt: skip


def _sizes(arrays: Mapping[str, np.ndarray], kind: str) -> tuple[int, ...]:
    """Return the sizes of the batches that were taken, or refused."""
    return tuple(sorted(int(key.rpartition("_")[2]) for key in arrays if key.startswith(f"{kind}_")))


def _changes(record: Mapping[str, np.ndarray], outputs: np.ndarray) -> tuple[Changes, float] | None:
    """Return how an export in int8 differs from its record, and the fraction that may; None for other exports."""
    expected = record["outputs"]
    if "most_changed" not in record or outputs.shape != expected.shape:
        return None
    task = (str(record["task"]), float(record["threshold"]))
    return count_changes([expected], [outputs], [task]), float(record["most_changed"])


def _compiled(path: Path, recorded: Path) -> Check:
    return _as_compiled(_runtime(path, "tf_saved_model", recorded, ("compiled",)))


def _compiled_c_library(path: Path, recorded: Path) -> Check:
    return _as_compiled(_c_library(path, recorded, runtimes.COMPILED))


def _as_compiled(check: Check) -> Check:
    return replace(check, runtime=f"{check.runtime}, compiled", optional=True)


def _c_library(path: Path, recorded: Path, signature: str = DEFAULT) -> Check:
    try:
        tensorflow_c.library_files()
    except ImportError as error:
        return Check(path.name, C_LIBRARY, problem=str(error), optional=True)
    names = names_of(path, signature)
    if isinstance(names, str):
        return Check(path.name, C_LIBRARY, problem=names)
    arrays = _in_a_bare_process(tensorflow_c.__file__, str(path), inputs=recorded, more=names[1:])
    return _simple(path, C_LIBRARY, arrays, recorded)


def _saved_model_cli(path: Path, recorded: Path) -> Check:
    names = names_of(path)
    if isinstance(names, str):
        return Check(path.name, "saved_model_cli", problem=names)
    key, name = names[0].split()
    with tempfile.TemporaryDirectory() as folder:
        command = [*_tool("run", path, DEFAULT), "--inputs", f"{key}={recorded}[inputs]", "--outdir", folder]
        done = _run(command)
        file = Path(folder) / f"{name}.npy"
        arrays: dict[str, np.ndarray] | str = {"outputs": np.load(file)} if file.exists() else _last_line(done)
    return _simple(path, "saved_model_cli", arrays, recorded)


def _simple(path: Path, name: str, arrays: dict[str, np.ndarray] | str, recorded: Path) -> Check:
    if isinstance(arrays, str):
        return Check(path.name, name, problem=arrays)
    with np.load(recorded) as expected:
        pairs, tolerance = [(arrays["outputs"], expected["outputs"])], _tolerance(expected)
    return Check(path.name, name, *_compare(pairs, tolerance), problem=_no_difference(pairs))


def names_of(path: Path, signature: str = DEFAULT) -> tuple[str, str, str] | str:
    """Return `"input output"`, and the graph's names of both, from `saved_model_cli show`; or its error."""
    done = _run(_tool("show", path, signature))
    inputs, outputs = (
        re.search(rf"{kind}\['(.+?)'\].*?name: (\S+)", done.stdout, re.S) for kind in ("inputs", "outputs")
    )
    if not inputs or not outputs:
        return _last_line(done)
    return f"{inputs[1]} {outputs[1]}", inputs[2], outputs[2]


def _tool(action: str, path: Path, signature: str) -> list[str]:
    # The tool's executable may not be on the PATH.
    program = "from tensorflow.python.tools.saved_model_cli import main; main()"
    where = ["--dir", str(path), "--tag_set", "serve", "--signature_def", signature]
    return [sys.executable, "-c", program, action, *where]


def _in_a_bare_process(
    program: str, *words: str, inputs: Path, more: tuple[str, ...] = ()
) -> dict[str, np.ndarray] | str:
    """Return the arrays that a program writes in a process without this package, or its error."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.npz"
        done = _run([sys.executable, "-c", _ALONE, program, *words, str(inputs), str(out), *more])
        if not out.exists():
            return _last_line(done)
        with np.load(out) as arrays:  # if it was stopped later, for lack of time or memory, outputs are there
            return {**arrays, **({"stopped": np.array(_last_line(done))} if done.returncode else {})}


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # Records were computed without TF32, which rounds more than a comparison allows.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "NVIDIA_TF32_OVERRIDE": "0"}
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"No answer within {_TIME_LIMIT} s")


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def _tolerance(record: Mapping[str, np.ndarray]) -> float:
    """Return the tolerance of a record; the first versions wrote none."""
    return float(record["tolerance"]) if "tolerance" in record else TOLERANCE


def _compare(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float = TOLERANCE) -> tuple[float, bool]:
    if any(outputs.shape != expected.shape for outputs, expected in pairs):
        return float("inf"), False
    # NumPy's maximum propagates NaN; Python's may not.
    differences = [np.abs(outputs.astype("float64") - expected).max(initial=0.0) for outputs, expected in pairs]
    difference = float(np.max(differences))
    scale = max(float(np.abs(expected).max(initial=0.0)) for _, expected in pairs)
    return difference, difference <= rounding(scale, tolerance)


def _no_difference(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Return why outputs have no difference that is a finite number, or an empty string."""
    for outputs, expected in pairs:
        if outputs.shape != expected.shape:
            return f"outputs of shape {outputs.shape} instead of {expected.shape}"
        if not (np.isfinite(outputs).all() and np.isfinite(expected).all()):
            return "NaN or infinity among the outputs"
    return ""
