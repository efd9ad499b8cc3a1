"""Folders for the results of one configuration, each used by one process at a time.

The operating system releases a folder's lock however the process ends.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_twoarg.experiments.training.stages import in_todays_words
from keras_twoarg.utils import files
from keras_twoarg.utils.types import JsonObject

_ELSEWHERE = "Use another folder"
_PATIENCE = 2.0  # seconds, in which the children of a killed process end
_PARTIAL = re.compile(r"\.(.+-[0-9a-f]{32}|[0-9a-f]{32}-.+)")  # as `utils.files` and `utils.model_files` name them
_ABANDONED = 3600.0  # seconds after which nobody writes a partial file any more


@contextmanager
def result_folder(
    out: Path,
    settings: Mapping[str, object],
    name: str = "run.json",
    *,
    defaults: Mapping[str, object] | None = None,
    translate: Callable[[JsonObject], JsonObject] = in_todays_words,
    upgrade: Callable[[Path], None] = lambda folder: None,
    extends: Callable[[JsonObject, JsonObject], bool] = lambda there, here: False,
) -> Iterator[None]:
    """Create a folder for the results of one configuration, and lock it for this process.

    Args:
        out: The folder.
        settings: The settings that determine the results.
        name: The file in the folder that holds the settings.
        defaults: Values of settings that folders of older versions lack.
        translate: Renames the entries of older versions.
        upgrade: Called with a folder that holds this configuration's results, to upgrade files of older versions.
        extends: Called with a folder's settings and with `settings`, if they differ; returns whether the results can be
            continued with the latter, which then replace the folder's.

    Raises:
        ValueError: If the folder holds other results or other files, or another process uses it.
        OSError: If it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"Expected a folder for the results. Received: the file {out}")
    out.mkdir(parents=True, exist_ok=True)
    with only_process(out):  # first: of two processes that start together, only one may find it empty
        if (out / name).exists():
            if _compare(out / name, settings, defaults or {}, translate, extends):
                files.write_json(out / name, _as_in_json(settings))
            upgrade(out)  # after the comparison, which protects other files
        elif not all(
            file.name.startswith(f".{name}-") for file in out.iterdir()
        ):  # left by a kill while it was written
            raise ValueError(f"{out} holds other files but no {name}. Use an empty or new folder for the results")
        else:
            files.write_json(out / name, _as_in_json(settings))
        _remove_abandoned(out)
        yield


def _remove_abandoned(folder: Path) -> None:
    """Remove partial files, as large as a checkpoint, that kills left; not those that a report is writing now."""
    for file in folder.iterdir():
        if _PARTIAL.fullmatch(file.name):
            with suppress(FileNotFoundError):
                if file.is_file() and time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()


def _compare(
    file: Path,
    settings: Mapping[str, object],
    defaults: Mapping[str, object],
    translate: Callable[[JsonObject], JsonObject],
    extends: Callable[[JsonObject, JsonObject], bool],
) -> bool:
    """Return whether settings extend a folder's, and raise a ValueError if it holds the results of other settings."""
    stored = files.read_json(file, _ELSEWHERE)
    if not isinstance(stored, dict):
        raise ValueError(f"{file} is damaged: expected an object. Received: {type(stored).__name__}. {_ELSEWHERE}")
    here = _as_in_json(settings)
    there = {key: value for key, value in _as_in_json(defaults).items() if key in here} | translate(stored)
    changes = differences(there, here)
    if changes and not extends(there, here):
        raise ValueError(f"{file.parent} holds the results of another configuration: {changes}. {_ELSEWHERE}")
    return bool(changes)


def differences(there: JsonObject, here: JsonObject) -> str:
    """Return the entries in which settings differ, such as `epochs=1 there, 2 here`, or nothing."""
    different = sorted(key for key in {*there, *here} if there.get(key) != here.get(key))
    return ", ".join(f"{key}={there.get(key)!r} there, {here.get(key)!r} here" for key in different)


def _as_in_json(settings: Mapping[str, object]) -> JsonObject:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Lock an existing folder for this process.

    Raises:
        ValueError: If another process has locked it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + _PATIENCE
        while not _try_lock(fcntl, handle):
            if time.monotonic() > end:
                raise ValueError(f"Another process is working in {folder}. Wait until it ends, or use another folder")
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _try_lock(fcntl: object, handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
