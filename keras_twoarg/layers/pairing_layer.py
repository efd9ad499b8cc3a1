"""PairingLayer: what the layers have in common that make one output of several pre-activations."""

import keras
from keras import ops

from keras_twoarg.layers.placement import refuse_across_pixels, refuse_as_activation
from keras_twoarg.ops.pairing import (
    Masks,
    check_axis,
    check_pairing,
    to_arguments_apart,
    to_tuples,
    units_mask,
    units_shape,
)
from keras_twoarg.utils.types import Config, Shape, Shapes, Tensor, Tensors


class PairingLayer(keras.layers.Layer):
    """Base of layers whose units take several pre-activations: which these are, shapes, masks, and misuse.

    Args:
        pairing: `"adjacent"` or `"halves"`, as in `TwoArgActivation`.
        axis: The axis that holds the arguments.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, pairing: str, axis: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pairing = check_pairing(pairing)
        self.axis = check_axis(axis)
        self.supports_masking = True

    @property
    def arity(self) -> int:
        """Arguments of each unit."""
        raise NotImplementedError

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        """Call the layer, after making sure that it stands where its outputs mean what they should."""
        if self.arity > 1:
            refuse_as_activation(self)
            refuse_across_pixels(self.axis, args[0] if args else kwargs.get("inputs"))
        return super().__call__(*args, **kwargs)

    def tuples(self, inputs: Tensors) -> Tensor:
        """Group inputs into argument tuples: a tensor with the shape of the units' outputs, and a last axis of arity.

        Integers become numbers of the layer's compute dtype.

        Examples:
            >>> tuple(TwoArgActivation(axis=1).tuples(np.zeros((3, 8, 5, 6), "float32")).shape)
            (3, 4, 5, 6, 2)
        """
        return self._as_floats(to_tuples(inputs, self.arity, self.pairing, self.axis))

    def flat_arguments(self, inputs: Tensors) -> Tensors:
        """Return the arguments of all units one behind the other, as `ops.look_up` takes them.

        Where first and second arguments lie apart they are vectors `(N,)`, else tuples `(N, arity)`.
        """
        apart = to_arguments_apart(inputs, self.arity, self.pairing, self.axis)
        if apart is None:
            return ops.reshape(self.tuples(inputs), (-1, self.arity))
        return [self._as_floats(ops.reshape(argument, (-1,))) for argument in apart]

    def units_sizes(self, inputs: Tensors) -> Shape:
        """Return the shape of the units' outputs, with None for what is not known yet."""
        shape = keras.tree.map_structure(lambda one: tuple(one.shape), inputs)
        return units_shape(shape, self.arity, self.axis)

    def in_units_shape(self, values: Tensor, inputs: Tensors) -> Tensor:
        """Give the units' outputs, `(N,)` or `(N, 1)`, their shape."""
        sizes = list(self.units_sizes(inputs))
        if sizes.count(None) > 1 or 0 in sizes:
            one = inputs[0] if isinstance(inputs, list | tuple) else inputs
            sizes = [now if size is None else size for size, now in zip(sizes, ops.shape(one), strict=True)]
        return ops.reshape(values, [-1 if size is None else size for size in sizes])

    def _as_floats(self, tensor: Tensor) -> Tensor:
        return tensor if keras.backend.is_float_dtype(tensor.dtype) else ops.cast(tensor, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        """Return the shape of the outputs: one entry for each unit."""
        return units_shape(input_shape, self.arity, self.axis)

    def compute_mask(self, inputs: Tensors, previous_mask: Masks = None) -> Tensor | None:
        """Pass a mask on; of several arguments' masks, their conjunction."""
        shape = keras.tree.map_structure(lambda one: tuple(one.shape), inputs)
        return units_mask(previous_mask, shape, self.arity, self.pairing, self.axis)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pairing": self.pairing, "axis": self.axis}
