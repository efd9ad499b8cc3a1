"""The tables that compare arms: what each costs, how fast each learns, where each ends, and how sure that is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_twoarg.analysis.statistics import paired
from keras_twoarg.experiments.reports.run_groups import Group, Task, common_threshold, failures, group_runs
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.models.blocks import arity_of
from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.utils.table import Table
from keras_twoarg.utils.types import JsonObject

PAIRED_CAPTION = (
    "Paired over seeds; accuracies in points, bits a character as they are. Interval: Student's t. p: Wilcoxon's "
    "signed-rank test; five seeds give 0.0625 at best. d: mean difference over the differences' standard deviation. "
    "Curve: mean validation accuracy over the epochs."
)


def fairness_table(records: Sequence[Record]) -> Table | None:
    """Return what each arm costs, with all that differs by more than 0.5 % from the first arm's in red."""
    whole = [r for r in records if r.parameters]
    if not whole:
        return None
    groups = group_runs(whole)
    columns = ("arm", "parameters", "units", "normalization", "epochs", "multiply-adds", "seconds")
    rows, flagged = [], set()
    for i, group in enumerate(groups):
        costs, base = _costs(group), _costs(next(g for g in groups if g.task == group.task))
        rows.append((group.name, *(_cost_cell(name, costs[name], base[name]) for name in columns[1:])))
        flagged |= {(i, j) for j, name in enumerate(columns) if j and name != "units" and _differs(name, costs, base)}
    caption = (
        "For one sample and one run; × relative to the first arm of the same task. In red: more than 0.5 % (seconds: "
        "10 %) from that, or another normalization. Arms differ in units because parameters are what is matched. "
        "Multiply-adds "
        "count phi once for each unit; evaluated by a table it takes less. Seconds: mean of a stage, on a "
        "machine that may have been busy."
    )
    if any(group.equal_width for group in groups):
        caption += " Equal width: as many units as two_arg, and so fewer parameters."
    return Table("What each arm costs", columns, tuple(rows), caption, ("normalization",), frozenset(flagged))


def _costs(group: Group) -> JsonObject:
    first = group.records[0]
    return {
        "parameters": first.parameters,
        "units": first.settings.get("pre_activations", 0) // arity_of(group.arm),
        "normalization": " / ".join(dict.fromkeys(r.normalization for r in group.records)),
        "epochs": max(len(r.epochs) for r in group.records),
        "multiply-adds": first.settings.get("multiply_adds", 0),
        "seconds": float(np.mean([r.seconds for r in group.records])),
    }


def _cost_cell(name: str, value: Any, base: Any) -> str:
    if name in ("normalization", "epochs"):
        return str(value)
    if name == "parameters":
        return f"{value:,} ({value / base - 1:+.2%})" if value != base else f"{value:,}"
    if name == "units":
        return f"{value:,}"
    return f"{value:,.0f} (×{value / base:.2f})" if value != base and base else f"{value:,.0f}"


def _differs(name: str, costs: JsonObject, base: JsonObject) -> bool:
    if name in ("normalization", "epochs"):
        return bool(costs[name] != base[name])
    return abs(costs[name] - base[name]) > (0.1 if name == "seconds" else TOLERANCE) * base[name]


def runs_table(records: Sequence[Record], title: str | None = None) -> Table:
    """Return speed of learning and end of each arm."""
    threshold = common_threshold(records)
    caption = (
        "joint: phi and the outer network trained together; frozen: phi frozen, a new outer network. "
        f"to {threshold:.0%}: epochs until that validation accuracy, median over seeds. curve: mean validation "
        "accuracy over the epochs. test accuracy: at the best epoch by validation loss, mean ± standard deviation over "
        "seeds; the test samples were used once."
    )
    if failed := failures(records):
        caption += f" {failed}"
    data = ", ".join(dict.fromkeys(Path(r.dataset).stem for r in records))
    bits = any(r.bits is not None for r in records)
    if bits:
        caption += " bits: bits a character on the test text, mean ± standard deviation; lower is better."
    columns = ("arm", f"to {threshold:.0%}", "curve", "test accuracy", *["bits"] * bits, "seeds")
    rows = tuple(_row(group, threshold, bits) for group in group_runs(records))
    return Table(title or data, columns, rows, caption)


def _row(group: Group, threshold: float, bits: bool) -> tuple[str, ...]:
    runs = group.records
    finished = [r for r in runs if r.status == "finished"]
    accuracies = [100 * r.test_accuracy for r in finished if r.test_accuracy is not None]
    reached = [r.epochs_to(threshold) for r in runs]
    epochs = f"{np.median([e for e in reached if e]):.0f}" if all(reached) else f"{reached.count(None)} never"
    areas = [_area(r) for r in finished]
    area = f"{np.mean(areas):.2%}" if areas else "-"
    cells = [_mean(accuracies, "%", 2)]
    if bits:
        cells.append(_mean([r.bits for r in finished if r.bits is not None], "", 3))
    return group.name, epochs, area, *cells, f"{len({r.seed for r in runs})}"


def _mean(values: Sequence[float], unit: str, digits: int) -> str:
    """Return the mean of some values, and their standard deviation if there are several."""
    if not values:
        return "-"
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{unit}{spread}"


def paired_table(records: Sequence[Record]) -> Table | None:
    """Return how two_arg differs from each other arm over the seeds that both ran, or None if there is nothing."""
    threshold = common_threshold(records)
    rows = [
        row
        for base, others in _comparisons(group_runs(records))
        for other in others
        for row in _paired_rows(base, other, threshold)
    ]
    columns = ("arm", "what", "difference", "95 % interval", "p", "d", "seeds")
    return (
        Table("two_arg joint minus each other arm", columns, tuple(rows), PAIRED_CAPTION, ("what",)) if rows else None
    )


def _comparisons(groups: Sequence[Group]) -> list[tuple[Group, list[Group]]]:
    """Return the first two_arg joint of each task, and what is compared with it."""
    bases: dict[Task, Group] = {}
    for group in groups:
        if (group.arm, group.stage) == ("two_arg", "joint"):
            bases.setdefault(group.task, group)
    return [(base, [g for g in groups if g.task == task and g is not base]) for task, base in bases.items()]


def _paired_rows(base: Group, other: Group, threshold: float) -> list[tuple[str, ...]]:
    measures: dict[str, tuple[Callable[[Record], float | None], Callable[[float], str]]] = {
        "bits": (lambda r: r.bits, lambda value: f"{value:+.3f}"),
        "test accuracy": (lambda r: r.test_accuracy, lambda value: f"{100 * value:+.2f}"),
        f"epochs to {threshold:.0%}": (lambda r: r.epochs_to(threshold), lambda value: f"{value:+.1f}"),
        "curve": (_area, lambda value: f"{100 * value:+.2f}"),
    }
    rows: list[tuple[str, ...]] = []
    for what, (measure, show) in measures.items():
        first, second = ({r.seed: measure(r) for r in g.records if r.status == "finished"} for g in (base, other))
        pairs = [(a, b) for seed, a in first.items() if a is not None and (b := second.get(seed)) is not None]
        if len(pairs) > 1:
            comparison = paired([a for a, _ in pairs], [b for _, b in pairs])
            interval = f"{show(comparison.low)} to {show(comparison.high)}"
            p, effect = f"{comparison.p:.3f}", f"{comparison.effect:+.1f}"
            numbers = (show(comparison.difference), interval, p, effect, str(comparison.number))
            rows.append((other.name, what, *numbers))
    return rows


def _area(record: Record) -> float:
    return float(np.mean(record.curve("val_accuracy")))
