"""Files that are written whole or not at all, and JSON whose errors name the file and the problem."""

import errno
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import IO, Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict
from uuid import uuid4

import numpy as np

from keras_twoarg.utils.types import JsonObject

T = TypeVar("T")

UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged .npz raises: one that is empty, truncated, changed, another kind of file, encrypted,
compressed in an unknown way, without an expected array, or with one larger than the memory."""

ANEW = "Move it away, and the command that wrote it will write it again"
"""The remedy for a file that cannot be read. Not to delete it, since another program may have written it."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: readers, and the next run after a kill, find either all of it or the previous one."""
    with saving(path):
        partial = path.parent / f".{path.name}-{uuid4().hex}"
        try:
            with open(partial, "xb") as file:  # with the permissions of the umask, unlike those of tempfile
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def refuse_others(path: Path, is_ours: Callable[[], bool], command: str) -> None:
    """Raise a ValueError if a path exists that a command did not write, as `is_ours` tells or fails to read."""
    if not path.exists():
        return
    try:
        ours = is_ours()
    except UNREADABLE:
        ours = False
    if not ours:
        raise ValueError(f"{path} exists, and `{command}` did not write it. Use another --out")


def check_writable(path: Path) -> None:
    """Raise an OSError unless a file can be written to a path. Call it before long work whose result goes there."""
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(4096))


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Make OSErrors name the file.

    Those of a full disk name none, and h5py's lack the error number; others name the temporary file.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str) and error.errno and Path(error.filename).parent == path.parent.absolute():
            raise OSError(error.errno, error.strerror, str(path)) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) and "No space left on device" not in str(error):
            raise
        raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error


def write_json(path: Path, data: object) -> None:
    """Write standard JSON, with null instead of NaN."""
    text = json.dumps(finite(data), indent=1, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode()))


def write_json_lines(path: Path, lines: Iterable[object]) -> None:
    """Write one JSON value per line, with null instead of NaN."""
    text = "".join(json.dumps(finite(line), allow_nan=False) + "\n" for line in lines)
    write_whole(path, lambda file: file.write(text.encode()))


def read_json_lines(path: Path) -> list[Any]:
    """Read one JSON value per line, or raise a ValueError that names the file and the line."""
    lines = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {number}, is damaged: {error}") from error
    return lines


def read_json(path: Path, remedy: str = ANEW) -> Any:
    """Read JSON, or raise a ValueError that names the file and the remedy."""
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:  # RecursionError: thousands of brackets
        raise ValueError(f"{path} is damaged: {error}. {remedy}") from error


def read_as(
    kind: type[T], path: Path, what: str, translate: Callable[[JsonObject], JsonObject] = lambda data: data
) -> T:
    """Read a dataclass from JSON, or raise a ValueError that names the file and the problem.

    `translate` updates entries written by older versions.
    """
    return parse_as(kind, read_json(path), str(path), what, translate)


def parse_as(
    kind: type[T],
    data: Any,
    where: str,
    what: str,
    translate: Callable[[JsonObject], JsonObject] = lambda data: data,
    remedy: str = ANEW,
) -> T:
    """Return a dataclass from JSON data, like `read_as`; errors name the place, `where`, and the `remedy`."""
    wanted = get_type_hints(kind)
    data = translate(data) if isinstance(data, dict) else data
    problem = f"expected an object. Received: {type(data).__name__}"
    if isinstance(data, dict):
        wrong = [key for key in wanted if key in data and not _fits(data[key], wanted[key])]
        problem = f"it lacks {', '.join(missing)}" if (missing := sorted(set(wanted) - set(data))) else ""
        problem = problem or "; ".join(f"its `{key}` is {str(data[key])[:60]!r}" for key in wrong)
    if problem:
        raise ValueError(f"{where} is no {what}, or of another version: {problem}. {remedy}")
    return kind(**{key: data[key] for key in wanted})


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value from JSON matches a type annotation."""
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


def finite(data: object) -> object:
    """Return data for JSON with None instead of numbers that are not finite."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data
