"""What all tables share: the records of each comparison, what tables call its networks, and how numbers are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from keras_twoarg.analysis import Paired, mean_interval, paired
from keras_twoarg.experiments.reports.stored_runs import StoredRun, stored_runs
from keras_twoarg.experiments.robustness.attacks import AUTOATTACK
from keras_twoarg.experiments.robustness.corruptions import NAMES
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training.run_record import Record

ROOT = Path(__file__).parents[2]
BySeed = Mapping[int, float]

MNIST, FASHION = "results/mlp-mnist", "results/mlp-fashion"
EARLY = "results/early-training"

PERCEPTRONS = [
    ("**two_arg**", "two_arg", "joint"),
    ("two_arg, phi frozen", "two_arg", "frozen"),
    ("one_arg: a learned curve", "one_arg", "joint"),
    ("one_arg, frozen", "one_arg", "frozen"),
    ("quadratic: six coefficients", "quadratic", "joint"),
    ("quadratic, frozen", "quadratic", "frozen"),
    ("swiglu", "swiglu", "joint"),
    ("maxout", "maxout", "joint"),
    ("gelu", "gelu", "joint"),
    ("relu", "relu", "joint"),
    ("prelu", "prelu", "joint"),
    ("xnor", "xnor", "joint"),
]
"""Label, arm and stage."""

CNNS = [
    ("**two_arg**, phi from Glorot's weights", "two_arg", "-glorot"),
    ("one_arg, from Glorot's weights", "one_arg", "-glorot"),
    ("two_arg, from a random surface, scaled to 0.01", "two_arg", ""),
    ("one_arg, from a random curve", "one_arg", ""),
    ("relu", "relu", ""),
    ("maxout", "maxout", ""),
    ("swiglu", "swiglu", ""),
]
"""Label, arm and suffix of the comparison's name."""


@cache
def stored(folder: str) -> tuple[StoredRun, ...]:
    """Return all runs of a comparison, such as "results/mlp-mnist"."""
    return tuple(stored_runs([ROOT / folder]))


def runs(folder: str, arm: str, stage: str = "joint", **settings: Any) -> list[Record]:
    """Return the records of one arm and stage, by seed; `hidden` chooses the number of hidden layers."""
    hidden = settings.pop("hidden", None)
    records = [
        run.record
        for run in stored(folder)
        if (run.record.arm, run.record.stage) == (arm, stage)
        and all(run.record.settings.get(key) == value for key, value in settings.items())
        and hidden in (None, len(run.record.widths))
    ]
    if not records:
        raise ValueError(f"{folder} has no records of {arm}, {stage}, {settings}")
    return sorted(records, key=lambda record: record.seed)


def cnn(data, arm, ending=""):
    """Return the records of a CNN's arm on fashion or cifar10, half width, 8 epochs."""
    return runs(f"{EARLY}/cnn-{data}{ending}", arm)


def accuracy(records: Iterable[Record]) -> BySeed:
    """Return test accuracies in percent; raise if a run was not tested or a seed is there twice."""
    records = list(records)
    accuracies = {r.seed: 100 * r.test_accuracy for r in records if r.test_accuracy is not None}
    if len(accuracies) < len(records):
        raise ValueError(f"Expected one tested run for each seed. Received: {[(r.seed, r.status) for r in records]}")
    return accuracies


def curve(records: Iterable[Record]) -> BySeed:
    """Return mean validation accuracies over the epochs, in percent."""
    return {r.seed: 100 * float(np.mean(r.curve("val_accuracy"))) for r in records}


def epochs_to(records: Iterable[Record], threshold: float) -> BySeed:
    """Return the epochs until a validation accuracy; raise if a run never reached it."""
    reached = {r.seed: r.epochs_to(threshold) for r in records}
    if missing := [seed for seed, epoch in reached.items() if epoch is None]:
        raise ValueError(f"Seeds {missing} never reached {threshold}")
    return {seed: float(epoch or 0) for seed, epoch in reached.items()}


def robustness(folder: str, arm: str, p_norm: str = "Linf") -> dict[int, Robustness]:
    """Return the robustness of an arm's networks, by seed, as measured with this norm of the attacks."""
    return {
        run.record.seed: measured
        for run in stored(folder)
        for measured in run.robustness
        if run.record.arm == arm and run.record.stage == "joint" and measured.settings["p_norm"] == p_norm
    }


def after_attack(measured: Mapping[int, Robustness]) -> BySeed:
    """Return the accuracies after the whole AutoAttack, in percent."""
    return {s: 100 * min(r.attacked[name] for name in AUTOATTACK) for s, r in measured.items()}


def uncorrupted(measured: Mapping[int, Robustness]) -> BySeed:
    """Return the accuracies on the same images without corruption, in percent."""
    if missing := [seed for seed, one in measured.items() if one.clean is None]:
        raise ValueError(f"The accuracy without corruption was not measured for seeds {missing}")
    return {seed: 100 * one.clean for seed, one in measured.items() if one.clean is not None}


def under_corruption(measured: Mapping[int, Robustness]) -> BySeed:
    """Return the mean accuracies over all corruptions and severities, in percent."""
    return {s: 100 * float(np.mean([r.corrupted[n] for n in NAMES])) for s, r in measured.items()}


def attacked(folder: str, arm: str, p_norm: str = "Linf") -> BySeed:
    """Return an arm's accuracies after the whole AutoAttack, in percent."""
    return after_attack(robustness(folder, arm, p_norm))


def clean(folder: str, arm: str) -> BySeed:
    """Return an arm's accuracies on the same images without corruption, in percent."""
    return uncorrupted(robustness(folder, arm))


def corrupted(folder: str, arm: str) -> BySeed:
    """Return an arm's mean accuracies over all corruptions and severities, in percent."""
    return under_corruption(robustness(folder, arm))


def against(first: BySeed, second: BySeed) -> Paired:
    """Return how two arms differ over the seeds that both have."""
    seeds = sorted(set(first) & set(second))
    return paired([first[seed] for seed in seeds], [second[seed] for seed in seeds])


# Formats of numbers


def spread(values: BySeed, digits: int = 2, unit: str = " %") -> str:
    """Format a mean and standard deviation over seeds."""
    numbers = list(values.values())
    deviation = f" ± {np.std(numbers, ddof=1):.{digits}f}" if len(numbers) > 1 else ""
    return f"{np.mean(numbers):.{digits}f}{unit}{deviation}"


def each(values: BySeed, digits: int = 2) -> str:
    """Format the number of each seed."""
    return ", ".join(f"{values[seed]:.{digits}f}" for seed in sorted(values))


def median(values: BySeed) -> str:
    """Format the median over seeds."""
    return f"{np.median(list(values.values())):.0f}"


def _has_interval(comparison: Paired) -> bool:
    """Two seeds may agree by chance, and seeds that all differ by the same say nothing of how differences vary."""
    return comparison.number > 2 and comparison.has_interval


def interval(comparison: Paired, digits: int = 2) -> str:
    """Format a difference with its 95 % interval, in bold if that excludes zero."""
    if not _has_interval(comparison):
        return f"{comparison.difference:+.{digits}f}"
    text = f"{comparison.difference:+.{digits}f} ({comparison.low:+.{digits}f} to {comparison.high:+.{digits}f})"
    return f"**{text}**" if comparison.low > 0 or comparison.high < 0 else text


def times(comparison: Paired) -> str:
    """Format a difference of logarithms as a ratio, in bold if its 95 % interval excludes one."""
    if not _has_interval(comparison):
        return f"{np.exp(comparison.difference):.2f} times"
    ratio, low, high = np.exp([comparison.difference, comparison.low, comparison.high])
    text = f"{ratio:.2f} times ({low:.2f} to {high:.2f})"
    return f"**{text}**" if low > 1 or high < 1 else text


def difference(first: BySeed, second: BySeed, digits: int = 2) -> str:
    """Format the difference of two arms over seeds."""
    return interval(against(first, second), digits)


def mean_of(values: Sequence[float], digits: int = 2) -> str:
    """Format a mean with its 95 % interval."""
    mean, low, high = mean_interval(values)
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def shortened(commit: str | None) -> str:
    """Shorten a commit, and keep the mark of uncommitted changes."""
    if not commit:
        return "unknown"
    return commit[:7] + ("-dirty" if commit.endswith("-dirty") else "")


def verdict(comparison: Paired, better: int = 1) -> str:
    """Return the verdict of an interval on a claim that higher, or with `better=-1` lower, values are better."""
    if not _has_interval(comparison):
        return "not shown"
    low, high = sorted((better * comparison.low, better * comparison.high))
    return "holds" if low > 0 else "does not hold" if high < 0 else "not shown"


Table = Callable[[], str]
TABLES: dict[str, Table] = {}
"""Every table by the name of its block."""


def table(name: str) -> Callable[[Table], Table]:
    """Register a function as a table."""

    def enter(function: Table) -> Table:
        TABLES[name] = function
        return function

    return enter
