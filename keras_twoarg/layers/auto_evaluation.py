"""What `evaluation="auto"` comes to: a table where making it costs less than the exact evaluations that it saves.

A table of R nodes along each argument costs R ** arity exact evaluations; a look-up costs a fortieth of one. So a place
is given a table where `BATCH` samples have at least as many units as the table has nodes: a rule that asks for the
place alone, so that a model computes the same function in `fit`, in `predict`, for any batch, and in an export.

All places that hold one phi share one table, made once in a step, where that is certain (`ops.shared_table`). Where it
is not (in a loop, in a branch, under several gradient tapes) each would make its own: there a place is exact, unless
the tuples of the call are themselves as many as the nodes.
"""

from math import prod

from keras_twoarg.ops.shared_table import Step
from keras_twoarg.utils.types import Tensor

BATCH = 128
"""The samples for which it is decided."""


def table_will_pay(units: int | None, nodes: int) -> bool:
    """Return whether a place is given a table.

    Args:
        units: Units of one sample, or None for sequences or images of any size.
        nodes: Nodes of the table.
    """
    return units is None or BATCH * units >= nodes


def own_table_pays(step: Step, tuples: Tensor, nodes: int) -> bool:
    """Return whether a place that is being called is given its table here.

    Args:
        step: What it can share.
        tuples: Its argument tuples `(batch, ..., arity)`.
        nodes: Nodes of the table.
    """
    sizes = tuples.shape[:-1]
    return step.may_share or prod(size for size in sizes if isinstance(size, int)) >= nodes or not _known(sizes)


def _known(sizes: tuple[int | None, ...]) -> bool:
    return all(isinstance(size, int) for size in sizes)
