"""Export for serving, and comparison of the export with the model."""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.export import litert_int8, runtimes, writing
from keras_twoarg.export.bake import bake, check_finite
from keras_twoarg.export.calibration import outputs
from keras_twoarg.export.changed_predictions import Changes, activation_behind, count_changes, tasks_of
from keras_twoarg.export.drawn_inputs import draw_inputs
from keras_twoarg.export.runtimes import FORMATS
from keras_twoarg.layers.sharing import assert_shared
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.files import write_whole
from keras_twoarg.utils.keras_internals import flatten_layers, has_named_outputs
from keras_twoarg.utils.types import ArrayLike, Model, Shape

TOLERANCE = 1e-5
_TOLERANCES = {"float16": 1e-2, "bfloat16": 1e-1}  # runtimes add up half precision in different orders
_BATCH = 125
_WRITTEN_FROM = {"jax": "tf_saved_model", "torch": "onnx"}  # from TensorFlow all
_NOT_IN_NUMPY = {"string", "bfloat16"}


@dataclass(frozen=True)
class Agreement:
    """How closely an export's outputs agree with the model's.

    Attributes:
        difference: Largest absolute difference of outputs.
        scale: Largest absolute output of the model.
        changed: Number of predictions that differ. Rounding changes one where the two largest outputs are almost equal,
            or the output of a sigmoid is almost 0.5.
        number: Number of predictions, as in `Changes`: 0 for a regression.
        tolerance: Largest difference that rounding explains, on outputs up to 1.
        of: What the export was compared with, for the sentence.
    """

    difference: float
    scale: float
    changed: int
    number: int
    tolerance: float = TOLERANCE
    of: str = "the model"

    @property
    def agrees(self) -> bool:
        """Whether outputs differ only by rounding."""
        return self.difference <= rounding(self.scale, self.tolerance)

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        verdict = "agrees with" if self.agrees else "DIFFERS from"
        counted = f", {self.changed} of {self.number} predictions changed" if self.number else ""
        return (
            f"The reloaded export {verdict} {self.of}: largest difference {self.difference:.1e} (at most "
            f"{rounding(self.scale, self.tolerance):.1e} by rounding) on outputs up to {self.scale:.2g}{counted}"
        )


def rounding(scale: float, tolerance: float) -> float:
    """Return the largest difference that rounding may make, given the largest output: little on small outputs too."""
    return min(tolerance * max(1.0, scale), math.sqrt(tolerance) * scale)


def servable(model: Model, *, softmax: bool = False, pixels: bool = False) -> Model:
    """Return a model for serving: with a named output, and optionally a softmax and scaling of pixels.

    Args:
        model: A Keras model with one input and one output, such as one from `models.mlp`.
        softmax: Whether to serve probabilities, for which a softmax is added unless the model ends in one. Outputs of a
            softmax or sigmoid are named `probabilities`, several linear ones `logits`, and others, such as those of a
            regression, `outputs`. Defaults to `False`.
        pixels: Whether inputs are pixels within [0, 255], which are scaled to [-1, 1] as for training. Defaults to
            `False`.

    Returns:
        A Keras model that shares its weights with the original. A model with several inputs or outputs, or one that is
        already servable, is returned unchanged.

    Examples:
        >>> served = formats.servable(models.mlp((28, 28, 1), classes=10), softmax=True, pixels=True)
        >>> {name: tuple(y.shape) for name, y in served(255 * np.ones((2, 28, 28, 1))).items()}
        {'probabilities': (2, 10)}

    Raises:
        ValueError: If `softmax` or `pixels` is set for a model with several inputs or outputs, `softmax` for a model
            with a single output, a sigmoid, or other outputs that are probabilities already, or `pixels` for one that
            takes integers; or if a layer keeps a state between calls.
    """
    writing.check_stateless(model)
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or len(model.outputs) != 1 or has_named_outputs(model):
        if (softmax or pixels) and has_named_outputs(model):
            raise ValueError(
                f"Outputs have names already, as in a model from `servable`. Received: {model.name!r}. Call `servable` "
                "once, with `softmax` or `pixels`, on the model itself"
            )
        if softmax or pixels:
            raise ValueError(
                f"`softmax` and `pixels` need a model with one input and one output. Received: {model.name!r}"
            )
        return model
    entry = keras.Input(inputs[0].shape[1:], dtype=inputs[0].dtype, name=inputs[0].name)
    if softmax and (len(model.outputs[0].shape) < 2 or model.outputs[0].shape[-1] == 1):
        raise ValueError(f"A softmax needs one output per class. Received: {model.name!r} with a single output")
    if pixels and not keras.backend.is_float_dtype(inputs[0].dtype):
        raise ValueError(f"`pixels` scales inputs to [-1, 1]. Received: {model.name!r}, which takes {inputs[0].dtype}")
    behind = activation_behind(model.outputs[0])
    if softmax and behind is keras.activations.sigmoid:
        raise ValueError(
            f"A softmax needs logits, not the outputs of a sigmoid. Received: {model.name!r}. Export without it"
        )
    if softmax and behind not in (keras.activations.softmax, keras.activations.linear) and _are_probabilities(model):
        raise ValueError(f"The outputs of {model.name!r} sum to 1 already, as behind a softmax. Export without it")
    values = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(entry) if pixels else entry
    outputs = model(values)
    name = _name_of(model.outputs[0].shape, behind)
    if softmax and name != "probabilities":  # a second softmax would make all classes nearly equally probable
        name = "probabilities"
        outputs = keras.layers.Softmax(name=name, dtype="float32")(outputs)
    return keras.Model(entry, {name: outputs})


def _are_probabilities(model: Model) -> bool:
    """Return whether a model's outputs for random inputs are such as a softmax computes, wherever they come from."""
    found = _predict(model, random_inputs(model, 0, 8)).astype("float64") if comparable(model) else np.full(1, np.nan)
    return bool((found >= 0).all() and np.allclose(found.sum(-1), 1, atol=0.01))


def _name_of(shape: Shape, activation: object) -> str:
    """Return the name under which outputs are served, given their shape and the activation that computed them."""
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        return "probabilities"
    classes = len(shape) > 1 and shape[-1] != 1 and activation in (None, keras.activations.linear)
    return "logits" if classes else "outputs"


def tolerance_of(model: Model) -> float:
    """Return the largest difference by rounding on outputs up to 1, by the coarsest of a model's computations."""
    return max(_TOLERANCES.get(layer.compute_dtype, TOLERANCE) for layer in flatten_layers(model))


def record(model: Model, file: Path, x: np.ndarray) -> None:
    """Write inputs and a model's outputs, with which `twoarg serve-check` compares its exports; see `record_of`.

    For an export in int8, `int8_record` does.
    """
    outputs, tolerance = _predict(model, x), tolerance_of(model)
    write_whole(file, lambda opened: np.savez_compressed(opened, inputs=x, outputs=outputs, tolerance=tolerance))


def export(
    model: Model,
    path: str | os.PathLike[str],
    format: str = "tf_saved_model",
    *,
    softmax: bool = False,
    pixels: bool = False,
    baked: bool = False,
    representative_dataset: ArrayLike | None = None,
) -> None:
    """Export a model for inference without keras_twoarg or Keras.

    `model.export(path)` works too. In addition, this function refuses a model whose phi is no longer shared, names
    missing packages, writes a whole export or none, and writes a baked model's look-ups as OpenVINO's GridSample, and
    for ONNX and LiteRT as the operations that their runtimes run fastest. From TensorFlow a SavedModel gets a second
    signature, `serving_compiled`, which XLA compiles, beside the portable `serving_default`.

    Beyond twice a table's extent OpenVINO returns the value at that border; the others extrapolate linearly.

    Args:
        model: A built Keras model.
        path: A folder for a SavedModel (servers look for versions: `.../name/1`), otherwise a file with the format's
            ending. It must not exist.
        format: `"tf_saved_model"`, `"onnx"`, `"openvino"` or `"litert"`. Defaults to `"tf_saved_model"`.
        softmax: As in `servable`. Defaults to `False`.
        pixels: As in `servable`. Defaults to `False`.
        baked: Whether to replace phi by tables with `bake` at its default tolerance. To calibrate them with data, call
            `bake` yourself and export its result. Defaults to `False`.
        representative_dataset: For `"litert"`: a few hundred inputs like those that the export will see, `(samples,
            ...)`. TensorFlow's converter then quantizes the whole model to int8 with ranges from these; a look-up of
            phi, baked or not, is one gather. Inputs and outputs remain floats. Some predictions change; `changes`
            counts them. Defaults to `None`, which exports float32.

    Examples:
        >>> formats.export(models.mlp((28, 28, 1), classes=10), "exported/digits/1", baked=True)
        >>> sorted(os.listdir("exported/digits/1"))
        ['assets', 'fingerprint.pb', 'saved_model.pb', 'variables']

    Raises:
        ValueError: If the format is unknown or cannot be written from Keras' backend; if the path exists, does not have
            the format's ending, or contains pattern characters (`[]*?`); if the model holds copies of one inner
            network, computes in a precision that the format's runtime does not run, or has parts or names of inputs
            that the format cannot hold; or if a representative dataset is given for another format, does not have the
            inputs' shape, or is not finite.
        ArithmeticError: If a weight is not finite.
        ImportError: If a package needed to write the format is missing.

    Warns:
        UserWarning: If XLA cannot compile the model. The SavedModel then has only the portable signature.
    """
    path = Path(path)
    check_target(path, format)
    backend = keras.backend.backend()
    if format != _WRITTEN_FROM.get(backend, format):
        raise ValueError(f"The format {format!r} cannot be written from {backend}. Set KERAS_BACKEND=tensorflow")
    assert_shared(model)
    writing.check_model(model, format)
    check_finite(model)
    if baked:
        model, _ = bake(model)
    model = servable(model, softmax=softmax, pixels=pixels)
    samples = None if representative_dataset is None else _representative(model, representative_dataset, format)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        written = Path(folder) / path.name  # some formats require an ending
        try:
            writing.write(model, written, format, samples)
        except ImportError as error:
            needed = FORMATS[format].writer
            raise ImportError(
                f"The format {format!r} needs a missing package ({error}): pip install {needed}"
            ) from error
        check_target(path, format)  # again, since another process may have been faster
        for source, target in zip(_files(written, format), _files(path, format), strict=True):
            os.replace(source, target)


def check_target(path: Path, format: str) -> None:
    """Raise a ValueError unless an export in this format can be written to a path."""
    one_of("format", format, FORMATS)
    ending = FORMATS[format].ending
    if ending and path.suffix != ending:
        raise ValueError(f"The name of a file in the format {format!r} must end in {ending}. Received: {path}")
    if other := [name for name, kind in FORMATS.items() if not ending and kind.ending and path.suffix == kind.ending]:
        raise ValueError(
            f"The format {format!r} is a folder, and {path.suffix} the ending of {other[0]!r}. Use this format, or a "
            f"name without the ending. Received: {path}"
        )
    if unreadable := sorted(set(str(path)) & set("[]*?")):
        raise ValueError(
            f"Runtimes treat {' '.join(unreadable)} in a path as a pattern. Use another path. Received: {path}"
        )
    for file in _files(path, format):
        if file.exists():
            raise ValueError(f"{file} already exists. Export to a new path; for a server, the next version")


def remove(path: Path, format: str) -> None:
    """Remove an export and its record."""
    for file in (*_files(path, format), record_of(path)):
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)


def record_of(path: Path) -> Path:
    """Return the file with the recorded inputs and outputs of an export, which lies beside it."""
    return path.parent / f"recorded-{path.name}.npz"


def _files(path: Path, format: str) -> list[Path]:
    """Return the files of an export, with the one that runtimes look for last, so that it completes the export."""
    second = FORMATS[format].second_file
    return [path.with_suffix(second), path] if second else [path]


def _representative(model: Model, samples: ArrayLike, format: str) -> np.ndarray:
    """Return samples for int8, or raise a ValueError if they or the model do not allow it."""
    if format != "litert":
        raise ValueError(f"`representative_dataset`, for int8, needs the format 'litert'. Received: format={format!r}")
    if not comparable(model):
        raise ValueError(
            f"int8 needs a model with one input and one output, of NumPy's numbers. Received: {model.name!r}"
        )
    litert_int8.check_places(model)
    (shape,) = (tuple(x.shape) for x in model.inputs)
    samples = np.asarray(samples)
    fits = samples.ndim == len(shape) and all(
        size in (None, own) for size, own in zip(shape, samples.shape, strict=True)
    )
    if not fits or not len(samples):
        raise ValueError(f"`representative_dataset` needs samples of shape {shape}. Received: shape={samples.shape}")
    samples = litert_int8.spread(samples)
    if not np.isfinite(samples).all():
        raise ValueError("`representative_dataset` must be finite. Received: NaN or infinity")
    return samples.astype(str(model.inputs[0].dtype))


def _predict(model: Model, x: np.ndarray) -> np.ndarray:
    with _full_precision():
        outputs = model(x, training=False)
    if isinstance(outputs, dict):
        (outputs,) = outputs.values()
    return np.asarray(keras.ops.convert_to_numpy(outputs))


@contextmanager
def _full_precision() -> Iterator[None]:
    """Compute float32 in full: on GPUs TensorFlow and JAX round factors to 10 bits (TF32), and runtimes do not."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
        return
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def comparable(model: Model) -> bool:
    """Return whether a model has one input and one output, of NumPy's numbers, as comparisons require."""
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    return len(inputs) == len(outputs) == 1 and not {inputs[0].dtype, outputs[0].dtype} & _NOT_IN_NUMPY


def random_inputs(model: Model, seed: int, number: int = 64) -> np.ndarray:
    """Return inputs for a comparison: valid tokens of the model's embeddings, or numbers in the model's range.

    Numbers are uniform within [-1, 1], for a model that rescales pixels or takes uint8 within [0, 255], and for one
    that normalizes its inputs within two standard deviations of their mean.

    Raises:
        ValueError: If the model is not `comparable`.
    """
    if not comparable(model):
        raise ValueError(
            f"Expected a model with one input and one output, of NumPy's numbers. Received: {model.name!r}"
        )
    return draw_inputs(model, seed, number)


def compare(model: Model, path: str | os.PathLike[str], x: np.ndarray, format: str = "tf_saved_model") -> Agreement:
    """Load an export in its own runtime and compare its outputs with the model's.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> formats.export(model, "exported/compared/1")
        >>> formats.compare(model, "exported/compared/1", formats.random_inputs(model, seed=0)).agrees
        True

    Raises:
        ValueError: If there is no such export at the path.
        ImportError: If the runtime is not installed.
    """
    run = runtimes.load(path, format)
    with _full_precision():
        expected, outputs = (found.astype("float64") for found in (_predict(model, x), run(x)))
    found = count_changes([expected], [outputs], tasks_of(model, [expected]))
    scale = float(np.abs(expected).max(initial=0.0))
    return Agreement(found.difference, scale, found.changed, found.predictions, tolerance_of(model))


def changes(
    model: Model, path: str | os.PathLike[str], x: np.ndarray, task: str = "auto", labels: ArrayLike | None = None
) -> Changes:
    """Load an export in int8 in its runtime, LiteRT, and count the predictions that differ from the model's.

    The `task`, as in `bake`, is the meaning of the outputs; `labels`, if known, help to judge it.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(200, 28, 28, 1)).astype("float32")
        >>> model = models.mlp((28, 28, 1), classes=10, seed=0)
        >>> formats.export(model, "exported/digits-int8.tflite", "litert", representative_dataset=x)
        >>> formats.changes(model, "exported/digits-int8.tflite", x).share < 0.1
        True
    """
    expected = outputs(model, x)
    return count_changes(expected, int8_outputs(path, x), tasks_of(model, expected, labels, task))


def int8_outputs(path: str | os.PathLike[str], x: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of an export in int8, which LiteRT computes; as a list, like those of a model."""
    run = runtimes.load(path, "litert")
    return [np.concatenate([run(x[start : start + _BATCH]) for start in range(0, len(x), _BATCH)])]
