"""TwoArgActivation: pre-activations -> arguments -> phi -> one output for each unit."""

from collections.abc import Sequence
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras import ops

from keras_twoarg.layers import auto_evaluation, ownership
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pairing_layer import PairingLayer
from keras_twoarg.layers.sharing import KeepsPhi
from keras_twoarg.ops import shared_table, table
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.pairing import units_shape
from keras_twoarg.utils.keras_internals import (
    call_under_way,
    flatten_layers,
    models_with,
    replace_layer,
    trace_anew,
    uncast_values,
)
from keras_twoarg.utils.types import Layer, Model, Shapes, Tensor, Tensors

EVALUATIONS = ("auto", "exact", "interpolated")
# The tables made before the loop of each recurrent layer that is being called.
_tables_of_loops: WeakKeyDictionary[object, WeakKeyDictionary[Layer, Tensor]] = WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgActivation(KeepsPhi, PairingLayer):
    """Activation layer whose units apply one shared inner network to several arguments.

    `y[..., i] = phi(x[..., 2i], x[..., 2i + 1])`

    Use one layer for each place in the model, all holding one `InnerNetwork`. The preceding layer supplies `arity`
    pre-activations per unit: 64 units follow a `Dense(128)`.

    Args:
        inner: The `InnerNetwork` phi, which determines the arity. Defaults to a new one with two arguments.
        pairing: Which pre-activations are the arguments of unit i: `"adjacent"` for entries `2i, 2i + 1` (the
            paper's), or `"halves"` for entries `i, n + i` (the order of gated linear units). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated: `"exact"`; `"interpolated"`, in a table of phi that is recomputed at each step
            (arity 1 or 2) and has the inner network's `table_resolution`; an `Interpolation`, for a table with other
            nodes; or `"auto"`, which interpolates from 52 units per sample (128 samples then have as many units as a
            table of 81 x 81 has nodes), or from 1 unit for one argument, and is exact below. It can be changed at any
            time, also on a loaded or compiled model (see `set_evaluation`), and does not affect the weights. Defaults
            to `"auto"`.
        axis: The axis of the arguments. Use `1` for channels_first images, which the layer cannot recognize by itself.
            Defaults to `-1`.
        **kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`, as for every Keras layer. Note that
            `trainable=False`, here or set later, freezes the inner network and so every place that shares it. As always
            in Keras, compile the model again after changing it.

    `layer.inner = other` replaces the layer's inner network, also if the layer is built. A compiled model must then be
    compiled again; `set_phi(model, other)` changes all places and the optimizer as well.

    Call arguments:
        inputs: A tensor of pre-activations, or a list of `arity` tensors of one shape, one per argument.
        training: Whether gradients will be computed; some values are then recomputed to save memory.

    Input shape:
        `(batch, ..., arity * n)`, the width on axis `axis`, or `arity` tensors `(batch, ..., n)`

    Output shape:
        `(batch, ..., n)`

    Examples:
        >>> inner = InnerNetwork()
        >>> model = keras.Sequential([
        ...     keras.Input((784,)),
        ...     keras.layers.Dense(128), TwoArgActivation(inner),  # (batch, 64)
        ...     keras.layers.Dense(128), TwoArgActivation(inner),  # (batch, 64)
        ...     keras.layers.Dense(10),
        ... ])
        >>> model.output_shape
        (None, 10)
        >>> basal = apical = np.zeros((3, 5), "float32")
        >>> tuple(TwoArgActivation(inner)([basal, apical]).shape)
        (3, 5)

    Raises:
        TypeError: If `inner` is not an `InnerNetwork`.
        ValueError: If `pairing` or `evaluation` is unknown, `axis` is the batch axis or its size is not a multiple of
            the arity, a list does not hold `arity` tensors of one shape, or the layer is another layer's `activation`
            (`Dense(6, activation=TwoArgActivation())` would have 3 outputs and declare 6: use `TwoArgDense`).

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2021](https://arxiv.org/abs/2110.06871)
    """

    in_loop = False
    """Whether the layer is called at every step of a loop, before which `enter_loop` makes a table."""

    def __init__(
        self,
        inner: InnerNetwork | None = None,
        *,
        pairing: str = "adjacent",
        evaluation: str | Interpolation = "auto",
        axis: int = -1,
        **kwargs: object,
    ) -> None:
        super().__init__(pairing, axis, **kwargs)
        self.inner = InnerNetwork(dtype=self.dtype_policy) if inner is None else inner
        if not self.trainable:
            self.inner.trainable = False
        self._units: int | None = None
        self._was_run = False
        self._evaluation: str | Interpolation = "auto"
        self.evaluation = evaluation

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; `inner` can be set at any time, although Keras locks the layers within a built layer."""
        if name == "inner":
            if self.replace_inner(value):
                retrace([self])
        else:
            super().__setattr__(name, value)

    def replace_inner(self, inner: InnerNetwork) -> bool:
        """Set the inner network, and return whether existing traces are outdated."""
        previous = getattr(self, "inner", None)
        self.check_inner(inner)
        if previous is None:
            super().__setattr__("inner", inner)
        if previous is None or inner is previous:
            return False
        replace_layer(self, "inner", inner)
        if not self.trainable:
            inner.trainable = False
        if self.built:
            self._prepare_inner()
        return True

    def check_inner(self, inner: InnerNetwork) -> None:
        """Raise a TypeError or ValueError unless this can be the layer's inner network."""
        if not isinstance(inner, InnerNetwork):
            raise TypeError(f"`inner` must be an InnerNetwork. Received: inner={inner!r} of type {type(inner)}")
        previous = self.inner if hasattr(self, "inner") else inner
        if inner.arity != previous.arity:
            raise ValueError(
                f"Only an inner network of arity {previous.arity} fits the layer {self.name!r}. "
                f"Received: an inner network of arity {inner.arity}"
            )

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        return self.inner.arity

    @property
    def evaluation(self) -> str | Interpolation:
        """How phi is evaluated, as it was set."""
        return self._evaluation

    @evaluation.setter
    def evaluation(self, value: str | Interpolation) -> None:
        if self._change_evaluation(value):
            retrace([self])

    def _change_evaluation(self, value: str | Interpolation) -> bool:
        """Set how phi is evaluated, and return whether existing traces are outdated."""
        self.check_evaluation(value)
        traced = self._was_run and value != self._evaluation
        self._evaluation = value
        return traced

    def check_evaluation(self, value: str | Interpolation) -> None:
        """Raise a ValueError unless phi can be evaluated this way."""
        if not isinstance(value, Interpolation) and value not in EVALUATIONS:
            raise ValueError(
                f"`evaluation` must be one of {EVALUATIONS} or an Interpolation. Received: evaluation={value!r}"
            )
        if value not in ("auto", "exact") and self.arity > 2:
            raise ValueError(
                f"Interpolated evaluation takes one or two arguments. Received: an inner network of arity {self.arity}"
            )

    @property
    def grid(self) -> Interpolation | None:
        """The nodes of phi's table, which are settled once a place is built; None if phi is never interpolated."""
        if isinstance(self._evaluation, Interpolation):
            return self._evaluation
        exact = self._evaluation == "exact" or (self._evaluation == "auto" and not self.inner.worth_a_table)
        if exact or self.arity > 2:
            return None
        return Interpolation(resolution=self.inner.table_resolution or auto_evaluation.FINE)

    @property
    def evaluation_in_use(self) -> str | Interpolation:
        """How phi is evaluated; `"auto"` is resolved once the layer is built."""
        if self._evaluation != "auto":
            return self._evaluation
        if not self.built or self.grid is None:
            return "exact"
        pays = self.in_loop or auto_evaluation.table_will_pay(self._units, self.arity)
        return "interpolated" if pays else "exact"

    def build(self, input_shape: Shapes) -> None:
        """Build the inner network unless another place has built it."""
        self.compute_output_shape(input_shape)  # raises if the shape does not fit
        units = units_shape(input_shape, self.arity, self.axis)[1:]
        self._units = None if None in units else prod(size or 0 for size in units)
        self._prepare_inner()

    def _prepare_inner(self) -> None:
        """Build the inner network and choose the resolution of its tables, unless another place has."""
        self.inner.ensure_built()
        if self.inner.table_resolution is None:
            self.inner.table_resolution = auto_evaluation.resolution(self._units, self.arity)

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        """Apply phi to each unit's arguments."""
        return self._outputs(inputs, self._table(inputs, bool(training)), bool(training))

    def _table(self, inputs: Tensors, training: bool) -> Tensor | None:
        """Return the table to look up arguments in, shared with other places if that is safe.

        None if phi is exact here, or if it is cheaper to evaluate it at the corners of the tuples' cells.
        """
        self._was_run = True
        if training:
            ownership.note_training(self.inner, self)
        grid = self._grid_in_use
        if grid is None:
            return None
        if (before_loop := self._table_of_loop()) is not None:
            return before_loop
        sizes, nodes = self.units_sizes(inputs), grid.resolution**self.arity
        if not training and auto_evaluation.corners_pay(sizes, self.arity, nodes, places=auto_evaluation.PLACES):
            return None
        step, key = shared_table.step(self.inner, inputs), (grid, training)
        cells = step.find(key)
        if cells is not None:
            return cells
        if not step.may_share and auto_evaluation.corners_pay(sizes, self.arity, nodes, places=1):
            return None
        return step.keep(key, table.make_table(step.values, self.inner.evaluate, grid, self.arity, training))

    def _outputs(self, inputs: Tensors, cells: Tensor | None, training: bool) -> Tensor:
        """Evaluate phi at each unit's arguments, `(..., n)`: by the table, without one at the corners, or exactly."""
        grid = self._grid_in_use
        if grid is None:
            values = self.inner(self.tuples(inputs), training=training)
        elif cells is not None:
            frozen, varied = shared_table.wants_no_gradient(self.inner, cells), self.is_varied(inputs)
            values = table.evaluate(self.flat_arguments(inputs), cells, grid, training, frozen, varied)
        else:
            tuples, weights = ops.reshape(self.tuples(inputs), (-1, self.arity)), uncast_values(self.inner.weights)
            values = table.evaluate_at_corners(tuples, weights, self.inner.evaluate, grid, training)
        return ops.cast(self.in_units_shape(values, inputs), self.compute_dtype)

    @property
    def _grid_in_use(self) -> Interpolation | None:
        return None if self.evaluation_in_use == "exact" else self.grid

    def enter_loop(self) -> None:
        """Make phi's table, if it is interpolated, for the calls in a loop that is about to begin."""
        call, grid = call_under_way(), self._grid_in_use
        if call is not None and grid is not None:
            cells = table.make_table(uncast_values(self.inner.weights), self.inner.evaluate, grid, self.arity, False)
            _tables_of_loops.setdefault(call, WeakKeyDictionary())[self] = cells

    def _table_of_loop(self) -> Tensor | None:
        call = call_under_way() if self.in_loop else None
        return None if call is None else _tables_of_loops.get(call, {}).get(self)


def places_of(model: Model, purpose: str) -> list[TwoArgActivation]:
    """Return the places of a model, or raise an error: there is nothing `purpose`."""
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"`model` must be a Keras model or layer. Received: {model!r} of type {type(model).__name__}")
    places = [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation)]
    if not places:
        raise ValueError(f"The model {model.name!r} holds no TwoArgActivation: there is nothing {purpose}")
    return places


def names_of(places: Sequence[TwoArgActivation]) -> dict[TwoArgActivation, str]:
    """Return a unique name for each place: the layer's name, numbered if layers of nested models share it."""
    names: dict[TwoArgActivation, str] = {}
    taken = {place.name for place in places}
    for place in places:
        name, number = place.name, 2
        while name in names.values() or (name in taken and name != place.name):
            name, number = f"{place.name}_{number}", number + 1
        names[place] = name
    return names


def set_evaluation(model: Model, evaluation: str | Interpolation) -> dict[str, str | Interpolation]:
    """Set how all places of a model evaluate phi. The weights do not change.

    Args:
        model: A Keras model, compiled or not. If it has a custom `train_step` that calls other models and has been
            trained, compile it again.
        evaluation: As in `TwoArgActivation`.

    Returns:
        The evaluation in use at each place, by the layer's name, with `"auto"` resolved.

    Raises:
        TypeError: If `model` is not a Keras model or layer.
        ValueError: If the model holds no `TwoArgActivation`, or the evaluation is unknown or does not suit the arity.
            The model is then unchanged.

    Examples:
        >>> model = models.cnn((28, 28, 1), classes=10)
        >>> list(set_evaluation(model, "auto").values())
        ['interpolated', 'interpolated', 'interpolated', 'interpolated']
    """
    places = places_of(model, "to set")
    for layer in places:
        layer.check_evaluation(evaluation)
    retrace([layer for layer in places if layer._change_evaluation(evaluation)])
    return {name: layer.evaluation_in_use for layer, name in names_of(places).items()}


def retrace(places: Sequence[TwoArgActivation]) -> None:
    """Make Keras retrace the models that hold these places."""
    for model in models_with(places) if places else ():
        trace_anew(model)
