"""Claim a: speed of learning."""

import numpy as np

from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.records import (
    CNNS,
    FASHION,
    MNIST,
    PERCEPTRONS,
    ROOT,
    against,
    cnn,
    curve,
    difference,
    each,
    epochs_to,
    median,
    runs,
    spread,
    table,
)

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
    """Epochs to an accuracy, converted to time."""
    step, rows = step_ratio("two_arg_81"), []  # the table that phi had then
    for data, folder, trained in (
        ("MNIST, trained with exact phi", MNIST, MNIST),
        ("MNIST, trained by a table", MNIST, "results/mlp-mnist-interpolated"),
        ("Fashion-MNIST, trained with exact phi", FASHION, FASHION),
    ):
        two_arg = mean(epochs_to(runs(trained, "two_arg"), THRESHOLDS[folder]))
        relu = mean(epochs(folder, "relu"))
        rows.append((data, f"{two_arg:.1f}", f"{relu:.1f}", f"{relu / two_arg:.2f}", f"{relu / two_arg / step:.2f}"))
    columns = (
        "runs",
        "two_arg, epochs",
        "relu, epochs",
        "relu's ÷ two_arg's",
        "the same ratio in time (81 x 81 table)",
    )
    return markdown(columns, rows)


def step_ratio(arm):
    """Return the ratio of an arm's training step to relu's, timed separately: the perceptron of these runs on MNIST."""
    steps = files.read_json(ROOT / "benchmarks" / "two-cores-plans.json")["mlp-mnist"]["arms"]
    return steps[arm]["median"] / steps["relu"]["median"]


def seconds_to(records, threshold):
    """Return the seconds of training until a validation accuracy, by the runs' own clocks."""
    reached = epochs_to(records, threshold)
    return {record.seed: float(sum(record.curve("seconds")[: int(reached[record.seed])])) for record in records}


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
    """Return the epochs of two_arg minus those of relu."""
    return against(epochs(folder, "two_arg"), epochs(folder, "relu"))
