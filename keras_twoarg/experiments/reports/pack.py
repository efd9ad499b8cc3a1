"""Pack folders of runs into a few files that can be committed: all records, phi, and measured robustness.

Models and checkpoints are not packed. `stored_runs` documents and reads a packed folder.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keras_twoarg.experiments.reports.stored_runs import (
    ARRAYS,
    ROBUSTNESS,
    RUNS,
    StoredRun,
    packed_runs,
    root_of,
    stored_runs,
)
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Config


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Attributes:
        records: Number of stages of runs.
        phi: Number of these with phi.
        robustness: Number of measurements of robustness.
    """

    records: int
    phi: int
    robustness: int


def pack(folders: Sequence[Path], out: Path, *, ends: bool = False) -> Packed:
    """Write the runs below folders into one packed folder.

    Runs are named by their path below the folder that is packed. If there are several folders, the name starts with
    that of the folder, unless that is a packed one. Packing again into the same folder adds runs; it never removes a
    run or changes a record, but a failure gives way to what followed when it was tried again. A run that is in several
    of the folders is packed once (`stored_runs`).

    Args:
        folders: Folders of runs, or packed ones, at any depth.
        out: The packed folder; other files in it stay.
        ends: Keep phi's weights only at the start and at the best epoch: an eighth of the bytes, but no maturation.
            Defaults to `False`.

    Raises:
        ValueError: If there are no runs, two have the same name, or packing would lose something in `out`.
    """
    runs = stored_runs(folders)
    if not runs:
        raise ValueError(f"There are no records of finished runs in {', '.join(map(str, folders))}")
    named = _named(runs, folders)
    _check_nothing_is_lost(named, out, ends)
    arrays: Config = {}
    for (name, stage), run in named.items():
        if run.has_phi:
            own = run.phi().to_arrays(run.record.best_epoch, ends=ends)
            arrays |= {f"{name}/{stage}/{key}": value for key, value in own.items()}
    measured = [{"run": name, **vars(m)} for (name, _), run in named.items() for m in run.robustness]
    out.mkdir(parents=True, exist_ok=True)
    if not (out / RUNS).exists():
        files.write_json_lines(out / RUNS, ())  # so that the folder is known as a packed one if this is stopped
    if arrays:
        files.write_whole(out / ARRAYS, lambda file: np.savez_compressed(file, **arrays))
    if measured:
        files.write_json_lines(out / ROBUSTNESS, measured)
    lines = (
        {"run": name, "dataset_fingerprint": run.dataset_fingerprint, **asdict(run.record)}
        for (name, _), run in named.items()
    )
    files.write_json_lines(out / RUNS, lines)  # last: it lists what the other files hold
    return Packed(len(named), sum(run.has_phi for run in named.values()), len(measured))


def _named(runs: Sequence[StoredRun], folders: Sequence[Path]) -> dict[tuple[str, str], StoredRun]:
    """Return the runs by name and stage."""
    roots = [Path(folder).resolve() for folder in folders]
    named: dict[tuple[str, str], StoredRun] = {}
    for run in runs:
        root = roots[root_of(run, roots)]
        plain = run.location != root and (len(roots) == 1 or (root / RUNS).exists())
        key = (run.location.relative_to(root if plain else root.parent).as_posix(), run.record.stage)
        if key in named:
            raise ValueError(f"Two runs have the same name, {key[0]}: {named[key].location} and {run.location}")
        named[key] = run
    return named


def _epochs_of_phi(run: StoredRun, ends: bool) -> int:
    """Return at how many epochs phi would be kept, as `StoredRun.epochs_of_phi` counts them."""
    if not (ends and run.has_phi):
        return run.epochs_of_phi
    return len({0, run.record.best_epoch} & set(run.phi().weights))


def _tried_again(name: str, stage: str) -> set[tuple[str, str]]:
    """Return where a plan leaves what follows a failed stage: in the run's folder, or as a failure again."""
    return {(name, stage), (name.removesuffix("-failed"), stage)}


def _check_nothing_is_lost(named: dict[tuple[str, str], StoredRun], out: Path, ends: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"Expected a folder to pack into. Received: the file {out}")
    if not (out / RUNS).exists():
        if (out / "run.json").exists() and any(run.location != out.resolve() for run in named.values()):
            raise ValueError(f"{out} is the folder of a run, and would hold others' records. Use a new folder")
        if strangers := [name for name in (ARRAYS, ROBUSTNESS) if (out / name).exists()]:
            raise ValueError(
                f"{out} holds {strangers[0]} without {RUNS}, so twoarg pack did not write it. Use a new folder"
            )
        return
    for old in packed_runs(out):
        key = (old.location.relative_to(out.resolve()).as_posix(), old.record.stage)
        new = next((run for run in named.values() if run.record == old.record), None)
        if new is None and old.record.status == "failed" and _tried_again(*key) & set(named):
            continue
        if new is None and key in named:
            raise ValueError(f"{out} holds another record of {key[0]}. Pack into another folder")
        if new is None:
            raise ValueError(
                f"{out} holds {key[0]}, but the folders to pack do not. Add {out} to them to keep it, or pack into "
                "another folder"
            )
        if _epochs_of_phi(new, ends) < old.epochs_of_phi or any(m not in new.robustness for m in old.robustness):
            what = "the ends that would be kept" if ends else "the folders to pack"
            raise ValueError(f"{out} holds more of {key[0]} than {what}. Pack into another folder")
