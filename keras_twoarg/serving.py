"""Export for serving, and proof that the export equals the model."""

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_twoarg import runtimes
from keras_twoarg.evaluation import gridsample
from keras_twoarg.sharing import assert_shared

FORMATS = ("tf_saved_model", "onnx", "openvino", "litert")
_NEEDS = {
    "onnx": "pip install tf2onnx onnx",
    "openvino": "pip install openvino",
    "litert": "pip install tensorflow-cpu",
    "tf_saved_model": "pip install 'keras_twoarg[tensorflow-cpu]'",
}
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Agreement:
    """How far an export's outputs are from the model's.

    Attributes:
        difference: Largest absolute difference of outputs.
        scale: Largest absolute output of the model.
        changed: Number of samples with another largest output, that is another prediction.
        number: Number of samples.
    """

    difference: float
    scale: float
    changed: int
    number: int

    @property
    def agrees(self) -> bool:
        """Whether outputs differ by rounding alone, and no prediction does."""
        return self.difference <= _TOLERANCE * max(1.0, self.scale) and self.changed == 0

    @property
    def sentence(self) -> str:
        """The finding in words."""
        verdict = "agrees with" if self.agrees else "DIFFERS from"
        return (
            f"The reloaded export {verdict} the model: largest difference {self.difference:.1e} on outputs up to "
            f"{self.scale:.1f}, {self.changed} of {self.number} predictions changed"
        )


def export(model: Any, path: str | os.PathLike[str], format: str = "tf_saved_model") -> None:
    """Export a model for inference. The export needs neither keras_twoarg nor Keras.

    `model.export(path)` does the same; this also refuses a model whose phi has come apart, names what is missing,
    leaves a whole export or none, and gives OpenVINO a baked model's look-ups as its own GridSample, which is several
    times faster.

    Args:
        model: A built Keras model.
        path: Folder for a SavedModel (servers look for versions: `.../name/1`), else a file. It must not exist yet.
        format: `"tf_saved_model"`, `"onnx"`, `"openvino"` or `"litert"`. Defaults to `"tf_saved_model"`.

    Example:
        >>> serving.export(outer.mlp((28, 28, 1), classes=10), "exported/digits/1")
        >>> sorted(os.listdir("exported/digits/1"))
        ['assets', 'fingerprint.pb', 'saved_model.pb', 'variables']

    Raises:
        ValueError: If the format is unknown, the path exists, or the model holds copies of one inner network.
        ImportError: If a package that writes the format is missing.
    """
    path = Path(path)
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {FORMATS}. Received: format={format!r}")
    if path.exists():
        raise ValueError(f"{path} exists already. Export to a new path, for a server the next version")
    if keras.backend.backend() == "torch" and format != "onnx":
        raise ValueError(f"The format {format!r} is not written from torch. Set KERAS_BACKEND=tensorflow")
    assert_shared(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    _call_once(model)
    # Some formats demand an ending, so the mark of an unfinished export goes in front.
    partial = path.parent / f"partial-{path.name}"
    try:
        if format == "openvino" and gridsample.applies(model):
            gridsample.export(model, partial)
        else:
            model.export(str(partial), format=format, verbose=False)
        if format == "openvino":  # the weights, in a second file
            os.replace(partial.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(partial, path)
    except ImportError as error:
        raise ImportError(f"The format {format!r} needs another package ({error}): {_NEEDS[format]}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for part in (partial, partial.with_suffix(".bin")):
            part.unlink(missing_ok=True)


def _call_once(model: Any) -> None:
    """Call a model that was built or loaded and never called: some exporters insist on it."""
    inputs = getattr(model, "inputs", None)
    if inputs and not getattr(model, "_called", True):
        zeros = [keras.ops.zeros([size or 1 for size in x.shape], x.dtype) for x in inputs]
        model(zeros[0] if len(zeros) == 1 else zeros)


def load(path: str | os.PathLike[str]) -> Any:
    """Load a `.keras` file for inference, or raise a ValueError that says why it cannot be."""
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no readable .keras file: {error}") from error


def random_inputs(model: Any, seed: int, number: int = 64) -> np.ndarray:
    """Return inputs for a comparison, uniform within [-1, 1]."""
    shape = (number, *model.input_shape[1:])
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def compare(model: Any, path: str | os.PathLike[str], x: np.ndarray, format: str = "tf_saved_model") -> Agreement:
    """Load an export in its own runtime and compare its outputs with the model's.

    Example:
        >>> model = outer.mlp((28, 28, 1), classes=10)
        >>> serving.export(model, "exported/compared/1")
        >>> serving.compare(model, "exported/compared/1", serving.random_inputs(model, seed=0)).agrees
        True

    Raises:
        ValueError: If there is no such export at the path.
        ImportError: If the runtime is not installed.
    """
    run = runtimes.load(path, format)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    found = run(x)
    return Agreement(
        float(np.abs(found - expected).max(initial=0.0)),
        float(np.abs(expected).max(initial=0.0)),
        int((found.argmax(-1) != expected.argmax(-1)).sum()),
        len(x),
    )
