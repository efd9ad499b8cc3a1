"""Where values of a model go: into its output, or into a product, with no layer that learns in between."""

from collections.abc import Callable

import keras

from keras_twoarg.models.conversion.graph import Call, calls, is_graph
from keras_twoarg.utils.types import Model

Which = Callable[[Call], bool]


def gives_output(model: Model) -> set[int]:
    """Return which tensors, by identity, reach the model's output without passing a layer with weights."""
    return _leading(model, {id(tensor) for tensor in model.outputs}, lambda call: False, _learns_nothing)


def is_multiplied(model: Model) -> set[int]:
    """Return which tensors are multiplied with others, themselves or after layers of one input without weights."""
    return _leading(model, set(), _is_product, lambda call: len(call.data) == 1 and _learns_nothing(call))


def _leading(model: Model, ends: set[int], is_end: Which, passes: Which) -> set[int]:
    """Return `ends`, what `is_end` reads, and what leads there through calls that `passes` lets through.

    Tensors of nested models are among them.
    """
    found = set(ends)
    for call in reversed(calls(model)):
        reached = any(id(tensor) in found for tensor in call.outputs)
        if is_graph(call.operation):
            inner: Model = call.operation
            pairs = zip(call.outputs, inner.outputs, strict=True)
            inside = _leading(inner, {id(own) for outer, own in pairs if id(outer) in found}, is_end, passes)
            found |= inside
            found |= {id(outer) for outer, own in zip(call.data, inner.inputs, strict=False) if id(own) in inside}
        elif is_end(call) or (reached and passes(call)):
            found |= {id(tensor) for tensor in call.data}
    return found


def _learns_nothing(call: Call) -> bool:
    """Tell whether a call has no weights, but for the constants of a `Normalization`."""
    return isinstance(call.operation, keras.layers.Normalization) or not getattr(call.operation, "weights", ())


def _is_product(call: Call) -> bool:
    return type(call.operation).__name__ == "Multiply" and len(call.inputs) > 1
