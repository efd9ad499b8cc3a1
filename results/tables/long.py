"""Claims a and b on fresh seeds: perceptrons for 200 epochs, and CNNs with a schedule (docs/claims/plan.md)."""

from functools import partial

import numpy as np

from results.tables.documents import markdown
from results.tables.records import accuracy, against, difference, each, epochs_to, median, runs, spread, stored, table
from results.tables.speed import mean, seconds_to, step_ratio

PERCEPTRONS = {"MNIST": "results/mlp-mnist-200", "Fashion-MNIST": "results/mlp-fashion-200"}
THRESHOLDS = {PERCEPTRONS["MNIST"]: 0.95, PERCEPTRONS["Fashion-MNIST"]: 0.85}
SCHEDULE = "results/cnn-cifar10-cosine"


def arms_of(folder):
    """Return the arms that ran, two_arg first."""
    there = {run.record.arm for run in stored(folder)}
    return [arm for arm in ("two_arg", "one_arg", "relu", "swiglu", "product") if arm in there]


def epochs(folder):
    """Return a table of the arms' epochs to a validation accuracy."""
    two_arg, rows, threshold = runs(folder, "two_arg"), [], threshold_of(folder)
    for arm in arms_of(folder):
        own = epochs_to(runs(folder, arm), threshold)
        minus = "" if arm == "two_arg" else difference(epochs_to(two_arg, threshold), own, 1)
        rows.append((arm, f"{median(own)} ({each(own, 0)})", minus))
    return markdown(("arm", f"epochs to {100 * threshold:.3g} %", "two_arg minus it"), rows)


def accuracies(folder):
    """Return a table of the arms' test accuracies."""
    two_arg, rows = runs(folder, "two_arg"), []
    for arm in arms_of(folder):
        records = runs(folder, arm)
        own = accuracy(records)
        minus = "" if arm == "two_arg" else difference(accuracy(two_arg), own)
        best = each({record.seed: record.best_epoch for record in records}, 0)
        rows.append((arm, f"{records[0].parameters:,}", f"{spread(own)} ({each(own)})", minus, best))
    return markdown(("arm", "parameters", "test accuracy", "two_arg minus it", "best epoch"), rows)


for name_, folder_ in {
    "long": PERCEPTRONS["MNIST"],
    "long-fashion": PERCEPTRONS["Fashion-MNIST"],
    "schedule": SCHEDULE,
}.items():
    table(name_)(partial(accuracies, folder_))
    table(f"{name_}-epochs")(partial(epochs, folder_))


def threshold_of(folder):
    """Return the planned accuracy; with a schedule, relu's mean validation accuracy after half of the epochs."""
    if folder in THRESHOLDS:
        return THRESHOLDS[folder]
    curves = np.array([record.curve("val_accuracy") for record in runs(folder, "relu")])
    return float(curves.mean(axis=0)[curves.shape[1] // 2 - 1])


@table("long-seconds")
def long_seconds():
    """What relu needs to reach 95 %, relative to two_arg: epochs, time by separately timed steps, time by the runs."""
    folder = PERCEPTRONS["MNIST"]
    relu, two_arg = (mean(epochs_to(runs(folder, arm), THRESHOLDS[folder])) for arm in ("relu", "two_arg"))
    clocks = [mean(seconds_to(runs(folder, arm), THRESHOLDS[folder])) for arm in ("relu", "two_arg")]
    epochs, step, clock = relu / two_arg, step_ratio("two_arg"), clocks[0] / clocks[1]
    return (
        f"{epochs:.2f} times as many epochs as two_arg. A step of two_arg takes {step:.2f} times as long as ReLU's, so "
        f"by steps timed alone relu needs {epochs / step:.2f} times two_arg's time. By the runs' own clocks it needs "
        f"{clock:.2f} times: {clocks[0]:.0f} seconds against {clocks[1]:.0f}"
    )


def faster(arm, folder):
    """Return two_arg's epochs to a validation accuracy against another arm's."""
    return against(*(epochs_to(runs(folder, one), threshold_of(folder)) for one in ("two_arg", arm)))


def sooner(arm, folder):
    """Return two_arg's seconds to the same accuracy against another arm's, by the runs' own clocks."""
    return against(*(seconds_to(runs(folder, one), threshold_of(folder)) for one in ("two_arg", arm)))


def relative_seconds(arm, folder):
    """Return the same as a ratio, as planned for perceptrons: the difference of the seconds' logarithms."""
    logarithms = [
        {seed: float(np.log(seconds)) for seed, seconds in seconds_to(runs(folder, one), threshold_of(folder)).items()}
        for one in ("two_arg", arm)
    ]
    return against(*logarithms)


def higher(arm, folder):
    """Return two_arg's test accuracy against another arm's."""
    return against(*(accuracy(runs(folder, one)) for one in ("two_arg", arm)))
