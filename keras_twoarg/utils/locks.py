"""One process at a time in a folder. The operating system releases the lock however the process ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 2.0  # seconds, in which the children of a killed process end


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
