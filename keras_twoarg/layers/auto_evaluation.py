"""What `evaluation="auto"` decides: whether phi is looked up in a table, and how fine the table is.

A table of R nodes along each argument costs R ** arity exact evaluations; a look-up costs a fortieth of one. Both
decisions are made for `BATCH` samples, whatever the size of a batch, so that a model computes the same function in
`fit`, in `predict`, and in an export.

* *Table or exact*, for `evaluation="auto"`: a table if the samples have at least as many units as the fine table has
  nodes.
* *Fine or coarse*: fine if making the table costs no more than the look-ups of the samples. All places that hold one
  phi should share one table, so the first place decides for all of them, and phi saves the number with its config.

All places that hold one phi share one table, made once in a step, wherever that is certain to be correct
(`ops.shared_table`). Where it is not (in a loop, in a branch, under several gradient tapes), each place makes its own.
A call that is known to have few tuples makes none: phi is evaluated only at the corners of their cells, which gives the
same function. So a place that is interpolated is so in every call.
"""

from math import prod

from keras_twoarg.ops.interpolation import RESOLUTION
from keras_twoarg.utils.types import Shape

BATCH = 128
"""Samples that the decisions assume."""
FINE, COARSE = RESOLUTION, 41
"""Nodes along each argument: steps of 1/8 and 1/4 on [-5, 5]."""
_LOOK_UPS = 40  # that cost as much as one exact evaluation of phi
PLACES = 4
"""Places that are assumed to share a table."""


def resolution(units: int | None, arity: int) -> int:
    """Return the nodes along each argument of phi's tables.

    Args:
        units: Units per sample in phi's first place, or None for sequences or images of any size.
        arity: Arguments of phi.

    Examples:
        >>> resolution(64, arity=2), resolution(26 * 26 * 60, arity=2), resolution(64, arity=1)
        (41, 81, 81)
    """
    return FINE if units is None or BATCH * units >= _LOOK_UPS * FINE**arity else COARSE


def table_will_pay(units: int | None, arity: int) -> bool:
    """Return whether a table pays for a place.

    Args:
        units: Units per sample, or None for sequences or images of any size.
        arity: Arguments of phi.
    """
    return units is None or BATCH * units >= FINE**arity


def corners_pay(sizes: Shape, arity: int, nodes: int, places: int) -> bool:
    """Return whether phi at the corners of the tuples' cells costs less than a place's part of a table.

    Args:
        sizes: Shape of the units of a call, `(batch, ..., units)`.
        arity: Arguments of phi.
        nodes: Nodes of the table.
        places: Places that share it.
    """
    known = [size for size in sizes if isinstance(size, int)]
    return len(known) == len(sizes) and places * 2**arity * prod(known) <= nodes
