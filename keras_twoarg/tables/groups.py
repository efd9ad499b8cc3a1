"""Records of runs, and what belongs together in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from keras_twoarg.outer import ARMS
from keras_twoarg.training.records import Record
from keras_twoarg.training.sessions import Configuration

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)

_OF_PHI = ("pairing", "evaluation", "start", "pretraining_epochs", "amplitude")
_DEFAULTS = {f.name: f.default for f in fields(Configuration)}


@dataclass(frozen=True)
class Group:
    """Records of one arm and session over seeds, with the same settings.

    Attributes:
        arm: The arm.
        session: `"II"` or `"III"`.
        differences: The settings in which runs of this report differ, and their values here.
        records: One record for each seed.
    """

    arm: str
    session: str
    differences: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def name(self) -> str:
        """Name in tables and legends."""
        name = f"{self.arm} {self.session}" if self.arm in ARMS else self.arm
        return ", ".join([name, *(_words(key, value) for key, value in self.differences.items())])

    @property
    def task(self) -> tuple[Any, ...]:
        """What must be the same for a comparison of arms to mean something: data and depth of the network."""
        first = self.records[0]
        return first.dataset, first.architecture, len(first.widths)


def read_runs(folders: Sequence[Path], seed: int | None = None) -> list[Record]:
    """Read all records below folders, those of one seed if it is given."""
    files = sorted({file.resolve() for folder in folders for file in Path(folder).rglob("session[0-9].json")})
    found = [record for record in map(Record.read, files) if seed is None or record.seed == seed]
    if not found:
        wanted = "" if seed is None else f" of seed {seed}"
        raise ValueError(f"There are no records of finished runs{wanted} in {', '.join(map(str, folders))}")
    return found


def group_runs(records: Sequence[Record]) -> list[Group]:
    """Group records by arm, session, and the settings in which they differ; arms with phi first."""
    described = [(record, _settings(record)) for record in records]
    names = dict.fromkeys(name for _, settings in described for name in settings)
    differing = [name for name in names if len({repr(s[name]) for _, s in described if name in s}) > 1]
    groups: dict[tuple[Any, ...], list[Record]] = {}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record, settings in described:
        differences = {name: settings[name] for name in differing if name in settings}
        key = (record.arm not in ARMS, record.arm != "two_arg", record.arm, record.session, repr(differences))
        groups.setdefault(key, []).append(record)
        found[key] = differences
    return [Group(key[2], key[3], found[key], tuple(groups[key])) for key in sorted(groups)]


def common_threshold(records: Sequence[Record]) -> float:
    """Return the highest round accuracy that every run reached in validation, or the lowest of the round ones."""
    reached = [t for t in THRESHOLDS if all(r.epochs_to(t) for r in records if r.epochs)]
    return reached[-1] if reached else THRESHOLDS[0]


def failures(records: Sequence[Record]) -> str:
    """Return a sentence that names the runs that did not finish, or nothing."""
    bad = [r for r in records if r.status != "finished"]
    named = ", ".join(f"{r.arm} {r.session} seed {r.seed} ({r.settings.get('failure', r.status)})" for r in bad)
    return f"Counted in seeds but in no accuracy: {named}." if bad else ""


def _settings(record: Record) -> dict[str, Any]:
    """Return what a run may differ in from others of its arm and session; phi's settings only where there is a phi."""
    found: dict[str, Any] = {
        "data": Path(record.dataset).stem,
        "network": record.architecture,
        "hidden layers": len(record.widths),
    }
    for name, default in _DEFAULTS.items():
        if name in ("arm", "architecture", "widths", "seed") or (name in _OF_PHI and record.arm not in ARMS):
            continue
        if name == "frozen_epochs" and record.session == "II":
            continue
        found[name] = record.settings.get(name, default)
    if record.arm == "two_arg":  # the other arms' widths follow from it
        found["widths"] = "-".join(map(str, record.widths))
    return found


def _words(key: str, value: Any) -> str:
    return str(value) if key in ("data", "network") else f"{key.replace('_', ' ')} {value}"
