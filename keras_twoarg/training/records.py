"""One JSON record for each training run, and files that are either whole or absent."""

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_twoarg._version import __version__


@dataclass
class Record:
    """What one run was and what came out of it.

    Attributes:
        arm: What filled the units.
        session: `"II"` (phi and the outer network jointly; also the only session of arms without phi) or `"III"`
            (phi frozen, a new outer network).
        seed: Seed of the split, the initial weights and the order of the batches.
        dataset: Name of the data set.
        architecture: `"mlp"` or `"cnn"`.
        widths: Units of each hidden layer.
        parameters: Learned parameters, the inner network's among them, also where it is frozen.
        norm: Normalization in front of the units.
        splits: Images for training, validation and test.
        settings: Everything else that the run depends on.
        epochs: For each epoch `loss`, `accuracy`, `val_loss`, `val_accuracy` and `seconds`.
        status: `"finished"`, or `"diverged"` when the loss was no longer finite.
        best_epoch: The epoch with the lowest validation loss, from 1; its weights were tested. None if there is none.
        test_accuracy: Share of test images classified correctly, within [0, 1]; used once, after training.
        test_loss: Cross-entropy on the test images.
        seconds: Training time, without the time between a stop and a new start.
        versions: Versions of what computed it.
        commit: Commit of this package's repository, or None outside of one.
    """

    arm: str
    session: str
    seed: int
    dataset: str
    architecture: str
    widths: list[int]
    parameters: int
    norm: str
    splits: dict[str, int]
    settings: dict[str, Any]
    epochs: list[dict[str, float]] = field(default_factory=list)
    status: str = "finished"
    best_epoch: int | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None

    def curve(self, key: str) -> list[float]:
        """Return one quantity over the epochs, such as `"val_accuracy"`."""
        return [epoch[key] for epoch in self.epochs]

    def epochs_to(self, accuracy: float) -> int | None:
        """Return the first epoch whose validation accuracy reached a value, or None."""
        return next((i for i, a in enumerate(self.curve("val_accuracy"), start=1) if a >= accuracy), None)

    def write(self, path: Path) -> None:
        """Write the record as JSON; numbers that are not finite become null."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a record, or raise a ValueError that names the file."""
        data = read_json(path)
        known = {f.name for f in fields(cls)}
        if not isinstance(data, dict) or not known <= set(data):
            raise ValueError(f"{path} is no record of a run: it lacks {sorted(known - set(data))}")
        return cls(**{key: data[key] for key in known})


def write_whole(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file so that a reader, or a start after a kill, finds all of it or the previous one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as partial:
        try:
            write(partial)
            partial.flush()
            os.fsync(partial.fileno())
        except BaseException:
            os.unlink(partial.name)
            raise
    os.chmod(partial.name, 0o644)
    os.replace(partial.name, path)


def write_json(path: Path, data: Any) -> None:
    """Write JSON that other languages read too: null instead of NaN."""
    text = json.dumps(_finite(data), indent=1, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> Any:
    """Read JSON, or raise a ValueError that names the file."""
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}. Delete it to make it anew") from error


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data


def versions() -> dict[str, str]:
    """Return the versions of what computes: this package, Keras, its backend, NumPy, Python, and the machine."""
    backend = keras.backend.backend()
    return {
        "keras_twoarg": __version__,
        "keras": keras.__version__,
        "backend": backend,
        backend: _backend_version(backend),
        "numpy": np.__version__,
        "python": platform.python_version(),
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
    """Return the commit of the repository that this package runs from, with `-dirty` if it was changed."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
