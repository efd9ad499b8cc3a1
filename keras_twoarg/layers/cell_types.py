"""CellTypes: several inner networks in one layer, each for a block of its units."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pairing_layer import PairingLayer
from keras_twoarg.layers.sharing import KeepsPhi
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.keras_internals import renew_parameters
from keras_twoarg.utils.types import Config, Shape, Shapes, Tensor, Tensors


@keras.saving.register_keras_serializable(package="keras_twoarg")
class CellTypes(KeepsPhi, PairingLayer):
    """Activation layer with several phis: K inner networks, one for each of K equal blocks of units.

    The first n / K of n units use the first network, the next n / K the second, and so on, as a cortical area has
    several types of cells. Each block is a `TwoArgActivation` within the layer, so its network can be shared with other
    layers, frozen, replaced and described like any other.

    Args:
        inner: The `InnerNetwork`s, two or more, of one arity.
        pairing: As in `TwoArgActivation`, over all units. Defaults to `"adjacent"`.
        evaluation: As in `TwoArgActivation`, for all blocks, or a list with one entry per block. Defaults to `"auto"`.
        axis: As in `TwoArgActivation`. Defaults to `-1`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer; `trainable=False` freezes the phis too.

    Input shape:
        `(batch, ..., arity * n)`, the width on axis `axis`, or `arity` tensors `(batch, ..., n)`

    Output shape:
        `(batch, ..., n)`

    Examples:
        >>> excitatory, inhibitory = InnerNetwork(name="excitatory"), InnerNetwork(name="inhibitory")
        >>> model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(128), CellTypes([excitatory, inhibitory])])
        >>> model.output_shape  # 32 units of each type
        (None, 64)

    Raises:
        TypeError: If `inner` is not a list of `InnerNetwork`s.
        ValueError: If there are fewer than two networks, they differ in arity, the units cannot be divided equally
            among them, or a list of evaluations has another length.
    """

    def __init__(
        self,
        inner: Sequence[InnerNetwork],
        *,
        pairing: str = "adjacent",
        evaluation: str | Interpolation | Sequence[str | Interpolation] = "auto",
        axis: int = -1,
        **kwargs: object,
    ) -> None:
        super().__init__(pairing, axis, **kwargs)
        if not isinstance(inner, list | tuple):
            raise TypeError(f"`inner` must be a list of InnerNetworks. Received: inner={inner!r} of type {type(inner)}")
        of_places: Config = {"dtype": self.dtype_policy, "trainable": self.trainable}
        evaluations = evaluation if isinstance(evaluation, list | tuple) else [evaluation] * len(inner)
        _check_number("evaluation", evaluations, len(inner))
        self.places = [
            TwoArgActivation(one, evaluation=how, axis=axis, name=f"{self.name}_{i}", **of_places)
            for i, (one, how) in enumerate(zip(inner, evaluations, strict=True), start=1)
        ]
        arities = {place.arity for place in self.places}
        if len(self.places) < 2 or len(arities) > 1:
            raise ValueError(
                f"Cell types need two or more inner networks of one arity. Received: {len(self.places)} of arity "
                f"{sorted(arities)}"
            )

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        return self.places[0].arity

    @property
    def inner(self) -> list[InnerNetwork]:
        """The inner networks, one per block. They can be set at any time, as in `TwoArgActivation`."""
        return [place.inner for place in self.places]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; `inner` is a list with one network per block."""
        if name != "inner":
            super().__setattr__(name, value)
            return
        _check_number("inner", value, len(self.places))
        networks = dict(zip(self.places, value, strict=True))
        for place, network in networks.items():
            place.check_inner(network)
        for place, network in networks.items():
            place.inner = network
        renew_parameters(self)  # torch does not see places in a list

    @property
    def evaluation(self) -> list[str | Interpolation]:
        """How each block evaluates its phi. It can be set at any time, for all blocks or as a list."""
        return [place.evaluation for place in self.places]

    @evaluation.setter
    def evaluation(self, value: str | Sequence[str]) -> None:
        evaluations = value if isinstance(value, list | tuple) else [value] * len(self.places)
        _check_number("evaluation", evaluations, len(self.places))
        for place, one in zip(self.places, evaluations, strict=True):
            place.check_evaluation(one)
        for place, one in zip(self.places, evaluations, strict=True):
            place.evaluation = one

    def build(self, input_shape: Shapes) -> None:
        """Build the blocks' places."""
        shape = list(self.compute_output_shape(input_shape))
        shape[self.axis] = self._units_of_a_type(shape)
        for place in self.places:
            place.build([tuple(shape)] * self.arity)

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        """Apply each block's phi to its units."""
        number = len(self.places)
        arguments = ops.unstack(self.tuples(inputs), axis=-1)  # each (..., n)
        blocks = zip(*(ops.split(one, number, axis=self.axis) for one in arguments), strict=True)
        outputs = [
            place(list(block), training=training) for place, block in zip(self.places, blocks, strict=True)
        ]  # each (..., n / K)
        return ops.concatenate(outputs, axis=self.axis)

    def _units_of_a_type(self, shape: Sequence[int | None]) -> int:
        """Return the number of units in a block, or raise a ValueError if the units cannot be divided equally."""
        units = shape[self.axis] or 0
        if units % len(self.places):
            raise ValueError(
                f"The units must be a multiple of the number of cell types, {len(self.places)}. Received: {units} units"
            )
        return units // len(self.places)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        """Return the shape of the outputs: one entry per unit."""
        shape = super().compute_output_shape(input_shape)
        self._units_of_a_type(shape)
        return shape


def _check_number(name: str, values: object, types: int) -> None:
    if not isinstance(values, list | tuple) or len(values) != types:
        raise ValueError(
            f"`{name}` must be a list with one for each of {types} cell types. Received: {name}={values!r}"
        )
