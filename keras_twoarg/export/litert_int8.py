"""Export to LiteRT in int8: TensorFlow's converter quantizes the model, and phi becomes one gather.

Two 8-bit arguments make a 16-bit integer, so a table of 65,536 numbers holds phi for all possible inputs: 256 steps
along each argument, over the range of the arguments on the calibration data. An interpolated or baked place keeps the
function of its own table.

The converter would quantize the interpolation in a table operation by operation, including cells and positions, which
ruins phi. And it has no fast integer operation for a LayerNorm's variance as Keras computes it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from keras_twoarg.export import bake
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops.look_up import look_up
from keras_twoarg.ops.pairing import to_tuples
from keras_twoarg.ops.windows import max_pool
from keras_twoarg.utils.keras_internals import flatten_layers, replaced_call, watched_calls
from keras_twoarg.utils.types import Model, Tensor, Tensors

if TYPE_CHECKING:
    from tensorflow.lite.python import schema_py_generated as schema

Place = TwoArgActivation | BakedActivation

CALIBRATION = 500
"""Samples, spread evenly over the given ones, from which the integers' ranges are chosen."""

_BATCH = 50
_WHOLE = {1: "uint8", 2: "uint16"}
"""The integer type that holds this many 8-bit arguments."""


def export(model: Model, path: Path, samples: np.ndarray) -> None:
    """Write a model in int8, on the TensorFlow backend.

    Args:
        model: A built model with one input and one output.
        path: The file, ending in `.tflite`. Its inputs and outputs are floats.
        samples: Inputs like those the model will see, as from `spread`.
    """
    import tensorflow as tf

    layers = flatten_layers(model)
    largest = _largest(model, [layer for layer in layers if isinstance(layer, Place)], samples)
    with ExitStack() as stack:
        for place, extent in largest.items():
            stack.enter_context(replaced_call(place, partial(_call, place, *_table(place, extent))))
        for layer in layers:
            plain = isinstance(layer, keras.layers.LayerNormalization) and not (layer.center or layer.scale)
            if plain and not getattr(layer, "rms_scaling", False):
                stack.enter_context(replaced_call(layer, partial(_normalize, layer)))
        model.export(
            str(path),
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=lambda: ([sample[None]] for sample in samples),
        )
    read_integers(path)


def spread(samples: np.ndarray) -> np.ndarray:
    """Return the samples for calibration, spread from the first to the last, since data may be sorted by class."""
    return samples[np.linspace(0, len(samples) - 1, min(len(samples), CALIBRATION)).round().astype(int)]


def check_places(model: Model) -> None:
    """Raise a ValueError if a model has places that no table of 65,536 numbers can hold."""
    for layer in flatten_layers(model):
        if isinstance(layer, Place) and layer.arity not in _WHOLE:
            raise ValueError(
                f"In int8 phi must have one or two arguments. Received: {layer.name!r} with {layer.arity} arguments"
            )


def _largest(model: Model, places: Sequence[Place], samples: np.ndarray) -> dict[Place, float]:
    """Return the largest absolute argument at each place that the model calls."""
    seen: dict[Place, list[float]] = {}

    def record(place: Place, inputs: Tensors) -> None:
        sizes = [ops.max(ops.abs(ops.cast(one, "float32"))) for one in keras.tree.flatten(inputs)]
        seen.setdefault(place, []).extend(float(size) for size in sizes)

    with watched_calls(places, record):
        for start in range(0, len(samples), _BATCH):
            model(samples[start : start + _BATCH], training=False)
    for place, sizes in seen.items():
        if not np.isfinite(sizes).all():
            raise ValueError(f"The representative dataset produces no finite pre-activations at {place.name!r}")
    return {place: max(1e-3, *sizes) for place, sizes in seen.items()}


def _table(place: Place, extent: float) -> tuple[float, np.ndarray]:
    """Return the step between neighbouring arguments, and a place's values, indexed by the packed integer."""
    step = extent / 127
    whole = np.arange(256**place.arity, dtype={1: "u1", 2: "<u2"}[place.arity])
    return step, _values(place, whole.view("int8").reshape(-1, place.arity) * np.float32(step))


def _values(place: Place, tuples: np.ndarray) -> np.ndarray:
    """Return what a place computes: phi, or if it is interpolated or baked, the function of its table."""
    if isinstance(place, BakedActivation):
        cells = ops.convert_to_tensor(place.cells.value)
        return np.asarray(ops.convert_to_numpy(look_up(ops.convert_to_tensor(tuples), cells, place.grid)))
    grid = place.grid
    if grid is None or place.evaluation_in_use == "exact":
        return place.inner.predict(tuples)[:, 0]
    return bake.look_up(grid, place.inner.predict(grid.nodes(place.arity)), tuples)[:, 0]


def _call(place: Place, step: float, values: np.ndarray, inputs: Tensors, training: bool | None = None) -> Tensor:
    """Replace a place's `call` by one gather, indexed by the packed arguments."""
    import tensorflow as tf

    steps = keras.tree.map_structure(partial(_to_int8, step), inputs)
    tuples = to_tuples(steps, place.arity, place.pairing, place.axis)
    whole = tf.bitcast(tuples if place.arity == 2 else tuples[..., 0], _WHOLE[place.arity])
    found = tf.cast(tf.gather(values, tf.cast(whole, tf.int32)), place.compute_dtype)
    pool_size = getattr(place, "pool_size", None)
    return found if pool_size is None else max_pool(found, pool_size, place.axis)


def _to_int8(step: float, x: Tensor) -> Tensor:
    """Return the nearest steps as integers; the converter quantizes the inputs with this step."""
    import tensorflow as tf

    quantize = tf.quantization.fake_quant_with_min_max_args
    rounded = quantize(tf.cast(x, tf.float32), -128 * step, 127 * step)
    return tf.cast(quantize(rounded * np.float32(1 / step), -128.0, 127.0), tf.int8)


def _normalize(layer: keras.layers.Layer, inputs: Tensor, **_: object) -> Tensor:
    """Replace a LayerNorm's `call` by operations that are fast on integers, without a squared difference."""
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    centered = inputs - ops.mean(inputs, axis, keepdims=True)
    return centered * ops.rsqrt(ops.mean(centered * centered, axis, keepdims=True) + layer.epsilon)


def read_integers(path: Path) -> None:
    """Make look-ups in a file read quantized arguments directly.

    The converter dequantizes them, scales them to steps of 1, and casts them back to the same integers. Where that is
    certain, the three operations are removed.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    file = flatbuffer_utils.read_model(str(path))
    (graph,) = file.subgraphs
    made = {output: operator for operator in graph.operators for output in operator.outputs}
    same: dict[int, int] = {}
    for cast in _operators(file, graph.operators, schema.BuiltinOperator.CAST):
        (back,) = _operators(file, [made.get(cast.inputs[0])], schema.BuiltinOperator.DEQUANTIZE) or [None]
        (scaled,) = _operators(file, [made.get(back.inputs[0])], schema.BuiltinOperator.MUL) if back else [None]
        if scaled and graph.tensors[cast.outputs[0]].type == schema.TensorType.INT8 and _is_one_step(file, scaled):
            same[cast.outputs[0]] = scaled.inputs[0]
    for pack in _operators(file, graph.operators, schema.BuiltinOperator.PACK):  # which pairs two tensors
        steps = [graph.tensors[same.get(tensor, tensor)].quantization for tensor in pack.inputs]
        if set(pack.inputs) <= set(same) and len({step.scale[0] for step in steps}) == 1:
            graph.tensors[pack.outputs[0]].quantization = steps[0]  # LiteRT requires one step for all of them
        else:
            same = {cast: whole for cast, whole in same.items() if cast not in pack.inputs}
    for operator in graph.operators:
        operator.inputs = [same.get(tensor, tensor) for tensor in operator.inputs]
    graph.operators = list(_still_used(graph))
    flatbuffer_utils.write_model(file, str(path))


def _operators(
    file: "schema.ModelT", operators: "Sequence[schema.OperatorT | None]", kind: int
) -> "list[schema.OperatorT]":
    """Return the operators of a kind; None entries are skipped."""

    def code(operator: "schema.OperatorT") -> int:
        known = file.operatorCodes[operator.opcodeIndex]
        return max(known.builtinCode, known.deprecatedBuiltinCode)  # where the schema's first 127 kinds are

    return [operator for operator in operators if operator is not None and code(operator) == kind]


def _is_one_step(file: "schema.ModelT", scaled: "schema.OperatorT") -> bool:
    """Return whether a multiplication of int8 by a constant leaves all integers unchanged."""
    tensors = file.subgraphs[0].tensors
    before, factor, after = (tensors[i] for i in (*scaled.inputs, scaled.outputs[0]))
    constant = file.buffers[factor.buffer].data
    if constant is None or len(constant) != 1 or before.quantization is None or before.quantization.zeroPoint is None:
        return False
    times = (int(np.int8(constant[0])) - factor.quantization.zeroPoint[0]) * factor.quantization.scale[0]
    zeros = (before.quantization.zeroPoint[0], after.quantization.zeroPoint[0])
    ratio = times * before.quantization.scale[0] / after.quantization.scale[0]
    return zeros == (0, 0) and abs(after.quantization.scale[0] - 1) < 1e-6 and abs(ratio - 1) < 1e-3


def _still_used(graph: "schema.SubGraphT") -> "Iterator[schema.OperatorT]":
    """Yield the operators of a graph whose outputs are used."""
    needed, used = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if needed & set(operator.outputs):
            needed |= set(operator.inputs)
            used.append(operator)
    yield from reversed(used)
