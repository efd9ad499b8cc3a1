"""Export baked look-ups as OpenVINO's GridSample: one operation instead of twenty, several times faster on a CPU.

GridSample interpolates bilinearly on a grid and clamps outside. The table is extended to twice its extent, so that it
extrapolates linearly there as a look-up does; farther out an export returns the value at the border.
"""

import os
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_twoarg.layers import baked_activation
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.look_up import look_up
from keras_twoarg.utils.keras_internals import flatten_layers, input_signature
from keras_twoarg.utils.types import Function, Model, NamedTensor, Outputs, Tensor, Tensors

if TYPE_CHECKING:
    import openvino


def export(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model as OpenVINO's IR, `path` (.xml) and the weights beside it (.bin). On the TensorFlow backend."""
    import openvino
    from openvino.frontend.tensorflow import ConversionExtension

    signature = [_specification(tensor) for tensor in model.inputs]
    # Each look-up is traced as one operation, which the converter passes to `_grid_sample`.
    with baked_activation.looking_up_with(_mark):
        traced = _trace(model, signature)
    converted = openvino.convert_model(traced, extension=[ConversionExtension("PyFuncStateless", _grid_sample)])
    for entry, tensor in zip(converted.inputs, model.inputs, strict=True):
        entry.get_node().set_friendly_name(tensor.name)
        entry.tensor.set_names({tensor.name})
    openvino.save_model(converted, str(path), compress_to_fp16=False)


def _specification(tensor: NamedTensor) -> object:
    import tensorflow as tf

    return tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)


def _trace(model: Model, signature: list[object]) -> Function:
    import tensorflow as tf

    def infer(*inputs: Tensor) -> Outputs:
        return model(*keras.tree.pack_sequence_as(structure, inputs), training=False)

    structure = input_signature(model)  # dicts or lists of the inputs, whose names OpenVINO would order in its own way
    return tf.function(infer, input_signature=signature).get_concrete_function()


def _mark(arguments: Tensors, cells: Tensor, grid: Interpolation) -> Tensor:
    import tensorflow as tf

    tuples = tf.stack(arguments, axis=-1) if isinstance(arguments, list | tuple) else arguments
    if tuples.shape[-1] != 2:
        return look_up(tuples, cells, grid)

    def never(*_: object) -> Tensor:
        raise NotImplementedError("This operation marks a place for OpenVINO's converter; it is never run")

    # GridSample maps coordinates within [-1, 1] to the whole table.
    reach = grid.extent + _added(grid.resolution) * grid.step
    values = tf.numpy_function(never, [tuples / reach, cells], tf.float32, stateful=False)
    return tf.ensure_shape(values, [None])


def _grid_sample(node: "openvino.Node") -> "list[openvino.Output]":
    """Return the GridSample that replaces a marked look-up."""
    from openvino import opset13 as opset  # opset 9 brought GridSample

    coordinates, table = node.get_input(0), _continued(node.get_input(1).get_node().data)
    side = len(table)

    def integers(*values: int) -> "openvino.Node":
        return opset.constant(np.array(values, dtype=np.int64))

    # The first coordinate runs along the last axis of the table.
    image = opset.constant(np.ascontiguousarray(table.T).reshape(1, 1, side, side))
    points = opset.reshape(coordinates, integers(1, -1, 1, 2), False)
    settings = {"align_corners": True, "mode": "bilinear", "padding_mode": "border"}
    values = opset.grid_sample(image, points, settings)
    return opset.reshape(values, integers(-1), False).outputs()


def _continued(cells: np.ndarray) -> np.ndarray:
    """Return the table of nodes, extended to twice its extent, given the cells."""
    resolution = round(len(cells) ** 0.5) - 1
    added = _added(resolution)
    index = np.arange(1 - added, resolution + added + 1)  # 1 is the first node's cell
    cell = np.clip(index, 0, resolution)
    position = (index - cell).astype("float32")
    c0, c1, c2, twist = np.moveaxis(np.asarray(cells).reshape(*[resolution + 1] * 2, 4)[np.ix_(cell, cell)], -1, 0)
    f1, f2 = position[:, None], position[None, :]
    return np.asarray(c0 + f1 * c1 + f2 * (c2 + f1 * twist), "float32")


def _added(resolution: int) -> int:
    """Return the number of nodes added on each side of a table: half of its own."""
    return resolution // 2


def applies(model: Model) -> bool:
    """Return whether a model has look-ups that this export speeds up."""
    places = [layer for layer in flatten_layers(model) if isinstance(layer, baked_activation.BakedActivation)]
    return keras.backend.backend() == "tensorflow" and any(layer.arity == 2 for layer in places)
