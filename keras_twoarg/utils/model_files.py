"""Load `.keras` files, with errors that say why a file cannot be loaded, and save them whole."""

import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import keras

from keras_twoarg.utils.files import saving
from keras_twoarg.utils.types import Model


def load(path: str | os.PathLike[str], compile: bool = False) -> Model:
    """Load a `.keras` file, or raise a ValueError that says why that is impossible.

    Args:
        path: The file.
        compile: Whether to compile the model as it was saved. Defaults to `False`, for inference.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"There is no file {path}")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a readable .keras file: it is truncated or of another kind")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # a new one
            model = keras.models.load_model(path, compile=compile)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(_why_not(path, " ".join(str(error).split()))) from error
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"{path} needs more memory than is available: {error}") from error
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's
            raise
        raise ValueError(f"{path} needs more memory than is available") from error
    if not model.built:
        raise ValueError(
            f"The model in {path} was saved before it was built, without weights. Start it with keras.Input(...), or "
            "call it once, and save it again"
        )
    return model


def save(model: Model, path: Path) -> None:
    """Save a model as `.keras`, atomically: a kill leaves the previous file or the whole new one."""
    with saved(model, path):
        pass


@contextmanager
def saved(model: Model, path: Path) -> Iterator[None]:
    """Save a model as `.keras`, which takes its place only after the block: what the block writes is there before."""
    partial = path.with_name(f".{uuid4().hex}-{path.name}")
    try:
        with saving(path):
            model.save(partial)
        yield
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _why_not(path: Path, reason: str) -> str:
    """Return why a file cannot be loaded, given Keras' message."""
    if unknown := re.search(r"Could not locate (class|function) '([^']+)'", reason):
        return (
            f"{path} holds the {unknown[1]} {unknown[2]!r}, of which only the name is in the file. In Python, import "
            "yours first, registered by `keras.saving.register_keras_serializable`. Commands know only those of "
            "Keras and keras_twoarg: load the file with `keras.models.load_model`, and call the command's function"
        )
    if of_lambda := re.search(r"The activation of '[^']+' is a lambda.*?with the same file", reason):
        return f"{path}: {of_lambda[0]}"
    if "safe_mode=False" in reason:
        return (
            f"{path} holds Python code, such as a Lambda layer, which Keras does not run from a file. Use a layer in "
            "its place; or, if you trust the file, load it with `keras.models.load_model` in Python, with "
            "safe_mode=False, and use the model that it returns"
        )
    return f"{path} is not a readable .keras file: {reason[:300]}"
