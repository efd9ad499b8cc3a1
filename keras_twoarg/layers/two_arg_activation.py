"""TwoArgActivation: pre-activations -> arguments -> phi -> one output for each unit."""

from collections.abc import Sequence
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import keras
from keras import ops

from keras_twoarg.layers import auto_evaluation, ownership, sharing
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pairing_layer import PairingLayer
from keras_twoarg.layers.sharing import phi_config, revive
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
from keras_twoarg.utils.types import Config, Layer, Model, Shape, Shapes, Tensor, Tensors

EVALUATIONS = ("auto", "exact", "interpolated")
# Of each call of a recurrent layer that is under way: the tables that were made before its loop.
_tables_of_loops: WeakKeyDictionary[object, WeakKeyDictionary[Layer, Tensor]] = WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgActivation(PairingLayer):
    """Activation layer whose units take several arguments, by an inner network that all of them share.

    `y[..., i] = phi(x[..., 2i], x[..., 2i + 1])`

    Use one layer for each place in the model, all holding one `InnerNetwork`. The layer in front gives `arity`
    pre-activations for each unit: `Dense(128)` in front means 64 units.

    Args:
        inner: The `InnerNetwork` phi. It decides the arity. Defaults to a new one with two arguments.
        pairing: Which pre-activations are the arguments of unit i: `"adjacent"` for entries `2i, 2i + 1` (the
            paper's), or `"halves"` for entries `i, n + i` (the order of gated linear units). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated: `"exact"`; `"interpolated"`, by a table of phi that is made anew at each
            step (arity 1 and 2), with as many nodes as the inner network's `table_resolution`; an `Interpolation`, with
            nodes of its own; or `"auto"`, which interpolates from 52 units a sample on (128 samples of them have as
            many as a table of 81 x 81 has nodes), with one argument from 1 unit on, and is exact below. It can be set
            at any time, on a loaded or compiled model too (see `set_evaluation`), and is no part of the weights.
            Defaults to `"auto"`.
        axis: The axis that holds the arguments. Use `1` for channels_first images: the layer cannot tell them from
            others. Defaults to `-1`.
        **kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`, as for every Keras layer. Note that
            `trainable=False` freezes the inner network, here and when it is set, and so all the places that share it;
            set on a model that is compiled already, it takes effect when the model is compiled again.

    `layer.inner = other` puts another inner network into the layer, built or not; compile a compiled model again
    then, or use `set_phi(model, other)`, which changes all places and the optimizer.

    Call arguments:
        inputs: A tensor of pre-activations, or a list of `arity` tensors of one shape, one for each argument.
        training: Whether gradients will be wanted: memory then stays flat, at the price of some recomputation.

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
        ValueError: If `pairing` or `evaluation` is unknown, the axis is not a multiple of the arity, or that of the
            batch, or tensors in a list differ in number or shape from what the arity asks for; if the layer is another
            layer's `activation` (`Dense(6, activation=TwoArgActivation())` would have 3 outputs and declare 6: use
            `TwoArgDense`).

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871)
    """

    in_loop = False
    """Whether the layer is called at every step of a loop, in front of which a table is made: see `enter_loop`."""

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
        self.inner = InnerNetwork() if inner is None else inner
        if not self.trainable:
            self.inner.trainable = False
        self._units: int | None = None
        self._was_run = False
        self._evaluation: str | Interpolation = "auto"
        self.evaluation = evaluation

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; `inner` at any time, although Keras allows a built layer no other layers."""
        if name == "inner":
            self._set_inner(value)
        else:
            super().__setattr__(name, value)

    def _set_inner(self, inner: InnerNetwork) -> None:
        previous = getattr(self, "inner", None)
        self.check_inner(inner)
        if previous is None:
            super().__setattr__("inner", inner)
        elif inner is not previous:
            replace_layer(self, "inner", inner)
            if not self.trainable:
                inner.trainable = False
            if self.built:
                self._prepare_inner()
            _trace_anew([self])

    def check_inner(self, inner: InnerNetwork) -> None:
        """Raise a TypeError or ValueError if this cannot be the layer's inner network."""
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
        """How phi is to be evaluated."""
        return self._evaluation

    @evaluation.setter
    def evaluation(self, value: str | Interpolation) -> None:
        if self._change_evaluation(value):
            _trace_anew([self])

    def _change_evaluation(self, value: str | Interpolation) -> bool:
        """Set how phi is to be evaluated, and return whether what was traced before has to be traced anew."""
        self.check_evaluation(value)
        traced = self._was_run and value != self._evaluation
        self._evaluation = value
        return traced

    def check_evaluation(self, value: str | Interpolation) -> None:
        """Raise a ValueError if phi cannot be evaluated in this way."""
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
        """The nodes of the table that phi is looked up in, decided once a place is built; None where it is exact."""
        if isinstance(self._evaluation, Interpolation):
            return self._evaluation
        exact = self._evaluation == "exact" or (self._evaluation == "auto" and not self.inner.worth_a_table)
        if exact or self.arity > 2:
            return None
        return Interpolation(resolution=self.inner.table_resolution or auto_evaluation.FINE)

    @property
    def evaluation_in_use(self) -> str | Interpolation:
        """How phi is evaluated: what `"auto"` comes to, once the layer is built."""
        if self._evaluation != "auto":
            return self._evaluation
        if not self.built or self.grid is None:
            return "exact"
        pays = self.in_loop or auto_evaluation.table_will_pay(self._units, self.arity)
        return "interpolated" if pays else "exact"

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        """Call the layer, after making sure that a rebuilt graph still shares one phi."""
        sharing.check_graph(self.inner, (args, kwargs))
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: Shapes) -> None:
        """Build the inner network, unless another place has done so."""
        self.compute_output_shape(input_shape)  # raises if it does not fit
        units = units_shape(input_shape, self.arity, self.axis)[1:]
        self._units = None if None in units else prod(size or 0 for size in units)
        self._prepare_inner()

    def _prepare_inner(self) -> None:
        """Build the inner network and decide how fine its tables are, unless another place has done so."""
        self.inner.ensure_built()
        if self.inner.table_resolution is None:
            self.inner.table_resolution = auto_evaluation.resolution(self._units, self.arity)

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        """Apply phi to each unit's arguments."""
        if training:
            ownership.note_training(self.inner, self)
        return self._outputs(inputs, self._table(inputs, bool(training)), bool(training))

    def _table(self, inputs: Tensors, training: bool) -> Tensor | None:
        """Return the table to look arguments up in, shared with other places where that is certain, or None."""
        self._was_run = True
        grid, before_loop = self.grid, self._table_of_loop()
        if grid is None or before_loop is not None:
            return before_loop
        if self.evaluation_in_use == "exact" or (self.in_loop and self._evaluation == "auto"):
            return None  # within a loop a table at every step would cost more
        sizes = self.units_sizes(inputs)
        if self._without_table(sizes, training):
            return None
        step, key = shared_table.step(self.inner, self, inputs), (grid, training)
        cells = step.find(key)
        if cells is not None:
            return cells
        if self._evaluation == "auto" and not auto_evaluation.own_table_pays(step, sizes, grid.resolution**self.arity):
            return None
        return step.keep(key, table.make_table(step.values, self.inner.evaluate, grid, self.arity, training))

    def _outputs(self, inputs: Tensors, cells: Tensor | None, training: bool) -> Tensor:
        """Evaluate phi at each unit's arguments, in a table if there is one: `(..., n)`."""
        grid = self.grid
        if cells is not None and grid is not None:
            frozen = not self.inner.trainable_weights
            values = table.evaluate(self.flat_arguments(inputs), cells, grid, training, frozen)
        elif grid is not None and self._without_table(self.units_sizes(inputs), training):
            flat = ops.reshape(self.tuples(inputs), (-1, self.arity))
            values = table.evaluate_at_corners(flat, uncast_values(self.inner.weights), self.inner.evaluate, grid)
        else:
            values = self.inner(self.tuples(inputs), training=training)
        return ops.cast(self.in_units_shape(values, inputs), self.compute_dtype)

    def _without_table(self, sizes: Shape, training: bool) -> bool:
        """Return whether to look arguments up without a table, as units of this shape are few."""
        if training or self.grid is None or self.evaluation_in_use == "exact":
            return False
        if self.in_loop:  # a cell that is stepped by hand: the function of the loop's table, which is not there
            return self._evaluation == "auto"
        return auto_evaluation.corners_pay(sizes, self.arity, self.grid.resolution**self.arity)

    def enter_loop(self) -> None:
        """Make phi's table now, if it is to be interpolated, for the calls in a loop that is about to begin."""
        call, grid = call_under_way(), self.grid
        if call is not None and grid is not None:
            cells = table.make_table(uncast_values(self.inner.weights), self.inner.evaluate, grid, self.arity, False)
            _tables_of_loops.setdefault(call, WeakKeyDictionary())[self] = cells

    def _table_of_loop(self) -> Tensor | None:
        call = call_under_way() if self.in_loop else None
        return None if call is None else _tables_of_loops.get(call, {}).get(self)

    def get_config(self) -> Config:
        """Return the constructor's arguments; the inner network with its identity."""
        return {**super().get_config(), **phi_config(self.inner, self.evaluation)}

    @classmethod
    def from_config(cls, config: Config) -> "TwoArgActivation":
        """Rebuild a layer, with the inner network that its neighbours have (see `sharing_scope`)."""
        return revive(cls, config)


def places_of(model: Model, purpose: str) -> list[TwoArgActivation]:
    """Return the places of a model, or raise an error that says that there is nothing for a purpose."""
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"`model` must be a Keras model or layer. Received: {model!r} of type {type(model).__name__}")
    places = [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation)]
    if not places:
        raise ValueError(f"The model {model.name!r} holds no TwoArgActivation: there is nothing {purpose}")
    return places


def names_of(places: Sequence[TwoArgActivation]) -> dict[TwoArgActivation, str]:
    """Return a name of its own for each place: the layer's, with a number where layers of nested models share one."""
    names: dict[TwoArgActivation, str] = {}
    taken = {place.name for place in places}
    for place in places:
        name, number = place.name, 2
        while name in names.values() or (name in taken and name != place.name):
            name, number = f"{place.name}_{number}", number + 1
        names[place] = name
    return names


def set_evaluation(model: Model, evaluation: str | Interpolation) -> dict[str, str | Interpolation]:
    """Set how all places of a model evaluate phi; weights and files stay the same.

    Args:
        model: A Keras model, compiled or not. A model with a `train_step` of its own that calls other models must be
            compiled again if it has been trained before.
        evaluation: As in `TwoArgActivation`.

    Returns:
        For each place, by the layer's name, the evaluation in use: what `"auto"` comes to.

    Raises:
        TypeError: If `model` is no Keras model or layer.
        ValueError: If the model holds no `TwoArgActivation`, or the evaluation is unknown or does not fit the arity.
            Then nothing has changed.

    Examples:
        >>> model = models.cnn((28, 28, 1), classes=10)
        >>> list(set_evaluation(model, "auto").values())
        ['interpolated', 'interpolated', 'interpolated', 'interpolated']
    """
    places = places_of(model, "to set")
    for layer in places:
        layer.check_evaluation(evaluation)
    _trace_anew([layer for layer in places if layer._change_evaluation(evaluation)])
    return {name: layer.evaluation_in_use for layer, name in names_of(places).items()}


def _trace_anew(places: Sequence[TwoArgActivation]) -> None:
    """Have Keras trace the models anew that hold these places."""
    for model in models_with(places) if places else ():
        trace_anew(model)
