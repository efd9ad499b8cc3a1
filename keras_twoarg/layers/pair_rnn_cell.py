"""PairRNNCell: a recurrent cell with a fixed function of two arguments, and the base that learned cells share."""

from typing import Any

import keras
from keras import ops

from keras_twoarg.layers.pair_activation import FUNCTIONS
from keras_twoarg.utils.checks import one_of, positive_integer
from keras_twoarg.utils.types import Config, Shape, Tensor, Tensors, Variable

ARGUMENTS = ("separate", "mixed")


class ArgumentsCell(keras.layers.SimpleRNNCell):
    """Base of cells whose units take several arguments: creates the kernels and biases, and computes one time step.

    Args:
        units: Number of outputs, and size of the state.
        arguments: One of `ARGUMENTS`.
        dropout: Fraction of the inputs to drop.
        recurrent_dropout: Fraction of the state to drop.
        **kwargs: As for `keras.layers.SimpleRNNCell`.

    Raises:
        ValueError: If `units` is not a positive integer, `arguments` is unknown, or a dropout rate is not in [0, 1).
    """

    def __init__(
        self, units: int, arguments: str, dropout: float = 0.0, recurrent_dropout: float = 0.0, **kwargs: object
    ) -> None:
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= rate < 1:  # Keras would clip it
                raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={rate!r}")
        units = positive_integer("units", units, ": the number of outputs")
        super().__init__(units, activation=None, dropout=dropout, recurrent_dropout=recurrent_dropout, **kwargs)
        self.arguments = one_of("arguments", arguments, ARGUMENTS)

    @property
    def arity(self) -> int:
        """Number of arguments of each unit."""
        return 2

    def build(self, input_shape: Shape) -> None:
        """Create the kernels and the biases."""
        width = self.units if self.arguments == "separate" else self.arity * self.units
        self.kernel = self._add("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._add("recurrent", (self.units, width), name="recurrent_kernel")
        self.bias = self._add("bias", (self.arity * self.units,)) if self.use_bias else None

    def _add(self, kind: str, shape: Shape, name: str | None = None) -> Variable:
        settings = {key: getattr(self, f"{kind}_{key}") for key in ("initializer", "regularizer", "constraint")}
        return self.add_weight(name=name or kind, shape=shape, **settings)

    def call(self, sequence: Tensor, states: Tensors, training: bool = False) -> tuple[Tensor, Tensors]:
        """Compute one time step; return the outputs and, in a list, the new state, which equals them."""
        state = states[0] if isinstance(states, list | tuple) else states
        input_mask, state_mask = super().get_dropout_mask(sequence), self.get_recurrent_dropout_mask(state)
        if training and input_mask is not None:
            sequence = sequence * input_mask
        if training and state_mask is not None:
            state = state * state_mask
        from_input, from_state = ops.matmul(sequence, self.kernel), ops.matmul(state, self.recurrent_kernel)
        outputs = self.activate(self._arguments(from_input, from_state), training)
        return outputs, [outputs] if isinstance(states, list | tuple) else outputs

    def activate(self, arguments: Tensors, training: bool) -> Tensor:
        """Return the units' outputs, given one tensor per argument, or one with each unit's arguments adjacent."""
        raise NotImplementedError

    def _arguments(self, from_input: Tensor, from_state: Tensor) -> Tensors:
        """Return the pre-activations in the form that `activate` takes."""
        if self.arguments == "mixed":
            mixed = from_input + from_state
            return mixed if self.bias is None else mixed + self.bias
        if self.bias is None:
            return [from_input, from_state]
        basal, apical = ops.split(ops.convert_to_tensor(self.bias), 2)
        return [from_input + basal, from_state + apical]

    def get_build_config(self) -> None:
        """Return nothing: the recurrent layer builds its cell, and a config alone must not create weights."""

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["activation"]
        return {**config, "arguments": self.arguments}


@keras.saving.register_keras_serializable(package="keras_twoarg")
class PairRNNCell(ArgumentsCell):
    """Cell for `keras.layers.RNN` whose units apply a fixed function to two arguments.

    Args:
        units: Number of outputs, and size of the state.
        function: As in `PairActivation`, such as `"swiglu"`.
        arguments: `"separate"` or `"mixed"`, as in `TwoArgRNNCell`. Defaults to `"separate"`.
        **kwargs: As for `keras.layers.SimpleRNNCell`, except `activation`.

    Examples:
        >>> cell = models.PairRNNCell(32, "swiglu", arguments="mixed")
        >>> model = keras.Sequential([keras.Input((None, 8)), keras.layers.RNN(cell)])
        >>> model.output_shape
        (None, 32)

    Raises:
        ValueError: If the function or `arguments` is unknown, `units` is not a positive integer, or a dropout rate is
            not in [0, 1).
    """

    def __init__(self, units: int, function: str, arguments: str = "separate", **kwargs: Any) -> None:
        super().__init__(units, arguments, **kwargs)
        self.function = one_of("function", function, FUNCTIONS)

    def activate(self, arguments: Tensors, training: bool) -> Tensor:
        """Apply the function to each unit's arguments."""
        if self.arguments == "mixed":
            arguments = ops.unstack(ops.reshape(arguments, (-1, self.units, 2)), axis=-1)
        return FUNCTIONS[self.function](*arguments)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {**super().get_config(), "function": self.function}
