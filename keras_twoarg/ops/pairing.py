"""Pairing: how a tensor of pre-activations becomes argument tuples.

A unit of arity a reads a entries of one axis, by default the last. The *pairing* says which:

* `"adjacent"`: unit i reads entries a*i, ..., a*i + a - 1 (Yoon et al., arXiv 2110.06871).
* `"halves"`: unit i reads entries i, n + i, ..., (a - 1)*n + i, the order of gated linear units.
"""

from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_twoarg.utils.types import Shape, Shapes, Tensor, Tensors

PAIRINGS = ("adjacent", "halves")

Masks: TypeAlias = Tensor | Sequence[Tensor | None] | None
"""The mask of a layer's input, or the masks of its inputs; None where nothing is masked."""


def check_axis(axis: int) -> int:
    """Return `axis` as a Python `int`, or raise a ValueError unless it is an integer other than 0, the batch axis."""
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer) or axis == 0:
        raise ValueError(
            "`axis` must be an integer other than 0: -1 for the last axis, 1 for the channels of channels_first "
            f"images. Axis 0 holds the samples. Received: axis={axis!r}"
        )
    return int(axis)


def positive_axis(axis: int, rank: int) -> int:
    """Return an axis of a tensor with `rank` axes as a positive number, or raise a ValueError."""
    counted = axis + rank if axis < 0 else axis
    if not 0 < counted < rank:
        raise ValueError(
            f"The axis that holds the arguments must be one of 1 to {rank - 1}, or counted from the end -1 to "
            f"{1 - rank}: axis 0 holds the samples. Received: axis={axis} for a tensor with {rank} axes"
        )
    return counted


def unit_count(shape: Sequence[int | None], arity: int, axis: int) -> int:
    """Return the number of units for a tensor of pre-activations with this shape."""
    if len(shape) < 2:
        raise ValueError(
            "Pre-activations need a batch axis and a last axis that holds the arguments, "
            f"for example (batch, {arity} * units). Received: shape={tuple(shape)}"
        )
    counted = positive_axis(axis, len(shape))
    name = "last axis" if counted == len(shape) - 1 else f"axis {counted}"
    width = shape[counted]
    if width is None:
        raise ValueError(f"The {name} must have a known size. Received: shape={tuple(shape)}")
    if width % arity:
        raise ValueError(
            f"The {name} must be a multiple of {arity}, the arity of the inner network: {arity} pre-activations "
            f"for each unit. Received: {name} = {width} (shape={tuple(shape)}). "
            f"Give the preceding layer {width - width % arity + arity} units, or another multiple of {arity}."
        )
    return width // arity


def units_shape(shape: Shapes, arity: int, axis: int = -1) -> Shape:
    """Return the shape of the units' outputs, given the shape of one tensor or the shapes of several.

    Of several, an unknown size is what the others say.
    """
    if len(shape) == 0 or not isinstance(shape[0], list | tuple):
        units = unit_count(shape, arity, axis)
        counted = positive_axis(axis, len(shape))
        return (*shape[:counted], units, *shape[counted + 1 :])
    shapes = [tuple(one) for one in shape]
    known = [{size for size in sizes if size is not None} for sizes in zip(*shapes, strict=False)]
    if len(shapes) != arity or any(len(one) != len(known) for one in shapes) or any(len(one) > 1 for one in known):
        raise ValueError(
            f"An inner network of arity {arity} takes one tensor, or a list of {arity} tensors of one shape. "
            f"Received: shapes={shapes}"
        )
    return tuple(min(one, default=None) for one in known)


def to_tuples(x: Tensors, arity: int, pairing: str, axis: int = -1) -> Tensor:
    """Group pre-activations into argument tuples: (..., arity * n), or a list of (..., n), -> (..., n, arity).

    For another axis than the last, that axis holds the units of the result, and tuples are still last: (batch, arity *
    n, height, width) -> (batch, n, height, width, arity) for `axis=1`.
    """
    if isinstance(x, list | tuple):
        units_shape([tuple(one.shape) for one in x], arity)
        return ops.stack(x, axis=-1)
    shape = _sizes(x)
    units, axis = unit_count(x.shape, arity, axis), positive_axis(axis, len(shape))
    lead, rest = shape[:axis], shape[axis + 1 :]
    if pairing == "halves":
        return _moved_last(ops.reshape(x, (*lead, arity, units, *rest)), axis)
    tuples = ops.reshape(x, (*lead, units, arity, *rest))
    return _moved_last(tuples, axis + 1) if rest else tuples


def _moved_last(x: Tensor, axis: int) -> Tensor:
    """Move an axis to the end; torch's `vmap` does not support `ops.moveaxis`."""
    return ops.transpose(x, [other for other in range(len(x.shape)) if other != axis] + [axis])


def _sizes(x: Tensor) -> Sequence[int]:
    """Return a tensor's sizes, with -1 for a single unknown one, which spares exports an operation."""
    if sum(size is None for size in x.shape) != 1 or 0 in x.shape:
        return ops.shape(x)
    return [-1 if size is None else size for size in x.shape]


def to_arguments_apart(x: Tensors, arity: int, pairing: str, axis: int) -> list[Tensor] | None:
    """Split pre-activations into `arity` tensors (..., n) if each argument is contiguous; else return None."""
    if isinstance(x, list | tuple):
        units_shape([tuple(one.shape) for one in x], arity)
        return list(x)
    unit_count(x.shape, arity, axis)
    runs = pairing == "halves" and positive_axis(axis, len(x.shape)) == len(x.shape) - 1
    return list(ops.split(x, arity, axis=-1)) if runs and arity > 1 else None


def to_arguments(x: Tensors, arity: int, pairing: str, axis: int) -> list[Tensor]:
    """Split pre-activations into `arity` tensors (..., n): the first arguments of all units, the second ones, ...

    Units come first, (batch, n, height, width) for images: a unit's arguments are then whole planes, and ONNX's
    convolutions have their channels there anyway.
    """
    if isinstance(x, list | tuple):
        units_shape([tuple(one.shape) for one in x], arity)
        return list(x)
    moved = ops.moveaxis(x, positive_axis(axis, len(x.shape)), 1)
    (samples, _, *rest), units = ops.shape(moved), unit_count(moved.shape, arity, 1)
    if pairing == "halves":
        return list(ops.unstack(ops.reshape(moved, (samples, arity, units, *rest)), axis=1))
    return list(ops.unstack(ops.reshape(moved, (samples, units, arity, *rest)), axis=2))


def join_masks(masks: Masks) -> Tensor | None:
    """Return the logical and of the masks of one tensor or several, or None if there are none."""
    present = [mask for mask in keras.tree.flatten(masks) if mask is not None]
    return reduce(ops.logical_and, present) if present else None


def units_mask(mask: Masks, shape: Shapes, arity: int, pairing: str, axis: int) -> Tensor | None:
    """Return the mask of the units' outputs, given the masks and the shape or shapes of the inputs.

    If the mask has the axis of the arguments (paired time steps), an output is valid if all of its arguments are.
    """
    joined = join_masks(mask)
    if joined is None or (len(shape) and isinstance(shape[0], list | tuple)):
        return joined
    counted = positive_axis(axis, len(shape))
    if counted >= len(joined.shape):
        return joined
    return ops.all(to_tuples(joined, arity, pairing, counted), axis=-1)
