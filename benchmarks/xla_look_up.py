"""How XLA fetches a cell's four coefficients on TensorFlow: as one row, or one by one, with and without AVX-512.

    python benchmarks/xla_look_up.py --out benchmarks/two-cores-xla.json

A table of 81 x 81 nodes, the forward pass, and SwiGLU of the same pairs, whose time is mostly that of reading and
writing. All take turns. The first instruction set is the machine's own; for the other XLA is held to AVX2.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from keras_twoarg.utils import files, versions

ISAS = {"own": "", "AVX2": "--xla_cpu_max_isa=AVX2"}
"""The flags of XLA for each instruction set. XLA reads them when TensorFlow is loaded, so each has its own process."""


def measure(pairs, rounds):
    """Return the times of each way with each number of pairs."""
    import numpy as np
    import tensorflow as tf

    from keras_twoarg import Interpolation
    from keras_twoarg.experiments import timing
    from keras_twoarg.ops.look_up import look_up, look_up_by_numbers

    grid, rng, measured = Interpolation(), np.random.default_rng(0), {}
    cells = tf.constant(rng.normal(size=(grid.cells(2), 4)).astype("float32"))
    ways = {
        "rows": lambda tuples: look_up(tuples, cells, grid),
        "one by one": lambda tuples: look_up_by_numbers(tuples, cells, grid),
        "swiglu": lambda tuples: tuples[:, 0] * tf.nn.silu(tuples[:, 1]),
    }
    for number in pairs:
        tuples = tf.constant(rng.normal(size=(number, 2)).astype("float32"))
        tasks = {way: _task(tf.function(of, jit_compile=True, autograph=False), tuples) for way, of in ways.items()}
        times = timing.timed(tasks, rounds, lambda done: None)
        measured[str(number)] = {way: timing.summary(seconds) for way, seconds in times.items()}
    return measured


def _task(compiled, tuples):
    return lambda: compiled(tuples).numpy()


def in_a_process(isa, pairs, rounds):
    """Measure in a process of its own, with the flags of an instruction set."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {ISAS[isa]}".strip()
    command = [sys.executable, __file__, "--child", "--rounds", str(rounds), "--pairs", *map(str, pairs)]
    environment = {**os.environ, "XLA_FLAGS": flags, "KERAS_BACKEND": "tensorflow"}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def main():
    """Measure each instruction set, and print nanoseconds a pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[250_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.pairs, options.rounds)))
        return
    measured = {isa: in_a_process(isa, options.pairs, options.rounds) for isa in ISAS}
    for isa, by_number in measured.items():
        for number, times in by_number.items():
            each = "  ".join(f"{way} {1e9 * times[way]['median'] / int(number):.2f}" for way in times)
            print(f"{isa:5} {int(number):10,} pairs, ns each: {each}")
    if options.out:
        machine = {"cores": os.cpu_count(), "commit": versions.commit(), **versions.versions()}
        files.write_json(options.out, {"machine": machine, "isas": measured})


if __name__ == "__main__":
    main()
