"""Stored runs: a folder for each run, as training writes it, or many runs packed into a few files.

A packed folder holds

| file | what |
|---|---|
| `runs.jsonl` | a line for each stage of each run: its record, `run` (the run's folder) and `dataset_fingerprint` |
| `arrays.npz` | phi of each stage, as `Trace.to_arrays` returns it, with the prefix `RUN/STAGE/` |
| `robustness.jsonl` | a line for each measurement of a network under corruptions and attacks, with `run` |

`twoarg pack` writes packed folders (`keras_twoarg.experiments.reports.pack`). All readers of runs accept both kinds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from keras_twoarg.experiments.robustness.measure import REFERENCE, Robustness
from keras_twoarg.experiments.training.phi_snapshots import Trace
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage, record_files, stage_file
from keras_twoarg.utils import files
from keras_twoarg.utils.types import JsonObject

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

RUNS, ARRAYS, ROBUSTNESS = "runs.jsonl", "arrays.npz", "robustness.jsonl"

_PACK_AGAIN = "Pack the runs again"


@dataclass(frozen=True)
class StoredRun:
    """One stage of one run.

    Attributes:
        location: The run's folder; for a packed run, its path below the packed folder.
        record: The stage's record.
        robustness: The measurements of the joint stage's network.
        has_phi: Whether phi was kept.
        dataset_fingerprint: Fingerprint of the data, if known.
    """

    location: Path
    record: Record
    robustness: tuple[Robustness, ...]
    has_phi: bool
    dataset_fingerprint: str | None
    _read_phi: Callable[[], Trace]

    def phi(self) -> Trace:
        """Read phi; requires `has_phi`."""
        return self._read_phi()

    @property
    def epochs_of_phi(self) -> int:
        """The number of epochs at which phi was kept, besides the best one; -1 without phi."""
        return len(self.phi().weights) if self.has_phi else -1


T = TypeVar("T")


def stored_runs(folders: Sequence[Path], seed: int | None = None) -> list[StoredRun]:
    """Read every stage of every run below folders, or of one seed's runs, in a fixed order.

    A run that exists several times (trained, packed or copied) is read once: the copy that holds most or, if they hold
    the same, the one in the first folder. At the same location, its own folder takes precedence over a packed one.

    Raises:
        ValueError: If a file is damaged, or one of several folders holds nothing.
    """
    packed = sorted({file.resolve() for folder in folders for file in Path(folder).rglob(RUNS)})
    runs = [run for file in packed for run in packed_runs(file.parent)]
    runs += [_loose_run(file) for file in record_files(folders)]
    unique = {(run.location, Stage(run.record.stage)): run for run in runs}
    order, roots = list(Stage), [Path(folder).resolve() for folder in folders]
    ordered = sorted(unique.values(), key=lambda run: (run.location, order.index(Stage(run.record.stage))))
    empty = [str(f) for f, root in zip(folders, roots, strict=True) if not any(_within(run, root) for run in ordered)]
    if ordered and empty:
        raise ValueError(
            f"There are no records of finished runs in {', '.join(empty)}. Leave that out, or finish its runs"
        )
    once = _each_once(sorted(ordered, key=lambda run: root_of(run, roots)))
    return [run for run in ordered if id(run) in once and (seed is None or run.record.seed == seed)]


def root_of(run: StoredRun, roots: Sequence[Path]) -> int:
    """Return the index of the first of some resolved folders that contains a run."""
    return next(i for i, root in enumerate(roots) if _within(run, root))


def _within(run: StoredRun, root: Path) -> bool:
    return run.location == root or root in run.location.parents


def _each_once(runs: Sequence[StoredRun]) -> set[int]:
    """Return the ids of runs with distinct records: among equal records the run that holds most, or the first."""
    kept: list[StoredRun] = []
    for run in runs:
        same = next((place for place, other in enumerate(kept) if other.record == run.record), None)
        if same is None:
            kept.append(run)
        elif (run.epochs_of_phi, len(run.robustness)) > (kept[same].epochs_of_phi, len(kept[same].robustness)):
            kept[same] = run
    return set(map(id, kept))


def _loose_run(file: Path) -> StoredRun:
    record, folder = Record.read(file), file.parent
    surface = stage_file(folder, Stage(record.stage), "-surface.npz")
    configuration = files.read_json(folder / "run.json") if (folder / "run.json").exists() else {}
    fingerprint = configuration.get("dataset_fingerprint") if isinstance(configuration, dict) else None
    return StoredRun(
        folder,
        record,
        _measured(folder) if record.stage == Stage.JOINT else (),
        surface.exists(),
        fingerprint,
        lambda: Trace.read(surface),
    )


def _measured(folder: Path) -> tuple[Robustness, ...]:
    """Read the measurements of a run's network, and raise a ValueError if they are of several networks."""
    measured = [file for file in sorted(folder.glob("*/robustness.json")) if file.parent.name != REFERENCE]
    read = [Robustness.read(file) for file in measured]
    models = {robustness.settings.get("model"): file for robustness, file in zip(read, measured, strict=True)}
    if len(models) > 1:
        raise ValueError(
            f"{' and '.join(map(str, models.values()))} are of different networks, but {folder} is the folder of one. "
            "Move the folder of the other out of it"
        )
    return tuple(read)


def packed_runs(folder: Path) -> list[StoredRun]:
    """Read every stage of every run in one packed folder."""
    folder = folder.resolve()
    measured: dict[str, list[Robustness]] = {}
    for name, data, where in _lines(folder / ROBUSTNESS):
        measured.setdefault(name, []).append(Robustness.parse(data, where, _PACK_AGAIN))
    with_phi = _runs_with_phi(folder / ARRAYS)
    runs = []
    for name, data, where in _lines(folder / RUNS):
        record = Record.parse(data, where, _PACK_AGAIN)
        prefix = f"{name}/{record.stage}/"
        read_phi = partial(_packed_phi, folder / ARRAYS, prefix, record.best_epoch)
        runs.append(
            StoredRun(
                folder / name,
                record,
                tuple(measured.get(name, ())) if record.stage == Stage.JOINT else (),
                prefix in with_phi,
                data.get("dataset_fingerprint"),
                read_phi,
            )
        )
    return runs


def _lines(file: Path) -> list[tuple[str, JsonObject, str]]:
    """Return the run, the entries and the location of each line."""
    if not file.exists():
        return []
    lines = []
    for number, data in enumerate(files.read_json_lines(file), start=1):
        where = f"{file}, line {number},"
        if not isinstance(data, dict) or not isinstance(data.get("run"), str):
            raise ValueError(f"{where} names no run. {_PACK_AGAIN}")
        lines.append((data["run"], data, where))
    return lines


def _runs_with_phi(file: Path) -> set[str]:
    if not file.exists():
        return set()
    return {name.rpartition("/")[0] + "/" for name in _opened(file, lambda arrays: arrays.files)}


def _packed_phi(file: Path, prefix: str, best_epoch: int | None) -> Trace:
    def read(arrays: "NpzFile") -> Trace:
        own = {name[len(prefix) :]: arrays[name] for name in arrays.files if name.startswith(prefix)}
        return Trace.from_arrays(own, best_epoch)

    return _opened(file, read)


def _opened(file: Path, read: "Callable[[NpzFile], T]") -> T:
    try:
        with np.load(file) as arrays:
            return read(arrays)
    except files.UNREADABLE as error:
        raise ValueError(f"{file} is damaged ({error}). {_PACK_AGAIN}") from error
