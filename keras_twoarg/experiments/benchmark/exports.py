"""Times of exported networks in each installed runtime."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from keras_twoarg.experiments.benchmark.networks import build, data
from keras_twoarg.experiments.timing import by_task, timed
from keras_twoarg.export import formats, runtimes
from keras_twoarg.utils import subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject

INT8 = "LiteRT, int8"
_VARIANTS = ("relu", "baked", "exact")


def exports(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, JsonObject]:
    """Time one batch in each installed runtime, for the exported ReLU, baked and exact networks.

    Each runtime has its own process, in which the networks take turns: the threads and memory of one runtime would
    slow down another.
    """
    found: dict[str, JsonObject] = {}
    for done, format in enumerate(runtimes.FORMATS):
        progress(f"exports: {name}", done, len(runtimes.FORMATS), format)
        ended = subprocesses.call(f"{__name__}:in_one_runtime", progress, name, format, rounds, seed)
        if ended.status:
            raise RuntimeError(f"{format}: {ended.reason}")
        found |= ended.result
    progress(f"exports: {name}", len(runtimes.FORMATS), len(runtimes.FORMATS), "")
    return found


def in_one_runtime(progress: Progress, name: str, format: str, rounds: int, seed: int) -> dict[str, JsonObject]:
    """Time one batch in the runtime of one format; return nothing if that is not installed."""
    x, _ = data(name, 1, seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            runs = _runs(name, format, Path(folder), x, seed)
        except ImportError:
            return {}
        tasks = {key: partial(run, x) for key, run in runs.items()}
        label = f"{runtimes.FORMATS[format].runtime}: {name}"
        times = timed(tasks, rounds, lambda done: progress(label, done, rounds + 1, ""))
    return {runtime: by_task(times, runtime) for runtime, _ in runs}


def _runs(name: str, format: str, folder: Path, x: np.ndarray, seed: int) -> dict[tuple[str, str], runtimes.Run]:
    """Return functions that run each network, by runtime and by what fills the units."""
    kind, runs = runtimes.FORMATS[format], {}
    for variant in _VARIANTS:
        path = folder / f"{variant}{kind.ending}"
        formats.export(build(name, variant, seed), path, format)
        runs[kind.runtime, variant] = runtimes.load(path, format)
        if runtimes.has_compiled(path, format):
            runs[f"{kind.runtime}, compiled", variant] = runtimes.load(path, format, compiled=True)
        if format == "litert" and variant != "exact":  # in int8 phi is a table in any case
            runs[INT8, variant] = _in_int8(name, variant, folder, x, seed)
    return runs


def _in_int8(name: str, variant: str, folder: Path, x: np.ndarray, seed: int) -> runtimes.Run:
    path = folder / f"{variant}-int8.tflite"
    formats.export(build(name, variant, seed), path, "litert", representative_dataset=x)
    return runtimes.load(path, "litert")
