"""One table per inner network and step, shared by the places that hold the network.

Making a table costs as much as thousands of exact evaluations. Places that hold one phi share a table if it is certain
that each of them would make the same one, and that gradients flow through it:

* *The weights have the same values.* On JAX, whose arrays are immutable, they are the same arrays. In a TensorFlow
graph they are the same variables, with no operation in between that could write them. In eager mode the values are
compared. A `keras.StatelessScope`, whose weights can be others with the same values, shares nothing with what is
outside.
* *phi computes the same.* Its activation is the same one. What else a class or an activation that is not Keras' or this
package's depends on may change between two eager calls: its table lasts for one call of the outermost layer or model.
* *The table can be used here.* A table made within a loop, a branch, or a function that is differentiated or
rematerialized separately stays there: it belongs to that TensorFlow graph or JAX trace.
* *The same gradients are recorded.* On TensorFlow, at most one gradient tape watches the weights, and as many watch the
table, so it is the same tape. On JAX the trace tells.

On torch a table lasts for one call of a model or layer of Keras or of this package: `backward` frees its graph.

A table never outlives the context that it was made in, and keeps neither models nor graphs in memory.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
import numpy as np

from keras_twoarg.utils import keras_internals
from keras_twoarg.utils.types import Layer, Tensor, Tensors

if TYPE_CHECKING:
    import tensorflow as tf

_ATTRIBUTE = "_keras_twoarg_tables"

# Tables by the inner network, StatelessScope or call within which they were made. Tensors of TensorFlow graphs refer to
# their graph, so graphs hold their tables themselves.
_tables: WeakKeyDictionary[object, dict[Hashable, "_Entry"]] = WeakKeyDictionary()


class _Entry(NamedTuple):
    """A table and its origin."""

    origin: Any  # specific to the backend
    activation: object
    cells: Tensor


class Step:
    """The tables that places with one phi can share at this point of a step.

    Attributes:
        values: The values of phi's weights, to make a table from.
        may_share: Whether later places in this step can use a table made here.
    """

    values: list[Tensor]
    may_share: bool
    _origin: object
    _shelf: dict[Hashable, _Entry]

    def __init__(self, inner: Layer) -> None:
        self._inner, self._activation = id(inner), getattr(inner, "activation", None)
        self.values = keras_internals.uncast_values(inner.weights)

    def find(self, key: Hashable) -> Tensor | None:
        """Return the table kept under this key if it can be used here, else None."""
        entry = self._shelf.get((self._inner, key))
        if entry is None or entry.activation is not self._activation or not self._is_valid(entry):
            return None
        return entry.cells

    def keep(self, key: Hashable, cells: Tensor) -> Tensor:
        """Keep a table for later places, and return it."""
        self._shelf[self._inner, key] = _Entry(self._origin, self._activation, cells)
        return cells

    def _is_valid(self, entry: _Entry) -> bool:
        raise NotImplementedError


def step(inner: Layer, inputs: Tensors) -> Step:
    """Return what a place can share now.

    Args:
        inner: The inner network, a built Keras layer.
        inputs: The inputs of the place that is being called, any of which a JAX transformation may be tracing.
    """
    kind = {"tensorflow": _TensorFlowStep, "jax": _JaxStep}.get(keras.backend.backend(), _TorchStep)
    return kind(inner, inputs)


def wants_no_gradient(inner: Layer, cells: Tensor) -> bool:
    """Return whether no gradient with respect to phi, through this table of it, can be wanted.

    phi is frozen; and on TensorFlow, Keras traces a step, or in eager mode nothing watches the table: a variable that
    Keras froze is still watched by all tapes, among them that of `fit`, which takes no gradient with respect to it. A
    function of the user's own may be traced now and differentiated when phi is no longer frozen.
    """
    if inner.trainable_weights:
        return False
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    if tf.executing_eagerly():
        return keras_internals.recorders([cells]) == 0
    return keras_internals.is_tracing_a_step(directly=True)


class _TensorFlowStep(Step):
    def __init__(self, inner: Layer, inputs: Tensors) -> None:
        import tensorflow as tf

        super().__init__(inner)
        self.values = [tf.convert_to_tensor(value) for value in self.values]
        self._recorders = keras_internals.recorders(self.values)
        self.may_share = self._recorders <= 1
        # Weights of one's own can have the values of phi's, but they have other gradients.
        scope = keras_internals.stateless_scope()
        if tf.executing_eagerly():
            self._shelf = _shelf_of_calls(inner) if scope is None else _tables.setdefault(scope, {})
            self._origin = self.values
            return
        graph = tf.compat.v1.get_default_graph()
        if not hasattr(graph, _ATTRIBUTE):
            setattr(graph, _ATTRIBUTE, WeakKeyDictionary())
        self._shelf = getattr(graph, _ATTRIBUTE).setdefault(inner if scope is None else scope, {})
        self._origin = tuple(_source(value, graph) for value in self.values)
        # It is unknown here how many places a loop or a branch holds, and how often it runs.
        self.may_share &= not keras_internals.is_loop_or_branch(graph)

    def _is_valid(self, entry: _Entry) -> bool:
        if isinstance(self._origin, list):
            same = all(map(_are_equal, entry.origin, self._origin))
        else:
            same = entry.origin == self._origin
        return same and self._recorders <= 1 and keras_internals.recorders([entry.cells]) == self._recorders


def _shelf_of_calls(inner: Layer) -> dict[Hashable, _Entry]:
    """Return the tables that eager calls share, or those of one call if phi may change between calls."""
    kinds = (type(inner).__module__, getattr(getattr(inner, "activation", None), "__module__", ""))
    if all(kind.startswith(("keras.", "keras_twoarg.")) for kind in kinds):
        return _tables.setdefault(inner, {})
    call = keras_internals.call_under_way()
    return {} if call is None else _tables.setdefault(call, {})


def _are_equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and np.array_equal(np.asarray(a), np.asarray(b))


def _source(value: "tf.Tensor", graph: object) -> Hashable:
    """Return what identifies a tensor's value in a graph: the variable, and the number of writes before it is read."""
    if getattr(value, "graph", None) is not graph:
        return object()  # from another graph: nothing is certain
    while value.op.type == "Identity":
        value = value.op.inputs[0]
    if value.op.type != "ReadVariableOp":
        return str(value.name)
    return str(value.op.inputs[0].name), keras_internals.writes_before(value.op)


class _JaxStep(Step):
    def __init__(self, inner: Layer, inputs: Tensors) -> None:
        import jax

        super().__init__(inner)
        self._trace = keras_internals.trace_state()
        scope = keras_internals.stateless_scope()
        traced = any(isinstance(one, jax.core.Tracer) for one in (*keras.tree.flatten(inputs), *self.values))
        self._origin = (self._trace, self.values)
        if scope is not None:
            self._shelf = _tables.setdefault(scope, {})
            # A step's variables belong to the trace of the step itself, not to that of a loop or branch within it.
            mapped = scope.state_mapping.values()
            self.may_share = not traced or any(keras_internals.is_of_trace(value, self._trace) for value in mapped)
        else:
            self._shelf = {} if traced else _shelf_of_calls(inner)
            self.may_share = not traced

    def _is_valid(self, entry: _Entry) -> bool:
        trace, values = entry.origin
        return trace == self._trace and all(a is b for a, b in zip(values, self.values, strict=True))


class _TorchStep(Step):
    def __init__(self, inner: Layer, inputs: Tensors) -> None:
        import torch

        super().__init__(inner)
        self._origin = (
            torch.is_grad_enabled(),
            [(id(value), getattr(value, "_version", None)) for value in self.values],
        )
        callers, call = keras_internals.layers_being_called(), keras_internals.call_under_way()
        # Within a layer or model of the user's own, `backward` may run between two calls.
        known = all(type(layer).__module__.startswith(("keras.", "keras_twoarg.")) for layer in callers)
        self.may_share = known and len(callers) > 1 and not any(map(keras_internals.is_rematerialized, callers))
        self._shelf = _tables.setdefault(call, {}) if self.may_share else {}

    def _is_valid(self, entry: _Entry) -> bool:
        return bool(entry.origin == self._origin)
