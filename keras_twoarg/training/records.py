"""One JSON record for each training run, and files that are either whole or absent."""

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypedDict, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

import keras
import numpy as np

from keras_twoarg._version import __version__

T = TypeVar("T")
Quantity = Literal["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]


class Epoch(TypedDict):
    """What is kept of one epoch; numbers that are not finite are null in the file."""

    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


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
        epochs: What each epoch came to, in order.
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
    epochs: list[Epoch] = field(default_factory=list)
    status: str = "finished"
    best_epoch: int | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None

    def curve(self, key: Quantity) -> list[float]:
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
        return read_as(cls, path, "record of a run")


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


def read_as(kind: type[T], path: Path, what: str) -> T:
    """Read a dataclass that was written as JSON, or raise a ValueError that names the file and what is wrong in it."""
    data, wanted = read_json(path), get_type_hints(kind)
    problem = f"expected an object. Received: {type(data).__name__}"
    if isinstance(data, dict):
        wrong = [key for key in wanted if key in data and not _fits(data[key], wanted[key])]
        problem = f"it lacks {', '.join(missing)}" if (missing := sorted(set(wanted) - set(data))) else ""
        problem = problem or "; ".join(f"its `{key}` is {str(data[key])[:60]!r}" for key in wrong)
    if problem:
        raise ValueError(f"{path} is no {what}, or of another version: {problem}. Delete it to make it anew")
    return kind(**{key: data[key] for key in wanted})


def _fits(value: Any, kind: Any) -> bool:
    """Tell whether a value from a JSON file is of an annotation's type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if is_typeddict(kind):
        types = get_type_hints(kind)
        known = isinstance(value, dict) and set(types) <= set(value)
        return known and all(value[key] is None or _fits(value[key], types[key]) for key in types)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind is Any or (isinstance(value, kind) and not (kind is int and isinstance(value, bool)))


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
