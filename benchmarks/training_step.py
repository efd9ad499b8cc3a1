"""The paper's networks with exact and interpolated phi against ReLU with LayerNorm and as many parameters.

    python benchmarks/training_step.py     # the CNN at 32x32x3, batch 128, and the MLP at 28x28x1, batch 200
    python benchmarks/training_step.py --network mlp

All variants run in one process, in turn; reported are medians over the rounds, for one training step and for
`predict` on one batch.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_twoarg import TwoArgActivation, outer
from keras_twoarg.training.records import commit, versions

NETWORKS = {"cnn": (outer.cnn, (32, 32, 3), 128), "mlp": (outer.mlp, (28, 28, 1), 200)}
STEPS = 4

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--network", choices=list(NETWORKS), action="append", help="default: all")
parser.add_argument("--rounds", type=int, default=5, help="timed rounds; a round of the exact CNN takes half a minute")
arguments = parser.parse_args()


def variants(build, shape):
    """Return the models to compare; ReLU is the one that the others are related to."""
    models = {"relu": None}
    for evaluation in ("interpolated", "exact"):
        models[evaluation] = build(shape, 10, seed=0)
        for layer in models[evaluation].layers:
            if isinstance(layer, TwoArgActivation):
                layer.evaluation = evaluation
    models["relu"] = build(shape, 10, "relu", outer.matched_widths("relu", models["exact"]), seed=0)
    for model in models.values():
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return models


def seconds(function):
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(name, table):
    """Add one network's rows to the table."""
    build, shape, batch = NETWORKS[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * batch, *shape)).astype("float32"), rng.integers(0, 10, STEPS * batch)
    models = variants(build, shape)
    training, prediction = {key: [] for key in models}, {key: [] for key in models}
    for round_ in range(arguments.rounds + 1):
        for key, model in models.items():
            fitted = seconds(lambda model=model: model.fit(x, y, batch_size=batch, verbose=0)) / STEPS
            predicted = seconds(lambda model=model: model.predict(x, batch_size=batch, verbose=0)) / STEPS
            if round_:  # the first one compiles
                training[key].append(fitted)
                prediction[key].append(predicted)
    base = statistics.median(training["relu"]), statistics.median(prediction["relu"])
    for key, model in models.items():
        cells = [f"{model.count_params():,}"]
        for times, reference in zip((training[key], prediction[key]), base, strict=True):
            middle = statistics.median(times)
            cells += [f"{1000 * middle:.0f} ± {1000 * statistics.stdev(times):.0f}", f"{middle / reference:.2f}"]
        table.add_row(f"{name}, batch {batch}: {key}", *cells)


def main():
    """Measure the networks and print one table."""
    table = Table("network", "parameters", "training step, ms", "× relu", "predict, ms", "× relu")
    for name in arguments.network or NETWORKS:
        measure(name, table)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{k} {v}" for k, v in versions().items()) + f", commit {commit()}", highlight=False)


if __name__ == "__main__":
    main()
