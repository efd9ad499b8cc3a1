"""Where a learned phi pays: a row for each task, against the best fixed unit and a learned curve."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_twoarg.models import ARMS
from keras_twoarg.utils import files
from results.tables import long
from results.tables.documents import markdown
from results.tables.records import (
    EARLY,
    FASHION,
    MNIST,
    ROOT,
    against,
    each,
    interval,
    runs,
    spread,
    stored,
    table,
    verdict,
)


class Task(NamedTuple):
    """A task: the folder of its records, that of learned phis if it is another one, and the figure that decides."""

    label: str
    folder: str
    figure: str
    learned: str = ""


PACKED = "results/tables"
"""Start of the names of the folders with tables."""
TEXT = Task("next character, King James text, Transformer", "results/lm-kjv", "bits")
TEXT_AGAIN = Task("the same, fresh seeds", "results/lm-kjv-again", "bits")
"""The first text a second time: reported, not pooled with it."""
SECOND_TEXT = Task("next character, Python's documentation, Transformer", "results/lm-pydocs", "bits")
CELL = Task("next character, King James text, recurrent cell", "results/lm-kjv-recurrent", "bits")
BICYCLES = Task("bicycles hired in an hour, perceptron", f"{PACKED}-bikeshare", "RMSE")
ADDITION = Task("sum of two numbers modulo 97, perceptron", "results/addition-cosine", "steps")
ADDITION_SPARED = Task("sum modulo 97, phi without weight decay", "results/addition-cosine-phi-without-decay", "steps")
ADDITION_FIRST = Task("sum modulo 97, first setting: constant rate, weight decay 0.1", "results/addition", "steps")
"""The first setting, which is too hard for every unit: one seed, reported but not used for the verdict."""
CNN = Task("CIFAR-10, CNN, 12 epochs with a schedule", long.SCHEDULE, "accuracy")
RESNET = Task("CIFAR-10, ResNet of 20 layers, 15 epochs", "results/resnet-cifar10", "accuracy")
"""Its best fixed unit was planned to be that of lowest validation loss: the same as by accuracy."""
PARITY = Task("parity of 6 among 40 signs, perceptron", "results/parity", "steps")
NEW_TASKS = (
    TEXT,
    SECOND_TEXT,
    CELL,
    BICYCLES,
    Task("visits to a doctor, perceptron", f"{PACKED}-randhie", "RMSE"),
    Task("an affair, yes or no, perceptron", f"{PACKED}-fair", "accuracy"),
    PARITY,
    ADDITION,
    RESNET,
)
"""Tasks that are not the paper's."""
TASKS = (
    *NEW_TASKS,
    Task("MNIST, perceptron", MNIST, "accuracy"),
    Task("Fashion-MNIST, perceptron", FASHION, "accuracy"),
    CNN,
    Task("Fashion-MNIST, CNN, early training", f"{EARLY}/cnn-fashion", "accuracy", f"{EARLY}/cnn-fashion-glorot"),
    Task("the same, phi from random surfaces", f"{EARLY}/cnn-fashion", "accuracy"),
    Task("CIFAR-10, CNN, early training", f"{EARLY}/cnn-cifar10", "accuracy", f"{EARLY}/cnn-cifar10-glorot"),
    Task("the same, phi from random surfaces", f"{EARLY}/cnn-cifar10", "accuracy"),
)
TIMED = {
    TEXT: ("two-cores-plans.json", "lm-kjv"),
    SECOND_TEXT: ("two-cores-plans.json", "lm-kjv"),
    CELL: ("two-cores-plans.json", "lm-kjv-recurrent"),
    CNN: ("two-cores-plans.json", "cnn-cifar10"),
    RESNET: ("two-cores-plans.json", "resnet-cifar10"),
    **{task: ("one-core-plans.json", Path(task.folder).name) for task in NEW_TASKS if task.folder.startswith(PACKED)},
}
"""Tasks that were timed separately: the file and the plan in it. Both texts have the same Transformer."""
DIGITS = {"bits": 3, "RMSE": 4, "accuracy": 2, "steps": 0}
BETTER = {"bits": -1, "RMSE": -1, "accuracy": 1, "steps": -1}
SOLVED = 0.99


def steps(record):
    """Return the steps until nearly all validation samples are correct, or all steps if they never are."""
    samples = record.settings.get("epoch_samples") or record.splits["train"]
    epochs = record.epochs_to(SOLVED) or len(record.epochs)
    return epochs * -(-samples // record.settings["batch_size"])


def steps_with_solved_first(record):
    """Return the steps, with runs that never solved the task after all that did."""
    return steps(record) + (0 if record.epochs_to(SOLVED) else 1e9)


def lowest_loss(record):
    """Return the lowest validation loss, or infinity if a run diverged before it had one."""
    return min((loss for loss in record.curve("val_loss") if np.isfinite(loss)), default=np.inf)


FIGURES = {
    "bits": lambda r: r.bits,
    "RMSE": lambda r: r.rmse,
    "accuracy": lambda r: 100 * r.test_accuracy,
    "steps": steps,
}
VALIDATION = {
    "bits": lowest_loss,
    "RMSE": lowest_loss,
    "accuracy": lambda r: -max(r.curve("val_accuracy")),
    "steps": steps_with_solved_first,
}
"""The criterion for the best fixed unit; lower is better."""


def of(task, arm, measure):
    """Return a figure of an arm by seed."""
    folder = task.learned if task.learned and arm in ARMS else task.folder
    return {record.seed: measure(record) for record in runs(folder, arm)}


def mean(task, arm, measure):
    """Return the mean of a figure over an arm's seeds."""
    return float(np.mean(list(of(task, arm, measure).values())))


def minus(task, arm, other, unit=""):
    """Format how two arms differ, with a unit such as " bits".

    A run that never solves a task counts with all of its steps: a lower bound. In both arms it says nothing.
    """
    difference = against(*(of(task, one, FIGURES[task.figure]) for one in (arm, other)))
    numbers, solved = interval(difference, DIGITS[task.figure]), solving(task, arm, other)
    if not solved:
        return numbers + unit
    whole = all(of(task, other, lambda r: r.epochs_to(SOLVED)).values())
    return f"at least {difference.difference:+.0f}{unit}; {solved}" if whole else solved


def solving(task, arm, other):
    """Return how many seeds of two arms solved a task, or "" if all did or nothing is to be solved."""
    if task.figure != "steps":
        return ""
    first, second = (list(of(task, one, lambda r: r.epochs_to(SOLVED) is not None).values()) for one in (arm, other))
    return "" if all(first + second) else f"{sum(first)} of {len(first)} solve it, {other} {sum(second)}"


def seconds_of(task, arm):
    """Return the time of a step or an epoch, timed apart from the runs."""
    return timed(task)[arm]["median"]


def timed(task):
    """Return the separately measured times of a task's step or epoch, by arm."""
    file, plan = TIMED[task]
    return files.read_json(ROOT / "benchmarks" / file)[plan]["arms"]


def arms_of(task):
    """Return the arms that were run."""
    folders = {task.folder, task.learned or task.folder}
    return {run.record.arm for folder in folders for run in stored(folder)}


def best_fixed(task):
    """Return the fixed unit that is best in validation, among those with the most seeds."""
    seeds = {}
    for run in stored(task.folder):
        if run.record.arm not in ARMS:
            seeds.setdefault(run.record.arm, set()).add(run.record.seed)
    most = max(map(len, seeds.values()))
    whole = [arm for arm, own in seeds.items() if len(own) == most]
    return min(whole, key=lambda arm: mean(task, arm, VALIDATION[task.figure]))


def said(difference, figure):
    """Return whether a learned phi pays, by a difference's interval."""
    return {"holds": "pays", "does not hold": "does not pay"}.get(word := verdict(difference, BETTER[figure]), word)


@table("pays")
def pays():
    """Every task in one row."""
    rows = []
    for task in TASKS:
        figure, fixed = FIGURES[task.figure], best_fixed(task)
        two_arg, digits = of(task, "two_arg", figure), DIGITS[task.figure]
        difference = against(two_arg, of(task, fixed, figure))
        curve, from_curve = "not run", ""
        if "one_arg" in arms_of(task):
            curve, from_curve = f"{mean(task, 'one_arg', figure):,.{digits}f}", minus(task, "two_arg", "one_arg")
        rows.append((
            task.label, said(difference, task.figure), minus(task, "two_arg", fixed), from_curve, task.figure,
            f"{fixed} {mean(task, fixed, figure):,.{digits}f}", curve, f"{mean(task, 'two_arg', figure):,.{digits}f}",
            str(difference.number),
            f"{seconds_of(task, 'two_arg') / seconds_of(task, fixed):.1f}" if task in TIMED else "",
        ))  # fmt: skip
    columns = (
        "task", "verdict", "two_arg minus the best fixed unit", "two_arg minus one_arg", "measure", "best fixed unit",
        "one_arg", "two_arg", "seeds", "time of two_arg, × the best fixed unit's",
    )  # fmt: skip
    return markdown(columns, rows)


def at_equal_seconds(record, seconds):
    """Return the epochs that a run had completed, at least one, when the fastest arm ended, and their lowest val_loss.

    For a run that diverged, the share of epochs is computed from the planned ones.

    Args:
        record: The run.
        seconds: The time of a step or an epoch, by arm.
    """
    share = min(seconds.values()) / seconds[record.arm]
    reached = record.epochs[: max(1, int(share * record.settings["epochs"]))]
    return len(reached), min(epoch["val_loss"] for epoch in reached if epoch["val_loss"] is not None)


@table("pays-synthetic")
def pays_drawn():
    """Synthetic tasks: how many seeds solved them, and after how many steps."""
    rows = []
    for task in (PARITY, ADDITION, ADDITION_SPARED, ADDITION_FIRST):
        for arm in sorted({run.record.arm for run in stored(task.folder)}):
            records = runs(task.folder, arm)
            solved = [record for record in records if record.epochs_to(SOLVED)]
            best = 100 * np.mean([record.test_accuracy for record in records])
            at = ", ".join(f"{steps(record):,}" for record in solved)
            rows.append((task.label, arm, f"{len(solved)} of {len(records)}", at or "never", f"{best:.1f}"))
    return markdown(("task", "units", "seeds that solved it", "after steps", "test accuracy, mean"), rows)


def ends_and_seconds(task):
    """Return a row for each unit, from its tested runs: final figures, and those at equal seconds.

    A run that diverged was tested with the weights of its best epoch, unless it diverged in the first.
    """
    steps = timed(task)
    medians = {arm: times["median"] for arm, times in steps.items()}
    fastest, two_arg = min(medians.values()), of(task, "two_arg", FIGURES[task.figure])

    def in_time(arm):
        records = [record for record in runs(task.folder, arm) if record.bits is not None]
        return {record.seed: at_equal_seconds(record, medians)[1] / np.log(2) for record in records}

    rows = []
    for arm, times in steps.items():
        everyone = runs(task.folder, arm)
        records = [record for record in everyone if record.bits is not None]
        at_end, at_time = {record.seed: record.bits for record in records}, in_time(arm)
        ahead, sooner = (
            "" if arm == "two_arg" else interval(against(own, other), DIGITS[task.figure])
            for own, other in ((two_arg, at_end), (in_time("two_arg"), at_time))
        )
        sooner = sooner.strip("*")  # the schedules of slower units had not ended: no result
        rows.append((
            arm, f"{records[0].parameters:,}", f"{1e3 * times['median']:.0f} ± {1e3 * times['spread']:.0f}",
            f"{times['median'] / fastest:.2f}", spread(at_end, 3, ""), ahead, spread(at_time, 3, ""), sooner,
            tested(everyone),
        ))  # fmt: skip
    columns = (
        "units",
        "parameters",
        "step, ms",
        "× the fastest",
        "test, bits",
        "two_arg minus it",
        "at equal seconds, validation",
        "two_arg minus it",
        "seeds",
    )
    return markdown(columns, rows)


table("pays-seconds")(partial(ends_and_seconds, TEXT))
table("pays-cell")(partial(ends_and_seconds, CELL))


def tested(records):
    """Return how many runs were tested, and how many diverged, with or without a tested epoch."""
    there, diverged = (sum(r.bits is not None for r in records), sum(r.status == "diverged" for r in records))
    number = str(there) if there == len(records) else f"{there} of {len(records)}"
    return number + (f", {diverged} diverged" if diverged else "")


@table("pays-text-again")
def pays_text_again():
    """The first text, fresh seeds: final figures of each unit, and two_arg minus it."""
    rows, figure = [], FIGURES[TEXT_AGAIN.figure]
    two_arg = of(TEXT_AGAIN, "two_arg", figure)
    for arm in sorted({run.record.arm for run in stored(TEXT_AGAIN.folder)}, reverse=True):
        own = of(TEXT_AGAIN, arm, figure)
        ahead = "" if arm == "two_arg" else interval(against(two_arg, own), DIGITS[TEXT_AGAIN.figure])
        rows.append((arm, f"{spread(own, 3, '')} ({each(own, 3)})", ahead, str(len(own))))
    return markdown(("units", "test, bits", "two_arg minus it", "seeds"), rows)


@table("pays-second-text")
def pays_second_text():
    """The second text: final figures of each unit, and two_arg minus it."""
    rows, figure = [], FIGURES[SECOND_TEXT.figure]
    two_arg = of(SECOND_TEXT, "two_arg", figure)
    for arm in dict.fromkeys(("two_arg", *sorted(run.record.arm for run in stored(SECOND_TEXT.folder)))):
        own = of(SECOND_TEXT, arm, figure)
        ahead = "" if arm == "two_arg" else interval(against(two_arg, own), DIGITS[SECOND_TEXT.figure])
        parameters = f"{runs(SECOND_TEXT.folder, arm)[0].parameters:,}"
        rows.append((arm, parameters, f"{spread(own, 3, '')} ({each(own, 3)})", ahead))
    return markdown(("units", "parameters", "test, bits", "two_arg minus it"), rows)


@table("pays-tables")
def pays_tables():
    """Tables: final figures of every arm on each, and its parameters on the first."""
    tasks = [task for task in TASKS if task.folder.startswith(PACKED)]
    arms = dict.fromkeys(run.record.arm for run in stored(tasks[0].folder))
    rows = []
    for arm in arms:
        cells = [spread(of(task, arm, FIGURES[task.figure]), DIGITS[task.figure], "") for task in tasks]
        seconds = " / ".join(f"{1000 * seconds_of(task, arm):.0f}" for task in tasks)
        rows.append((arm, f"{runs(tasks[0].folder, arm)[0].parameters:,}", *cells, seconds))
    names = [f"{task.folder.removeprefix(PACKED)[1:]}, {task.figure}" for task in tasks]
    return markdown(("units", f"parameters, {names[0].split(',')[0]}", *names, "epoch, ms"), rows)


@table("pays-tables-seconds")
def pays_tables_seconds():
    """Tables: figures of each arm when the fastest one had ended."""
    tasks = [task for task in TASKS if task.folder.startswith(PACKED)]
    arms = list(dict.fromkeys(run.record.arm for run in stored(tasks[0].folder)))
    columns = []
    for task in tasks:
        seconds = {arm: seconds_of(task, arm) for arm in arms}
        reached = {arm: [at_equal_seconds(record, seconds) for record in runs(task.folder, arm)] for arm in arms}
        columns.append(
            [f"{spread(dict(enumerate(v for _, v in reached[arm])), 4, '')}, {reached[arm][0][0]}" for arm in arms]
        )
    names = [f"{task.folder.removeprefix(PACKED)[1:]}, epochs" for task in tasks]
    return markdown(("units", *names), list(zip(arms, *columns, strict=True)))


README_TASKS = (
    (TEXT, "Transformer, text: bits", ("",)),
    (CELL, "RNN, text: bits", ("", "one_arg")),
    (RESNET, "ResNet, CIFAR-10: points", ("",)),
    (BICYCLES, "MLP, bicycles: RMSE", ("",)),
    (PARITY, "MLP, parity: steps", ("",)),
    (ADDITION, "MLP, addition: steps", ("",)),
)
"""The README's rows: task, short label, and the arms to compare with; "" for the best fixed unit."""


def readme_rows():
    """Return the README's rows beyond the paper."""
    rows = []
    for task, label, arms in README_TASKS:
        figure = FIGURES[task.figure]
        for arm in (arm or best_fixed(task) for arm in arms):
            difference = against(of(task, "two_arg", figure), of(task, arm, figure))
            numbers = solving(task, "two_arg", arm) or interval(difference, DIGITS[task.figure])
            rows.append(("new", f"{arm}, {label}", str(difference.number), numbers, said(difference, task.figure)))
    return rows
