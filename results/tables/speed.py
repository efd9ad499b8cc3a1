"""Claim a: how fast networks learn."""

import numpy as np

from keras_twoarg.experiments.reports.documents import markdown
from keras_twoarg.utils import files
from results.tables.networks import CNNS, FASHION, MNIST, PERCEPTRONS, cnn
from results.tables.records import ROOT, against, curve, difference, each, epochs_to, median, runs, spread, table

THRESHOLDS = {MNIST: 0.95, FASHION: 0.85}
"""Validation accuracies that every run reached."""


def epochs(folder, arm, stage="joint"):
    """Return the epochs of an arm to the accuracy of its data."""
    return epochs_to(runs(folder, arm, stage), THRESHOLDS[folder])


@table("speed-perceptrons")
def speed_perceptrons():
    """Epochs to an accuracy, and the curve, of every arm."""
    columns = ["arm", "MNIST, epochs to 95 %", "two_arg minus it", "curve"]
    columns += ["Fashion-MNIST, to 85 %", "two_arg minus it", "curve"]
    rows = []
    for label, arm, stage in PERCEPTRONS:
        row = [label]
        for folder in (MNIST, FASHION):
            itself = (arm, stage) == ("two_arg", "joint")
            own, two_arg = epochs(folder, arm, stage), epochs(folder, "two_arg")
            row += [median(own), "" if itself else difference(two_arg, own, 1)]
            row += [spread(curve(runs(folder, arm, stage)))]
        rows.append(row)
    return markdown(columns, rows)


@table("speed-seconds")
def speed_seconds():
    """What fewer epochs are worth in seconds."""
    step, rows = step_ratio("interpolated_81"), []  # as those runs had
    for data, folder, trained in (
        ("MNIST, trained with exact phi", MNIST, MNIST),
        ("MNIST, trained by a table", MNIST, "results/mlp-mnist-interpolated"),
        ("Fashion-MNIST, trained with exact phi", FASHION, FASHION),
    ):
        two_arg = mean(epochs_to(runs(trained, "two_arg"), THRESHOLDS[folder]))
        relu = mean(epochs(folder, "relu"))
        sooner = "two_arg" if relu / two_arg > step else "relu"
        rows.append((data, f"{two_arg:.1f}", f"{relu:.1f}", f"{relu / two_arg:.2f}", f"{step:.2f}", sooner))
    columns = (
        "runs",
        "two_arg, epochs",
        "relu, epochs",
        "relu's over two_arg's",
        "its step over relu's",
        "sooner there",
    )
    return markdown(columns, rows)


def step_ratio(variant):
    """Return a training step of two_arg over relu's: the perceptron on 28x28x1, batch 200."""
    steps = files.read_json(ROOT / "benchmarks" / "two-cores.json")["networks"]["mlp28"]
    return steps[variant]["training_step"]["median"] / steps["relu"]["training_step"]["median"]


def mean(values):
    """Return the mean over seeds."""
    return float(np.mean(list(values.values())))


@table("speed-cnns")
def speed_cnns():
    """Mean validation accuracy over the epochs of the CNNs."""
    columns = ["arm", "Fashion-MNIST, curve", "each seed", "minus relu", "CIFAR-10, curve", "each seed", "minus relu"]
    rows = []
    for label, arm, ending in CNNS:
        row = [label]
        for data in ("fashion", "cifar10"):
            own, relu = curve(cnn(data, arm, ending)), curve(cnn(data, "relu"))
            row += [spread(own), each(own, 1), "" if arm == "relu" else difference(own, relu)]
        rows.append(row)
    return markdown(columns, rows)


def against_relu(folder):
    """Return how many epochs two_arg needs more than relu."""
    return against(epochs(folder, "two_arg"), epochs(folder, "relu"))
