"""How a tensor of pre-activations becomes argument tuples.

A unit of arity a reads a entries of the last axis. Which ones is the *pairing*:

* `"adjacent"`: unit i reads entries a*i, ..., a*i + a - 1 (Yoon et al., arXiv 2110.06871).
* `"halves"`: unit i reads entries i, n + i, ..., (a - 1)*n + i, the order of gated linear units.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import keras
from keras import ops

PAIRINGS = ("adjacent", "halves")


def check_pairing(pairing: str) -> str:
    """Return `pairing`, or raise a ValueError that lists the known ones."""
    if pairing not in PAIRINGS:
        raise ValueError(f"`pairing` must be one of {PAIRINGS}. Received: pairing={pairing!r}")
    return pairing


def unit_count(shape: Sequence[int | None], arity: int) -> int:
    """Return the number of units that a tensor of pre-activations with this shape feeds."""
    if len(shape) < 2:
        raise ValueError(
            "Pre-activations need a batch axis and a last axis that holds the arguments, "
            f"for example (batch, {arity} * units). Received: shape={tuple(shape)}"
        )
    width = shape[-1]
    if width is None:
        raise ValueError(f"The last axis must have a known size. Received: shape={tuple(shape)}")
    if width % arity:
        raise ValueError(
            f"The last axis must be a multiple of {arity}, the arity of the inner network: {arity} pre-activations "
            f"for each unit. Received: last axis = {width} (shape={tuple(shape)}). "
            f"Give the layer in front {width - width % arity + arity} units, or another multiple of {arity}."
        )
    return width // arity


def units_shape(shape: Any, arity: int) -> tuple[int | None, ...]:
    """Return the shape of the units' outputs, from the shape of one tensor or the shapes of several."""
    if len(shape) == 0 or not isinstance(shape[0], list | tuple):
        return (*shape[:-1], unit_count(shape, arity))
    shapes = [tuple(one) for one in shape]
    if len(shapes) != arity or len(set(shapes)) > 1:
        raise ValueError(
            f"An inner network of arity {arity} takes one tensor, or a list of {arity} tensors of one shape. "
            f"Received: shapes={shapes}"
        )
    return shapes[0]


def to_tuples(x: Any, arity: int, pairing: str) -> Any:
    """Group pre-activations into argument tuples: (..., arity * n), or a list of (..., n), -> (..., n, arity)."""
    if isinstance(x, list | tuple):
        units_shape([tuple(one.shape) for one in x], arity)
        return ops.stack(x, axis=-1)
    shape = ops.shape(x)
    lead, units = shape[:-1], unit_count(x.shape, arity)
    if pairing == "adjacent":
        return ops.reshape(x, (*lead, units, arity))
    return ops.swapaxes(ops.reshape(x, (*lead, arity, units)), -1, -2)


def join_masks(masks: Any) -> Any:
    """Return the conjunction of the masks of a tensor or of several, or None where there are none."""
    present = [mask for mask in keras.tree.flatten(masks) if mask is not None]
    return reduce(ops.logical_and, present) if present else None
