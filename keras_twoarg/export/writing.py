"""How a model becomes a file of each format, and what a format cannot hold."""

import errno
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.export import litert_int8, onnx_file, openvino, runtimes, saved_model
from keras_twoarg.export.calibration import concrete
from keras_twoarg.export.runtimes import FORMATS
from keras_twoarg.layers.baked_activation import looking_up_plane_by_plane, looking_up_with
from keras_twoarg.ops.look_up import look_up, look_up_by_columns
from keras_twoarg.utils.keras_internals import flatten_layers, input_signature, was_called
from keras_twoarg.utils.types import Model

PORTABLE_ALONE = f"The export has no signature {runtimes.COMPILED!r}, since XLA cannot compile the model"
_NAMED_BY_TENSORFLOW = ("tf_saved_model", "litert")
_WITHOUT_TABLES = ("onnx", "openvino")
_NAME = r"[A-Za-z0-9.][A-Za-z0-9_.>-]*"


def check_model(model: Model, format: str) -> None:
    """Raise a ValueError if a format cannot hold a model, or its runtime not run it."""
    names = [x.name for x in getattr(model, "inputs", None) or []]
    if format in _NAMED_BY_TENSORFLOW and (wrong := [name for name in names if not re.fullmatch(_NAME, name)]):
        raise ValueError(
            "TensorFlow needs names of inputs from the letters a to z, digits and _.>- alone. Received: "
            f"{', '.join(map(repr, wrong))}. Rename one by x = keras.Input(shape, name='x'); keras.Model(x, model(x))"
        )
    layers = flatten_layers(model)
    tables = [one.name for one in layers if isinstance(one, keras.layers.StringLookup | keras.layers.IntegerLookup)]
    if tables and format in _WITHOUT_TABLES:
        raise ValueError(
            f"{FORMATS[format].runtime} has no tables of words or integers. Received: {', '.join(tables)}. Export a "
            "SavedModel, or the model without these layers"
        )
    if unknown := sorted({layer.compute_dtype for layer in layers} & set(FORMATS[format].not_run)):
        raise ValueError(
            f"{FORMATS[format].runtime} does not run {unknown[0]}, in which {model.name!r} computes. Export a "
            "SavedModel; or build the model under keras.config.set_dtype_policy('float32'), give it the weights by "
            "`set_weights(model.get_weights())`, and export that"
        )


def check_stateless(model: Model) -> None:
    """Raise a ValueError if a layer keeps a state between calls, whose batch size is fixed: no export does that."""
    if stateful := [one.name for one in flatten_layers(model) if isinstance(one, keras.layers.RNN) and one.stateful]:
        raise ValueError(
            f"An export keeps no state between calls. Received: {', '.join(stateful)}, which do. Build the model with "
            "stateful=False, and give it the weights by `set_weights(model.get_weights())`"
        )


def write(model: Model, path: Path, format: str, samples: np.ndarray | None = None) -> None:
    """Write a model, in int8 if there are representative samples, as each exporter needs it."""
    _call_once(model)
    if format == "openvino" and openvino.applies(model):
        openvino.export(model, path)
        return
    try:
        if format == "tf_saved_model" and keras.backend.backend() == "tensorflow":
            problem = saved_model.write(model, path)
            if problem:
                warnings.warn(f"{PORTABLE_ALONE}: {problem}", stacklevel=3)
            return
        if samples is not None:
            with _unrolled(model):
                litert_int8.export(model, path, samples)
            return
        if format == "onnx" and keras.backend.backend() == "tensorflow":
            with looking_up_plane_by_plane(), _with_constants(model):
                model.export(str(path), format=format, verbose=False)
            onnx_file.check_inputs(path, len(model.inputs))
            onnx_file.gather_numbers(path)
            return
        if format == "litert":
            with looking_up_with(look_up_by_columns), _unrolled(model):
                model.export(str(path), format=format, verbose=False)
            return
        with looking_up_with(look_up):
            model.export(str(path), format=format, verbose=False)
    except Exception as error:  # TensorFlow raises its own error for a full disk
        if type(error).__name__ == "ResourceExhaustedError":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent.parent)) from error
        raise


@contextmanager
def _unrolled(model: Model) -> Iterator[None]:
    """Unroll recurrent layers, since LiteRT does not support their loops."""
    inputs = getattr(model, "inputs", None) or []
    known = bool(inputs) and all(size is not None for x in inputs for size in x.shape[1:])
    loops = [layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    if loops and not known:
        raise ValueError(
            "LiteRT cannot loop over sequences of unknown length. Build the model with a fixed length, as in "
            f"keras.Input((64, 8)). Received: {model.name!r} with {[tuple(x.shape) for x in inputs]}"
        )
    for layer in loops:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in loops:
            layer.unroll = False


@contextmanager
def _with_constants(model: Model) -> Iterator[None]:
    """Hold what Normalization layers have adapted as arrays: tf2onnx makes inputs of TensorFlow's tensors."""
    layers = [one for one in flatten_layers(model) if isinstance(one, keras.layers.Normalization) and one.built]
    adapted = [(layer.mean, layer.variance) for layer in layers]
    for layer in layers:
        layer.mean, layer.variance = map(keras.ops.convert_to_numpy, (layer.mean, layer.variance))
    try:
        yield
    finally:
        for layer, both in zip(layers, adapted, strict=True):
            layer.mean, layer.variance = both


def _call_once(model: Model) -> None:
    """Call a model that was built or loaded but never called, as some exporters require."""
    if getattr(model, "inputs", None) and not was_called(model):
        specs = input_signature(model)
        model(*keras.tree.map_structure(lambda spec: keras.ops.zeros(concrete(spec.shape), spec.dtype), specs))
