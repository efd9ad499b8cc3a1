"""The command `twoarg`.

It stands outside the package because importing the package imports Keras and its backend: here what is missing gets
one line instead of a traceback, and the lines that TensorFlow writes about the machine stay away.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import NoReturn


def main() -> None:
    """Run the command line."""
    try:
        command = _load()
    except KeyboardInterrupt:  # nothing has begun; from here on click handles it
        sys.exit(1)
    command(prog_name="twoarg")


def _load() -> Callable[..., object]:
    """Import the command, which takes seconds, or stop with one line that says what is missing."""
    try:
        import click  # noqa: F401
    except ImportError:
        _stop("The command twoarg needs click: pip install 'keras_twoarg[cli]'")
    try:
        _import_keras_quietly()
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        _stop(
            f"Keras' backend {backend!r} cannot be imported ({error}). pip install 'keras_twoarg[tensorflow-cpu]', "
            "or set the environment variable KERAS_BACKEND to a backend that is installed: tensorflow, jax or torch"
        )
    from keras_twoarg.cli import twoarg

    return twoarg


def _stop(message: str) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(2)


def _import_keras_quietly() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            import keras

            keras.ops.zeros(1)  # TensorFlow has more to say when it computes for the first time
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if __name__ == "__main__":
    main()
