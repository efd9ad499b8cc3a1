"""Records of runs, grouped by arm, stage and settings."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias, TypeVar

from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage
from keras_twoarg.models import ARMS
from keras_twoarg.models.blocks import arity_of

T = TypeVar("T")

Task: TypeAlias = tuple[str, str, int | None]
"""Data, kind of network, and the number of its layers or None."""

_Key: TypeAlias = tuple[bool, bool, str, int, str]

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)

EQUAL_WIDTH = "equal_width"
_OF_PHI = (
    "inner_units", "inner_activation", "evaluation", "table_resolution", "phi_init", "pretraining_epochs",
    "phi_init_std", "phi_learning_rate", "phi_without_decay",
)  # fmt: skip
_OF_PAIRS = ("pairing", "arguments")
_DEFAULTS = {f.name: f.default for f in fields(Configuration)}


@dataclass(frozen=True)
class Group:
    """Records of one arm and stage over seeds, with the same settings.

    Attributes:
        arm: The arm.
        stage: `"joint"` or `"frozen"`.
        differences: The settings in which runs of this arm differ, and their values here.
        records: One record for each seed.
        task: What must be the same to compare arms: data, kind of network and, if an arm has several depths, the
            depth.
    """

    arm: str
    stage: str
    differences: Mapping[str, object]
    records: tuple[Record, ...]
    task: Task

    @property
    def tested(self) -> list[Record]:
        """The records of runs that were tested, from which figures are computed."""
        return [record for record in self.records if record.tested]

    @property
    def finished(self) -> list[Record]:
        """The records of runs that were trained to the end, from which costs are computed."""
        return finished(self.records)

    @property
    def name(self) -> str:
        """Name in tables and legends."""
        name = f"{self.arm} {self.stage}" if self.arm in ARMS else self.arm
        shown_elsewhere = {EQUAL_WIDTH, *(["hidden layers"] if "widths" in self.differences else [])}
        differences = [_words(key, value) for key, value in self.differences.items() if key not in shown_elsewhere]
        return ", ".join([name, *(["equal width"] if self.equal_width else []), *differences])

    @property
    def equal_width(self) -> bool:
        """Whether the arm has as many units as two_arg, instead of as many parameters; names always say so."""
        return bool(self.records and self.records[0].settings.get(EQUAL_WIDTH))


def finished(records: Sequence[Record]) -> list[Record]:
    """Return the records of runs that were trained to the end, without diverged and failed ones."""
    return [record for record in records if record.status == "finished"]


def group_runs(records: Sequence[Record]) -> list[Group]:
    """Group records by arm, stage, and the settings in which they differ; arms with phi first."""
    return [group for group, _ in group_items(records, lambda record: record)]


def group_items(items: Sequence[T], record_of: Callable[[T], Record]) -> list[tuple[Group, list[T]]]:
    """Group items as `group_runs` groups their records, and return each group with its items."""
    described = [(item, record_of(item), _settings(record_of(item))) for item in items]
    values: dict[tuple[str, str], set[str]] = {}
    for _, record, settings in described:
        for name, value in settings.items():
            values.setdefault(_of(record, name), set()).add(repr(value))
    several_depths = any(len(seen) > 1 for (_, name), seen in values.items() if name == "hidden layers")
    members: dict[_Key, list[tuple[T, Record]]] = {}
    differing: dict[_Key, dict[str, object]] = {}
    for item, record, settings in described:
        differences = {name: value for name, value in settings.items() if len(values[_of(record, name)]) > 1}
        key = (record.arm not in ARMS, record.arm != "two_arg", record.arm, _order(record.stage), repr(differences))
        members.setdefault(key, []).append((item, record))
        differing[key] = differences
    groups = []
    for key in sorted(members):
        records = tuple(record for _, record in members[key])
        group = Group(key[2], records[0].stage, differing[key], records, _task(records[0], several_depths))
        groups.append((group, [item for item, _ in members[key]]))
    return groups


def _order(stage: str) -> int:
    return list(Stage).index(Stage(stage))


def _of(record: Record, name: str) -> tuple[str, str]:
    """Return the scope in which a setting is compared: all runs for data and network, else those of the arm."""
    return "" if name in ("data", "network") else record.arm, name


def _task(record: Record, with_depth: bool) -> Task:
    return record.dataset, record.architecture, len(record.widths) if with_depth else None


def common_threshold(records: Sequence[Record]) -> float:
    """Return the highest threshold that every finished classifier reached in validation, or else the lowest one."""
    classified = [r for r in finished(records) if r.epochs and r.task == "classification"]
    reached = [t for t in THRESHOLDS if all(r.epochs_to(t) for r in classified)] if classified else []
    return reached[-1] if reached else THRESHOLDS[0]


def failures(records: Sequence[Record]) -> str:
    """Return sentences that list the runs that did not finish, or nothing."""
    bad = [r for r in records if r.status != "finished"]
    sentences = {
        "Diverged, and counted as tested at the best epoch before that, but in no curve and no table of phi": [
            r for r in bad if r.tested
        ],
        "Counted as seeds but in no figure": [r for r in bad if not r.tested],
    }
    return " ".join(f"{what}: {', '.join(map(_told, runs))}." for what, runs in sentences.items() if runs)


def _told(record: Record) -> str:
    return f"{record.arm} {record.stage} seed {record.seed} ({record.settings.get('failure', record.status)})"


def repetitions(records: Sequence[Record]) -> str:
    """Return a sentence that lists runs with the same seed and settings, or nothing."""
    named = [
        f"{group.name} seed {seed} ({number} runs)"
        for group in group_runs(records)
        for seed, number in Counter(r.seed for r in group.tested).items()
        if number > 1
    ]
    said = "means use each run, differences and verdicts on phi the last one"
    return f"Run more than once with the same settings: {', '.join(named)}; {said}." if named else ""


def _settings(record: Record) -> dict[str, object]:
    """Return the settings in which runs of an arm and stage may differ, without those that the arm does not use."""
    unused = (
        *("arm", "architecture", "widths", "seed"),
        *(() if record.arm in ARMS else _OF_PHI),
        *(() if arity_of(record.arm) > 1 else _OF_PAIRS),
        *(("frozen_epochs",) if record.stage == "joint" else ()),
    )
    differing: dict[str, object] = {
        "data": record.dataset,
        "network": record.architecture,
        "hidden layers": len(record.widths),
    }
    for name, default in _DEFAULTS.items():
        if name in unused:
            continue
        value = record.settings.get(name, default)
        differing[name] = tuple(value) if isinstance(value, list) else value  # JSON has no tuples
    return {**differing, "widths": "-".join(map(str, record.widths))}


def _words(key: str, value: object) -> str:
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return shown if key in ("data", "network") else f"{key.replace('_', ' ')} {shown}"
