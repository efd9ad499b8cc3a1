"""The residual network: how each unit ends, and what a step costs."""

import numpy as np

from results.tables.documents import markdown
from results.tables.pays import FIGURES, RESNET, lowest_loss, of, said, seconds_of
from results.tables.records import against, each, interval, runs, spread, table

CURVE = RESNET._replace(folder="results/resnet-cifar10-one-arg")
"""A learned phi of one argument, planned beside the units of RESNET, with the same seeds."""
PLANNED = 5
"""Seeds of each unit."""


@table("pays-resnet")
def pays_resnet():
    """The end of each unit, and two_arg minus it."""
    rows, figure = [], FIGURES[RESNET.figure]
    two_arg = of(RESNET, "two_arg", figure)
    for arm, task in {"two_arg": RESNET, "relu": RESNET, "swiglu": RESNET, "one_arg": CURVE}.items():
        records, own = runs(task.folder, arm), of(task, arm, figure)
        diverged = sum(record.status == "diverged" for record in records)
        number = f"{len(own)} of {PLANNED}" if len(own) < PLANNED else str(PLANNED)
        rows.append((
            arm,
            f"{records[0].parameters:,}",
            _losses(of(task, arm, lowest_loss)),
            f"{spread(own, 2, '')} ({each(own)})",
            "" if arm == "two_arg" else interval(against(two_arg, own)),
            f"{number}, {diverged} diverged" if diverged else number,
        ))  # fmt: skip
    columns = ("units", "parameters", "lowest validation loss", "test accuracy, %", "two_arg minus it", "seeds")
    return markdown(columns, rows)


@table("pays-resnet-step")
def pays_resnet_step():
    """A step at full width, timed apart from the runs."""
    two_arg, swiglu = (seconds_of(RESNET, arm) / seconds_of(RESNET, "relu") for arm in ("two_arg", "swiglu"))
    return f"two_arg {two_arg:.2f} times ReLU's time and SwiGLU {swiglu:.2f} times"


def curve_answer():
    """Return the plan's answer for one_arg: a word, and the difference so far."""
    figure = FIGURES[RESNET.figure]
    difference = against(of(RESNET, "two_arg", figure), of(CURVE, "one_arg", figure))
    number = f"{difference.number} of {PLANNED} seeds" if difference.number < PLANNED else f"{PLANNED} seeds"
    word = "begun" if difference.number < PLANNED else said(difference, RESNET.figure)
    return word, f"two_arg minus one_arg: {interval(difference)} points of accuracy, {number}"


def _losses(losses):
    """Format losses, of which those of a run that diverged may be huge, as their mean and each seed's."""
    values = [losses[seed] for seed in sorted(losses)]
    mean_loss, *each_loss = (f"{value:.3f}" if value < 100 else f"{value:.0e}" for value in (np.mean(values), *values))
    return f"{mean_loss} ({', '.join(each_loss)})"
