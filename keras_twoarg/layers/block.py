"""Block: the common base of layers that hold a place and compute its pre-activations themselves."""

from collections.abc import Sequence
from typing import Any, cast

from keras_twoarg.layers import sharing
from keras_twoarg.layers.cell_types import CellTypes
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.keras_internals import renew_parameters


class Block(sharing.KeepsPhi):
    """Mixin for Keras layers that hold a place: gives access to the place, its phi and its evaluation.

    Attributes:
        units: Number of outputs.
        place: The `TwoArgActivation`, or the `CellTypes` for several inner networks.
    """

    units: int
    place: TwoArgActivation | CellTypes

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        return self.place.arity

    @property
    def inner(self) -> InnerNetwork | list[InnerNetwork]:
        """The inner network, or those of the cell types. It can be set at any time, as in `TwoArgActivation`."""
        return self.place.inner

    @property
    def evaluation(self) -> str | Interpolation | list[str | Interpolation]:
        """How phi is evaluated. It can be set at any time, as in `TwoArgActivation`."""
        return self.place.evaluation

    @evaluation.setter
    def evaluation(self, value: str) -> None:
        self.place.evaluation = value

    @property
    def places(self) -> list[TwoArgActivation]:
        """The place, or those of the cell types."""
        return [self.place] if isinstance(self.place, TwoArgActivation) else list(self.place.places)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; `inner` is set on the place."""
        if name == "inner":
            setattr(self.place, "inner", value)  # noqa: B010 (a property for readers, see CellTypes)
            for layer in (self, self.place):
                renew_parameters(layer)
        else:
            super().__setattr__(name, value)


def place_for(inner: InnerNetwork | Sequence[InnerNetwork] | None, **kwargs: Any) -> TwoArgActivation | CellTypes:
    """Return the layer that applies one inner network, or several to equal blocks of units."""
    if isinstance(inner, list | tuple):
        return CellTypes(inner, **kwargs)
    return TwoArgActivation(cast("InnerNetwork | None", inner), **kwargs)
