"""Provenance of a record: versions, machine and commit."""

import os
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from keras_twoarg._version import __version__


def versions() -> dict[str, str]:
    """Return the versions of this package, Keras, its backend, NumPy and Python, the dtype policy, and the machine."""
    backend = keras.backend.backend()
    return {
        "keras_twoarg": __version__,
        "keras": keras.__version__,
        "backend": backend,
        backend: _backend_version(backend),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "dtype_policy": keras.config.dtype_policy().name,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
    }


def _backend_version(backend: str) -> str:
    for distribution in (backend, f"{backend}-cpu"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


@lru_cache(maxsize=1)
def commit() -> str | None:
    """Return the commit of the repository that this package runs from, with `-dirty` if it has changes, or None.

    Call it where a work begins: what the first call finds is kept, and files may change while the work runs.
    """
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
