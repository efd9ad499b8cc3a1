"""TwoArgActivation: pre-activations -> arguments -> phi -> one output for each unit."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from math import prod
from typing import Any

import keras
from keras import ops

from keras_twoarg.layers import auto_evaluation, sharing
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.ops import shared_table, table
from keras_twoarg.ops.pairing import check_pairing, join_masks, to_tuples, units_shape
from keras_twoarg.ops.shared_table import Shared
from keras_twoarg.ops.table import Interpolation
from keras_twoarg.utils.keras_internals import flatten_layers, models_with, trace_anew

EVALUATIONS = ("auto", "exact", "interpolated")


class _Parameters(int):
    """A number of parameters that Keras' `summary`, which formats it by `:,`, prints with a remark behind it."""

    remark = ""

    def __format__(self, spec: str) -> str:
        plain = format(int(self), spec)
        return f"{plain} ({self.remark})" if spec == "," else plain


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgActivation(keras.layers.Layer):
    """Activation layer whose units take several arguments, by an inner network that all of them share.

    `y[..., i] = phi(x[..., 2i], x[..., 2i + 1])`

    Use one layer for each place in the model, all holding one `InnerNetwork`. The layer in front gives `arity`
    pre-activations for each unit: `Dense(128)` in front means 64 units.

    Args:
        inner: The `InnerNetwork` phi. It decides the arity. Defaults to a new one with two arguments.
        pairing: Which pre-activations are the arguments of unit i: `"adjacent"` for entries `2i, 2i + 1` (the
            paper's), or `"halves"` for entries `i, n + i` (the order of gated linear units). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated: `"exact"`; `"interpolated"` or an `Interpolation` with settings of its own,
            by a table of phi that is made anew at each step (arity 1 and 2); or `"auto"`, which interpolates where
            128 samples have at least as many units as the table has nodes, 6,561 (52 units in a sample) or, for one
            argument, 81, and is exact elsewhere. It can be set at any time, on a loaded or compiled model too (see
            `set_evaluation`), and is no part of the weights. Defaults to `"auto"`.
        **kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`, as for every Keras layer. Note that
            `trainable` acts on the inner network, and so on all the places that share it.

    Call arguments:
        inputs: A tensor of pre-activations, or a list of `arity` tensors of one shape, one for each argument.
        training: Whether gradients will be wanted: memory then stays flat, at the price of some recomputation.

    Input shape:
        `(batch, ..., arity * n)`, or `arity` tensors `(batch, ..., n)`

    Output shape:
        `(batch, ..., n)`

    Example:
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
        ValueError: If `pairing` or `evaluation` is unknown, the last axis is not a multiple of the arity, or tensors
            in a list differ in number or shape from what the arity asks for.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871)
    """

    def __init__(
        self,
        inner: InnerNetwork | None = None,
        *,
        pairing: str = "adjacent",
        evaluation: str | Interpolation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if inner is not None and not isinstance(inner, InnerNetwork):
            raise TypeError(f"`inner` must be an InnerNetwork. Received: inner={inner!r} of type {type(inner)}")
        self.inner = InnerNetwork() if inner is None else inner
        self.pairing = check_pairing(pairing)
        self._units: int | None = None
        self._was_run = False
        self.evaluation = evaluation
        self.supports_masking = True

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
        if not isinstance(value, Interpolation) and value not in EVALUATIONS:
            raise ValueError(
                f"`evaluation` must be one of {EVALUATIONS} or an Interpolation. Received: evaluation={value!r}"
            )
        if value not in ("auto", "exact") and self.arity > 2:
            raise ValueError(
                f"Interpolated evaluation takes one or two arguments. Received: an inner network of arity {self.arity}"
            )
        traced = self._was_run and value != self._evaluation
        self._evaluation = value
        return traced

    @property
    def grid(self) -> Interpolation | None:
        """The nodes of the table that phi is looked up in, or None where it is exact always."""
        if isinstance(self._evaluation, Interpolation):
            return self._evaluation
        exact = self._evaluation == "exact" or (self._evaluation == "auto" and not self.inner.worth_a_table)
        return None if exact or self.arity > 2 else Interpolation()

    @property
    def units(self) -> int | None:
        """Units of one sample, or None as long as it is not known."""
        return self._units

    @property
    def evaluation_in_use(self) -> str | Interpolation:
        """How phi is evaluated: what `"auto"` comes to for 128 samples, once the layer is built."""
        if self._evaluation != "auto":
            return self._evaluation
        if not self.built or self.grid is None:
            return "exact"
        pays = auto_evaluation.table_will_pay(self, self.grid.resolution**self.arity)
        return "interpolated" if pays else "exact"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, after making sure that a rebuilt graph still shares one phi."""
        sharing.check_graph(self.inner, (args, kwargs))
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Build the inner network, unless another place has done so."""
        self.compute_output_shape(input_shape)  # raises if it does not fit
        units = units_shape(input_shape, self.arity)[1:]
        self._units = None if None in units else prod(size or 0 for size in units)
        if not self.inner.built:
            self.inner.build((None, self.arity))
        auto_evaluation.register(self)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply phi to each unit's arguments."""
        tuples = to_tuples(inputs, self.arity, self.pairing)  # (..., n, arity)
        return self._outputs(tuples, self._table(tuples, bool(training)), bool(training))

    def _table(self, tuples: Any, training: bool) -> Shared | None:
        """Return the table to look these tuples up in, shared with other places where that is certain, or None."""
        self._was_run = True
        grid = self.grid
        if grid is None:
            return None
        step, key, nodes = shared_table.step(self.inner, self, tuples), (grid, training), grid.resolution**self.arity
        shared = step.find(key)
        if shared is not None:
            return shared
        pays = self._evaluation != "auto" or auto_evaluation.table_pays(self, step, tuples, nodes, training)
        make = partial(table.make_table, step.values, self.inner.evaluate, grid, self.arity, training)
        if isinstance(pays, bool):
            return step.keep(key, make()) if pays else None
        nothing = partial(ops.zeros, ((grid.resolution - 1) ** self.arity, 2**self.arity))
        return step.keep(key, ops.cond(pays, make, nothing), pays)

    def _outputs(self, tuples: Any, shared: Shared | None, training: bool) -> Any:
        """Evaluate phi at tuples `(..., n, arity)`, in a table if there is one: `(..., n)`."""

        def exact() -> Any:
            return ops.cast(ops.squeeze(self.inner(tuples, training=training), axis=-1), self.compute_dtype)

        def looked_up() -> Any:
            flat, frozen = ops.reshape(tuples, (-1, self.arity)), not self.inner.trainable_weights
            values = table.evaluate(flat, shared.cells, self.grid, training, frozen)
            return ops.cast(ops.reshape(values, ops.shape(tuples)[:-1]), self.compute_dtype)

        if shared is None:
            return exact()
        if shared.condition is True:
            return looked_up()
        return ops.cond(shared.condition, looked_up, exact)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the outputs: one entry for each unit."""
        return units_shape(input_shape, self.arity)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Pass a mask on; of several arguments' masks, their conjunction."""
        return join_masks(previous_mask)

    def count_params(self) -> int:
        """Return the inner network's number of parameters. Keras' `summary` prints the evaluation in use behind it."""
        number = _Parameters(super().count_params())
        number.remark = "exact" if self.evaluation_in_use == "exact" else "interpol."  # its column is 13 wide
        return number

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the inner network with its identity."""
        return {
            **super().get_config(),
            "inner": sharing.serialize_inner(self.inner),
            "pairing": self.pairing,
            "evaluation": asdict(self.evaluation) if isinstance(self.evaluation, Interpolation) else self.evaluation,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TwoArgActivation":
        """Rebuild a layer, with the inner network that its neighbours have (see `sharing_scope`)."""
        config = dict(config)
        if isinstance(config["inner"], dict):
            config["inner"] = sharing.revive_inner(config["inner"])
        if isinstance(config.get("evaluation"), dict):
            config["evaluation"] = Interpolation(**config["evaluation"])
        return cls(**config)


def set_evaluation(model: Any, evaluation: str | Interpolation) -> dict[str, str | Interpolation]:
    """Set how all places of a model evaluate phi; weights and files stay the same.

    Args:
        model: A Keras model, compiled or not.
        evaluation: As in `TwoArgActivation`.

    Returns:
        For each place, by the layer's name, the evaluation in use: what `"auto"` comes to.

    Raises:
        ValueError: If the evaluation is unknown or does not fit the arity.

    Example:
        >>> model = models.cnn((28, 28, 1), classes=10)
        >>> list(set_evaluation(model, "auto").values())
        ['interpolated', 'interpolated', 'interpolated', 'interpolated']
    """
    places = [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation)]
    _trace_anew([layer for layer in places if layer._change_evaluation(evaluation)])
    return {layer.name: layer.evaluation_in_use for layer in places}


def _trace_anew(places: Sequence[TwoArgActivation]) -> None:
    """Have Keras trace the models anew that hold these places."""
    for model in models_with(places) if places else ():
        trace_anew(model)
