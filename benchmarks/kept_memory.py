"""The speedup if a process keeps freed memory (`utils.allocator`), with several activations.

    python benchmarks/kept_memory.py --out benchmarks/two-cores-memory.json

Times training steps and `predict` of the CNNs on 32x32x3 with ReLU, SwiGLU and two arguments and, on TensorFlow, both
signatures of the larger one's SavedModel, with ReLU and baked. Each setting has its own processes, which take turns, to
measure peak memory too. Reports medians of all steps, on the current Keras backend.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import keras

from keras_twoarg.experiments import timing
from keras_twoarg.experiments.benchmark import networks
from keras_twoarg.export import formats, runtimes
from keras_twoarg.utils import files, versions
from keras_twoarg.utils.allocator import keep_freed_memory
from keras_twoarg.utils.progress import no_progress

SETTINGS = ("given back", "kept")
VARIANTS = ("relu", "swiglu", "interpolated")
SERVED = "cnn32, served"


def child(network, setting, rounds):
    """Time one network in one setting, and print the result."""
    if setting == "kept" and not keep_freed_memory():
        sys.exit("This system's allocator cannot be told to keep memory")
    times = served(rounds) if network == SERVED else networks.network(network, VARIANTS, rounds, no_progress)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times, "peak": peak}))


def served(rounds):
    """Return the times of a SavedModel's signatures, by variant and signature."""
    (x, _), tasks = networks.data("cnn32", 1, seed=0), {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in ("relu", "baked"):
            path = Path(folder) / variant
            formats.export(networks.build("cnn32", variant), path, "tf_saved_model")
            for signature in ("serving_default", "serving_compiled"):
                run = runtimes.load(path, "tf_saved_model", compiled=signature == "serving_compiled")
                tasks[variant, signature] = lambda run=run: run(x)
        times = timing.timed(tasks, rounds, lambda done: None)
    return {variant: timing.by_task(times, variant) for variant, _ in tasks}


def measure(network, processes, rounds):
    """Return the summary of each setting; their processes take turns."""
    results = {setting: [] for setting in SETTINGS}
    for _ in range(processes):
        for setting in SETTINGS:
            command = [sys.executable, __file__, "--child", network, setting, "--rounds", str(rounds)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            results[setting].append(json.loads(printed.splitlines()[-1]))
    return {setting: together(runs) for setting, runs in results.items()}


def together(runs):
    """Return the largest peak of several processes, in MB, and the summary of their times."""
    times = {
        variant: {
            task: timing.summary([s for run in runs for s in run["times"][variant][task]["seconds"]])
            for task, what in tasks.items()
            if isinstance(what, dict)  # the number of parameters stands beside the times
        }
        for variant, tasks in runs[0]["times"].items()
    }
    return {"peak": max(run["peak"] for run in runs), "times": times}


def main():
    """Time all networks in both settings, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.child:
        return child(*options.child, options.rounds)
    names = ["cnn32-half", "cnn32", *([SERVED] if keras.backend.backend() == "tensorflow" else [])]
    measured = {name: measure(name, options.processes, options.rounds) for name in names}
    for name, settings in measured.items():
        before, kept = (settings[setting]["times"] for setting in SETTINGS)
        for variant, tasks in kept.items():
            for task in tasks:
                now, then = tasks[task]["median"], before[variant][task]["median"]
                print(f"{name:14} {variant:14} {task:16} {1e3 * now:8.1f} ms, {then / now:.2f} times as fast")
    if options.out:
        record = files.read_json(options.out) if options.out.exists() else {}
        machine = {"versions": versions.versions(), "commit": versions.commit()}
        files.write_json(options.out, {**record, keras.backend.backend(): {"machine": machine, "networks": measured}})


if __name__ == "__main__":
    main()
