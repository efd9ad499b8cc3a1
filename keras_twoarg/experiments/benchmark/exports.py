"""Exported networks in each runtime that is installed."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from keras_twoarg.experiments.benchmark.networks import build, data
from keras_twoarg.experiments.timing import by_task, timed
from keras_twoarg.export import formats, runtimes
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject

INT8 = "LiteRT, int8"


def exports(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, JsonObject]:
    """Time one batch in each runtime that is installed, for the exported ReLU, baked and exact networks."""
    variants = ("relu", "baked", "exact")
    x, _ = data(name, 1, seed)
    runs: dict[tuple[str, str], runtimes.Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        for done, (format, kind) in enumerate(runtimes.FORMATS.items()):
            for variant in variants:
                progress(f"exports: {name}", done, len(runtimes.FORMATS), f"{kind.runtime}, {variant}")
                path = Path(folder) / f"{variant}-{format}{kind.ending}"
                try:
                    formats.export(build(name, variant, seed), path, format)
                    runs[kind.runtime, variant] = runtimes.load(path, format)
                    if runtimes.has_compiled(path, format):
                        compiled = f"{kind.runtime}, compiled"
                        runs[compiled, variant] = runtimes.load(path, format, compiled=True)
                    if format == "litert" and variant != "exact":  # in int8 phi is a table in any case
                        runs[INT8, variant] = _in_int8(name, variant, Path(folder), x, seed)
                except ImportError:
                    break
        progress(f"exports: {name}", len(runtimes.FORMATS), len(runtimes.FORMATS), "")
        tasks = {key: partial(run, x) for key, run in runs.items()}
        times = timed(tasks, rounds, lambda done: progress(f"exports, timed: {name}", done, rounds + 1, ""))
    return {runtime: by_task(times, runtime) for runtime, _ in runs}


def _in_int8(name: str, variant: str, folder: Path, x: np.ndarray, seed: int) -> runtimes.Run:
    path = folder / f"{variant}-int8.tflite"
    formats.export(build(name, variant, seed), path, "litert", representative_dataset=x)
    return runtimes.load(path, "litert")
