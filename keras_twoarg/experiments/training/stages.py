"""The stages of a run, and the files that each leaves in the run's folder.

| stage | in the paper | what happens |
|---|---|---|
| `pretrain` | Session I | phi is fitted to a random smooth surface |
| `joint` | Session II | phi and the outer network are trained together |
| `frozen` | Session III | phi of the joint stage is frozen, and a new outer network is trained |

Version 0.1.0 named files by session, and some settings differently. Its folders can be read, and are upgraded when a
run in them resumes.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

from keras_twoarg.utils import files
from keras_twoarg.utils.types import JsonObject


class Stage(str, Enum):
    """A stage of a run; its value names its files."""

    PRETRAIN = "pretrain"
    JOINT = "joint"
    FROZEN = "frozen"

    def __str__(self) -> str:
        return self.value


_OLD_STEMS = {Stage.JOINT: "session2", Stage.FROZEN: "session3"}
STEMS = tuple(str(stem) for pair in _OLD_STEMS.items() for stem in pair)
"""What the files of stages are called, those of version 0.1.0 included."""
_OLD_STAGES = {"II": "joint", "III": "frozen"}
_OLD_KEYS = {"session": "stage", "norm": "normalization", "start": "phi_init", "amplitude": "phi_init_std"}


def stage_file(folder: Path, stage: Stage, ending: str) -> Path:
    """Return a stage's file in a run's folder, such as `joint.keras`, or that of version 0.1.0 if it exists."""
    current = folder / f"{stage}{ending}"
    old = folder / f"{_OLD_STEMS[stage]}{ending}"
    return old if old.exists() and not current.exists() else current


def record_files(folders: Sequence[Path]) -> list[Path]:
    """Return the records of stages in all run folders below some folders, in a fixed order."""
    names = [f"{stem}.json" for stem in STEMS]
    unique = {file.resolve() for folder in folders for name in names for file in Path(folder).rglob(name)}
    return sorted(unique, key=lambda file: (file.parent, names.index(file.name)))


def in_todays_words(data: JsonObject) -> JsonObject:
    """Return a record's or configuration's entries, renamed if an earlier version wrote them."""
    renamed = {_OLD_KEYS.get(key, key): value for key, value in data.items()}
    if "best_epoch" in renamed:  # a record; at first every task was a classification
        renamed.setdefault("task", "classification")
        renamed.setdefault("earlier", [])
    if renamed.get("stage") in list(_OLD_STAGES):
        renamed["stage"] = _OLD_STAGES[renamed["stage"]]
    if "phi_init_std" in renamed and renamed["phi_init_std"] is None:
        renamed["phi_init_std"] = "paper"
    if isinstance(settings := renamed.get("settings"), dict):
        renamed["settings"] = in_todays_words(settings)
    return renamed


def upgrade_folder(folder: Path) -> None:
    """Rename files and entries that version 0.1.0 wrote in a run's folder."""
    for old, current in _renamed_files(folder):
        if not current.exists():
            old.rename(current)
    for name in ("run", *_OLD_STEMS):
        file = folder / f"{name}.json"
        if file.exists() and isinstance(data := files.read_json(file), dict) and in_todays_words(data) != data:
            files.write_json(file, in_todays_words(data))


def _renamed_files(folder: Path) -> Iterator[tuple[Path, Path]]:
    for stage, stem in _OLD_STEMS.items():
        for old in folder.glob(f"{stem}*"):
            yield old, folder / f"{stage}{old.name[len(stem) :]}"
    if (robustness := folder / "robustness2").exists():
        yield robustness, folder / "joint-robustness"
