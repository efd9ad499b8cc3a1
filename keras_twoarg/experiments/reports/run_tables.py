"""The tables that compare arms: cost, speed of learning, final accuracy, and paired differences."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from keras_twoarg.analysis.statistics import in_both, paired
from keras_twoarg.experiments.reports.run_figures import FIGURES, Figure, figures_in, has_accuracy
from keras_twoarg.experiments.reports.run_groups import Group, Task, common_threshold, failures, group_runs, repetitions
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.models.blocks import arity_of
from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.utils.table import Table, p_value
from keras_twoarg.utils.types import JsonObject

PAIRED_CAPTION = (
    "Paired over seeds; accuracies in points. Interval: Student's t; none if all seeds differ by the same. p: "
    "Wilcoxon's signed-rank test; the lowest possible with five seeds is 0.0625. Neither is corrected for the number "
    "of rows. d: mean difference over the standard deviation of the differences. curve: mean validation accuracy over "
    "the epochs."
)


def fairness_table(records: Sequence[Record]) -> Table | None:
    """Return the cost of each arm; what differs by more than 0.5 % from the first arm is flagged, in red and with !."""
    whole = [r for r in records if r.parameters]
    if not whole:
        return None
    groups = group_runs(whole)
    columns = ("arm", "parameters", "units", "normalization", "epochs", "multiply-adds, M", "seconds")
    rows, flagged = [], set()
    for i, group in enumerate(groups):
        costs, base = _costs(group), _costs(next(g for g in groups if g.task == group.task))
        rows.append((group.name, *(_cost_cell(name, costs, base) for name in columns[1:])))
        flagged |= {(i, j) for j, name in enumerate(columns) if j and name != "units" and _differs(name, costs, base)}
    caption = (
        "×: relative to the first arm of the same task. Red, with !: more than 0.5 % (seconds: 10 %) from that, or "
        "another normalization. The arms are matched in parameters, so they differ in units. Multiply-adds: for one "
        "sample, in millions, with phi counted once for each unit; a table takes fewer. Seconds: mean of the finished "
        "stages, on a machine that may have been busy."
    )
    if any(group.equal_width for group in groups):
        caption += " Equal width: as many units as two_arg, so fewer parameters."
    return Table("What each arm costs", columns, tuple(rows), caption, ("normalization",), frozenset(flagged))


def _costs(group: Group) -> JsonObject:
    first = group.records[0]
    return {
        "parameters": first.parameters,
        "units": first.settings.get("pre_activations", 0) // arity_of(group.arm),
        "normalization": " / ".join(dict.fromkeys(r.normalization for r in group.records)),
        "epochs": max(len(r.epochs) for r in group.records),
        "multiply-adds, M": first.settings.get("multiply_adds", 0) / 1e6,
        "seconds": float(np.mean([r.seconds for r in group.finished])) if group.finished else None,
    }


def _cost_cell(name: str, costs: JsonObject, base_costs: JsonObject) -> str:
    value, base = costs[name], base_costs[name]
    if name in ("normalization", "epochs"):
        return str(value)
    if name == "parameters":
        return f"{value:,} ({value / base - 1:+.2%})" if value != base else f"{value:,}"
    if name == "units":
        return f"{value:,}"
    if value is None:
        return "-"
    shown = f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    return f"{shown} (×{value / base:.2f})" if value != base and base else shown


def _differs(name: str, costs: JsonObject, base: JsonObject) -> bool:
    if name in ("normalization", "epochs"):
        return bool(costs[name] != base[name])
    if costs[name] is None or base[name] is None:
        return False
    return abs(costs[name] - base[name]) > (0.1 if name == "seconds" else TOLERANCE) * base[name]


def runs_table(records: Sequence[Record], title: str | None = None) -> Table:
    """Return the speed of learning and the final figures of each arm."""
    threshold = common_threshold(records)
    figures, speed = figures_in(records), has_accuracy(records)
    caption = "joint: phi and the outer network are trained together; frozen: phi is frozen, the outer network is new."
    if speed:
        caption += (
            f" to {threshold:.0%}: epochs until that validation accuracy, median over seeds. curve: mean validation "
            "accuracy over the epochs."
        )
    caption = " ".join([caption, *(figure.note for figure in figures), failures(records), repetitions(records)]).strip()
    data = ", ".join(dict.fromkeys(r.dataset for r in records))
    names = [*([f"to {threshold:.0%}", "curve"] if speed else []), *(figure.name for figure in figures)]
    rows = []
    for group in group_runs(records):
        cells = [*(_speed(group, threshold) if speed else ()), *(_mean(group, figure) for figure in figures)]
        rows.append((group.name, *cells, f"{len({r.seed for r in group.records})}"))
    return Table(title or data, ("arm", *names, "seeds"), tuple(rows), caption)


def _speed(group: Group, threshold: float) -> tuple[str, str]:
    """Return the epochs until a validation accuracy, and the mean accuracy over the epochs."""
    if not group.tested or not has_accuracy(group.tested):
        return "-", "-"
    reached = [r.epochs_to(threshold) for r in group.tested]
    epochs = f"{np.median([e for e in reached if e]):.0f}" if all(reached) else f"{reached.count(None)} never"
    areas = [area for r in group.tested if (area := _area(r)) is not None]
    return epochs, f"{np.mean(areas):.2%}" if areas else "-"


def _mean(group: Group, figure: Figure) -> str:
    """Return the mean of a figure over the tested runs, and its standard deviation if there are several."""
    values = [value for r in group.tested if (value := figure.of(r)) is not None]
    if not values:
        return "-"
    spread = f" ± {figure.written(float(np.std(values, ddof=1)))}" if len(values) > 1 else ""
    return f"{figure.written(float(np.mean(values)))}{figure.unit}{spread}"


def paired_table(records: Sequence[Record]) -> Table | None:
    """Return two_arg's difference from each other arm over the seeds that both ran, or None if there are none."""
    threshold, comparisons = common_threshold(records), _comparisons(group_runs(records))
    rows = [row for base, others in comparisons for other in others for row in _paired_rows(base, other, threshold)]
    if not rows:
        return None
    columns = ("arm", "what", "difference", "95 % interval", "p", "d", "seeds")
    several = [
        base.name
        for base, others in comparisons
        if any(other.arm == "two_arg" for other in others if other.stage == "joint")
    ]
    caption = f"{PAIRED_CAPTION} Compared with each arm: {'; '.join(several)}." if several else PAIRED_CAPTION
    return Table("two_arg joint minus each other arm", columns, tuple(rows), caption, ("what",))


def _comparisons(groups: Sequence[Group]) -> list[tuple[Group, list[Group]]]:
    """Return the first two_arg joint group of each task, and the groups compared with it."""
    bases: dict[Task, Group] = {}
    for group in groups:
        if (group.arm, group.stage) == ("two_arg", "joint"):
            bases.setdefault(group.task, group)
    return [(base, [g for g in groups if g.task == task and g is not base]) for task, base in bases.items()]


def _paired_rows(base: Group, other: Group, threshold: float) -> list[tuple[str, ...]]:
    speed = f"epochs to {threshold:.0%}"
    measures: dict[str, tuple[Callable[[Record], float | None], Callable[[float], str]]] = {
        **{figure.name: (figure.of, partial(figure.written, sign="+")) for figure in FIGURES},
        speed: (lambda r: r.epochs_to(threshold), lambda value: f"{value:+.1f}"),
        "curve": (_area, lambda value: f"{100 * value:+.2f}"),
    }
    rows: list[tuple[str, ...]] = []
    for what, (measure, show) in measures.items():
        first, second = ({r.seed: measure(r) for r in g.tested} for g in (base, other))
        if what == speed and None in {*first.values(), *second.values()}:
            continue  # leaving out the runs that never got there would favour their arm
        both = in_both(first, second)
        if len(both[0]) > 1:
            comparison = paired(*both)
            interval, effect = "-", "-"
            if comparison.has_interval:
                interval = f"{show(comparison.low)} to {show(comparison.high)}"
                effect = f"{comparison.effect:+.1f}"
            numbers = (show(comparison.difference), interval, p_value(comparison.p), effect, str(comparison.number))
            rows.append((other.name, what, *numbers))
    return rows


def _area(record: Record) -> float | None:
    """Return the mean accuracy over the epochs; None where there is none, or where a run diverged before the last."""
    whole = record.status == "finished" and record.task != "regression"
    return float(np.mean(record.curve("val_accuracy"))) if whole else None
