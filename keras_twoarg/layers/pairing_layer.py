"""PairingLayer: the base of layers that turn several pre-activations into one output."""

import keras
from keras import ops

from keras_twoarg.layers.placement import refuse_across_pixels, refuse_as_activation
from keras_twoarg.ops.pairing import (
    PAIRINGS,
    Masks,
    check_axis,
    to_arguments_apart,
    to_tuples,
    units_mask,
    units_shape,
)
from keras_twoarg.ops.xla import is_eager_tensorflow
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.types import Config, Shape, Shapes, Tensor, Tensors


class PairingLayer(keras.layers.Layer):
    """Base of layers whose units take several pre-activations: pairing, shapes, masks, and checks against misuse.

    Args:
        pairing: `"adjacent"` or `"halves"`, as in `TwoArgActivation`.
        axis: The axis of the arguments.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, pairing: str, axis: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pairing = one_of("pairing", pairing, PAIRINGS)
        self.axis = check_axis(axis)
        self.supports_masking = True

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        raise NotImplementedError

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        """Call the layer after checking that its place in the model makes sense."""
        if self.arity > 1:
            refuse_as_activation(self)
            refuse_across_pixels(self.axis, args[0] if args else kwargs.get("inputs"))
        return super().__call__(*args, **kwargs)

    def tuples(self, inputs: Tensors) -> Tensor:
        """Group inputs into argument tuples: the shape of the units' outputs plus a last axis of arity.

        Integers are cast to the layer's compute dtype.

        Examples:
            >>> tuple(TwoArgActivation(axis=1).tuples(np.zeros((3, 8, 5, 6), "float32")).shape)
            (3, 4, 5, 6, 2)
        """
        return self._as_floats(to_tuples(inputs, self.arity, self.pairing, self.axis))

    def flat_arguments(self, inputs: Tensors) -> Tensors:
        """Return the arguments of all units, flattened as `ops.look_up` takes them.

        One vector `(N,)` per argument if the inputs hold each argument contiguously, else tuples `(N, arity)`.
        """
        apart = to_arguments_apart(inputs, self.arity, self.pairing, self.axis)
        if apart is None:
            return ops.reshape(self.tuples(inputs), (-1, self.arity))
        return [self._as_floats(ops.reshape(argument, (-1,))) for argument in apart]

    def units_sizes(self, inputs: Tensors) -> Shape:
        """Return the shape of the units' outputs, with None for unknown sizes."""
        shape = keras.tree.map_structure(lambda one: tuple(one.shape), inputs)
        return units_shape(shape, self.arity, self.axis)

    def is_varied(self, inputs: Tensors) -> bool:
        """Return whether the number of units may vary, as with sequences of any length, and in eager mode always."""
        return is_eager_tensorflow() or None in self.units_sizes(inputs)[1:]

    def in_units_shape(self, values: Tensor, inputs: Tensors) -> Tensor:
        """Reshape flat outputs, `(N,)` or `(N, 1)`, to the shape of the units' outputs."""
        sizes = list(self.units_sizes(inputs))
        if sizes.count(None) > 1 or 0 in sizes:
            one = inputs[0] if isinstance(inputs, list | tuple) else inputs
            sizes = [now if size is None else size for size, now in zip(sizes, ops.shape(one), strict=True)]
        return ops.reshape(values, [-1 if size is None else size for size in sizes])

    def _as_floats(self, tensor: Tensor) -> Tensor:
        return tensor if keras.backend.is_float_dtype(tensor.dtype) else ops.cast(tensor, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        """Return the shape of the outputs: one entry per unit."""
        return units_shape(input_shape, self.arity, self.axis)

    def compute_mask(self, inputs: Tensors, previous_mask: Masks = None) -> Tensor | None:
        """Pass the mask on; several masks are combined by a logical and."""
        shape = keras.tree.map_structure(lambda one: tuple(one.shape), inputs)
        return units_mask(previous_mask, shape, self.arity, self.pairing, self.axis)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pairing": self.pairing, "axis": self.axis}
