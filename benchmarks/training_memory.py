"""Training with exact phi, in chunks and plainly: time of a step, and memory over the baseline.

    python benchmarks/training_memory.py                      # six places of 400,000 pairs
    KERAS_BACKEND=jax python benchmarks/training_memory.py

The variants alternate in separate processes, so that each has its own peak and noise affects both. `plain` is the
straightforward implementation, which keeps hidden values for the backward pass. Prints medians over the rounds.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.ops import exact
from keras_twoarg.utils.versions import commit, versions

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=3, help="processes for each variant")
parser.add_argument("--steps", type=int, default=6, help="training steps timed in each process")
parser.add_argument("--batch", type=int, default=1000, help="samples in a step, 400 pairs each at 6 places")
parser.add_argument("--variant", choices=["chunks", "plain"], help=argparse.SUPPRESS)
arguments = parser.parse_args()


class Scale(keras.layers.Layer):
    """A trained factor, so that gradients reach every place."""

    def build(self, input_shape):  # noqa: D102
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x):  # noqa: D102
        return x * self.scale


def model_of_six_places():
    """Return a model that does little except evaluate phi."""
    inputs = keras.Input((800,))
    phi, hidden = InnerNetwork(), inputs
    for _ in range(6):
        outputs = TwoArgActivation(phi)(Scale()(hidden))  # (batch, 400)
        hidden = keras.layers.Concatenate()([outputs, hidden[:, :400]])  # (batch, 800)
    model = keras.Model(inputs, hidden)
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    return model


def evaluate_plainly():
    """Make training use the function of inference."""
    for name in ("_tensorflow_map", "_jax_map", "_torch_map"):
        original = getattr(exact, name)
        setattr(exact, name, lambda activation, training, original=original: original(activation, False))


def measure():
    """Print seconds a step and megabytes over the baseline of this process."""
    if arguments.variant == "plain":
        evaluate_plainly()
    model = model_of_six_places()
    x = np.random.default_rng(0).normal(size=(arguments.batch, 800)).astype("float32")
    model.evaluate(x[:2], x[:2], verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for step in range(arguments.steps + 1):
        start = time.perf_counter()
        model.fit(x, x, batch_size=arguments.batch, verbose=0)
        if step:  # the first step compiles
            seconds.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([statistics.median(seconds), peak]))


def main():
    """Run both variants in turn and print the table."""
    times = {"plain": [], "chunks": []}
    for _ in range(arguments.rounds):
        for variant, results in times.items():
            command = [sys.executable, *sys.argv, "--variant", variant]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    table = Table("evaluation of phi", "seconds a step", "against plain", "MB over baseline")
    plain = statistics.median(seconds for seconds, _ in times["plain"])
    for variant, results in times.items():
        seconds, memory = (statistics.median(column) for column in zip(*results, strict=True))
        table.add_row(variant, f"{seconds:.2f}", f"{seconds / plain:.2f}", f"{memory:.0f}")
    console = Console()
    console.print(table)
    console.print(", ".join(f"{k} {v}" for k, v in versions().items()) + f", commit {commit()}", highlight=False)


if __name__ == "__main__":
    measure() if arguments.variant else main()
