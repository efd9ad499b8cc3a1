"""Runs found in folders, and the table that compares arms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from keras_twoarg.analysis.statistics import paired
from keras_twoarg.outer import ARMS
from keras_twoarg.training.records import Record

THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True)
class Group:
    """Records of one arm and session, over seeds.

    Attributes:
        arm: The arm.
        session: `"II"` or `"III"`.
        records: One record for each seed.
    """

    arm: str
    session: str
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """Name in tables and legends."""
        return f"{self.arm} {self.session}" if self.arm in ARMS else self.arm


def read_runs(folders: Sequence[Path], seed: int | None = None) -> list[Record]:
    """Read all records below folders, those of one seed if it is given."""
    files = sorted(file for folder in folders for file in Path(folder).rglob("session[0-9]*.json"))
    found = [record for record in map(Record.read, files) if seed is None or record.seed == seed]
    if not found:
        wanted = "" if seed is None else f" of seed {seed}"
        raise ValueError(f"There are no records of finished runs{wanted} in {', '.join(map(str, folders))}")
    return found


def group_runs(records: Sequence[Record]) -> list[Group]:
    """Group records by arm and session; arms with phi first."""
    keys = dict.fromkeys((r.arm, r.session) for r in records)
    ordered = sorted(keys, key=lambda key: (key[0] not in ARMS, key[0] != "two_arg", key))
    return [Group(arm, s, tuple(r for r in records if (r.arm, r.session) == (arm, s))) for arm, s in ordered]


def common_threshold(records: Sequence[Record]) -> float:
    """Return the highest round accuracy that every run reached in validation, or the lowest of the round ones."""
    reached = [t for t in THRESHOLDS if all(r.epochs_to(t) for r in records if r.epochs)]
    return reached[-1] if reached else THRESHOLDS[0]


def runs_table(records: Sequence[Record], title: str | None = None) -> Table:
    """Return the comparison of arms as a table for the terminal."""
    threshold = common_threshold(records)
    data = ", ".join(dict.fromkeys(r.dataset for r in records))
    caption = (
        f"II: joint training, III: phi frozen. to {threshold:.0%}: epochs until that validation accuracy.\n"
        "test accuracy: at the best epoch by validation loss, mean ± standard deviation."
    )
    if failed := failures(records):
        caption += f"\n{failed}"
    table = Table(title=title or data, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns(threshold):
        table.add_column(column, justify="left" if column in ("arm", "norm") else "right", no_wrap=True)
    for cells in table_rows(records, threshold):
        table.add_row(*cells)
    return table


def paired_table(records: Sequence[Record]) -> Table | None:
    """Return how two_arg differs from each other arm over the seeds that both ran, or None if there is nothing."""
    rows = paired_rows(records)
    if not rows:
        return None
    table = Table(title="two_arg II minus ...", caption=PAIRED_CAPTION, box=box.SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for column in PAIRED_COLUMNS:
        table.add_column(column, justify="left" if column in PAIRED_COLUMNS[:2] else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    return table


PAIRED_COLUMNS = ("arm", "what", "difference", "95 % interval", "p", "d", "seeds")
PAIRED_CAPTION = (
    "Paired over seeds. Interval: bootstrap. p: Wilcoxon's signed-rank test; five seeds give 0.0625 at best. "
    "d: mean difference over the differences' standard deviation. Curve: mean validation accuracy over the epochs."
)


def paired_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Return the cells of `paired_table`: test accuracy, epochs to the common accuracy, and the whole curve."""
    groups = {group.name: group for group in group_runs(records)}
    threshold = common_threshold(records)
    measures: dict[str, tuple[Callable[[Record], float | None], Callable[[float], str]]] = {
        "test accuracy": (lambda r: r.test_accuracy, lambda value: f"{100 * value:+.2f}"),
        f"epochs to {threshold:.0%}": (lambda r: r.epochs_to(threshold), lambda value: f"{value:+.1f}"),
        "curve": (lambda r: float(np.mean(r.curve("val_accuracy"))), lambda value: f"{100 * value:+.2f}"),
    }
    rows: list[tuple[str, ...]] = []
    for name, group in groups.items():
        if name == "two_arg II" or "two_arg II" not in groups:
            continue
        for what, (measure, show) in measures.items():
            first, second = (
                {r.seed: measure(r) for r in g.records if r.status == "finished"} for g in (groups["two_arg II"], group)
            )
            seeds = [s for s in first if first[s] is not None and second.get(s) is not None]
            if len(seeds) > 1:
                found = paired([first[s] for s in seeds], [second[s] for s in seeds])  # type: ignore[misc]
                interval = f"{show(found.low)} to {show(found.high)}"
                rows.append(
                    (
                        name,
                        what,
                        show(found.difference),
                        interval,
                        f"{found.p:.3f}",
                        f"{found.effect:+.1f}",
                        f"{found.number}",
                    )
                )
    return rows


def failures(records: Sequence[Record]) -> str:
    """Return a sentence that names the runs that did not finish, or nothing."""
    bad = [r for r in records if r.status != "finished"]
    named = ", ".join(f"{r.arm} {r.session} seed {r.seed} ({r.settings.get('failure', r.status)})" for r in bad)
    return f"Counted in seeds but in no accuracy: {named}." if bad else ""


def columns(threshold: float) -> tuple[str, ...]:
    """Return the table's headings; the accuracy for the third is one that every run reached, where there is one."""
    return ("arm", "parameters", "norm", f"to {threshold:.0%}", "test accuracy", "seeds", "time")


def table_rows(records: Sequence[Record], threshold: float) -> list[tuple[str, ...]]:
    """Return the table's cells, one row for each arm and session."""
    return [_row(group, threshold) for group in group_runs(records)]


def _row(group: Group, threshold: float) -> tuple[str, ...]:
    runs = group.records
    tested = [r.test_accuracy for r in runs if r.test_accuracy is not None and r.status == "finished"]
    reached = [r.epochs_to(threshold) for r in runs]
    epochs = f"{np.median([e for e in reached if e]):.0f}" if all(reached) else f"{reached.count(None)} never"
    accuracy = f"{np.mean(tested):.2%}" if tested else "-"
    if len(tested) > 1:
        accuracy += f" ± {100 * np.std(tested, ddof=1):.2f}"
    return (
        group.name,
        " / ".join(dict.fromkeys(f"{r.parameters:,}" for r in runs if r.parameters)),
        " / ".join(dict.fromkeys(r.norm for r in runs if r.norm)),
        epochs,
        accuracy,
        f"{len(runs)}",
        f"{np.mean([r.seconds for r in runs]):.0f} s",
    )
