"""TwoArgRNNCell: a recurrent cell whose units take what comes in and what was before as two arguments."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_twoarg.layers.block import Block, place_for
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pair_rnn_cell import ArgumentsCell
from keras_twoarg.layers.sharing import phi_config, revive
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Config, Identifier, Shape, Tensor, Tensors


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgRNNCell(Block, ArgumentsCell):
    """Cell for `keras.layers.RNN` whose units take several arguments, `SimpleRNNCell` otherwise.

    With `arguments="separate"` the first (basal) argument is the input's projection and the second (apical) that of the
    state; with `"mixed"` every argument has a projection of both:

        separate    h' = phi(x W + b1, h U + b2)
        mixed       h' = phi(x W1 + h U1 + b1, x W2 + h U2 + b2)

    Masks, `stateful`, `unroll`, `go_backwards`, `return_state` and stacked cells are those of `keras.layers.RNN`.
    `keras.layers.Bidirectional` rebuilds the layer that it is given: use `with sharing_scope(inner):` around it.

    On text a smooth phi that starts as a product, `InnerNetwork(activation="silu")` fitted to
    `analysis.surfaces.product`, did better than a new one, and as well as `PairRNNCell(units, "product")`, which takes
    less time (docs/where-phi-pays.md).

    Args:
        units: Number of outputs, and size of the state.
        inner: The `InnerNetwork` phi; or a list of them, for equal blocks of units (see `CellTypes`). Two arguments if
            they are separate. Defaults to a new one with two arguments.
        arguments: `"separate"` or `"mixed"`. Defaults to `"separate"`.
        evaluation: As in `TwoArgActivation`, with a table that is made once before the loop over time steps; `"auto"`
            interpolates. Defaults to `"auto"`.
        use_bias: Whether every argument has a bias. Defaults to `True`.
        kernel_initializer: Initializer of the input's kernel. Defaults to `"glorot_uniform"`.
        recurrent_initializer: Initializer of the state's kernel. Defaults to `"orthogonal"`.
        bias_initializer: Initializer of the biases. Defaults to `"zeros"`.
        dropout: Share of the inputs that is dropped, the same at all time steps. Defaults to `0.0`.
        recurrent_dropout: Share of the state that is dropped, the same at all time steps. Defaults to `0.0`.
        seed: Seed of dropout. Defaults to `None`.
        **kwargs: `kernel_regularizer`, `recurrent_regularizer`, `bias_regularizer`, the constraints of the same names,
            `name`, `dtype` and `trainable`, as for `keras.layers.SimpleRNNCell`; `trainable=False` freezes phi too.

    Call arguments:
        sequence: Inputs of one time step, `(batch, features)`.
        states: The state, `(batch, units)`, in a list.
        training: Whether dropout is applied.

    Examples:
        >>> phi = InnerNetwork()
        >>> model = keras.Sequential([
        ...     keras.Input((None, 8)),
        ...     keras.layers.RNN(TwoArgRNNCell(32, phi), return_sequences=True),
        ...     keras.layers.RNN(TwoArgRNNCell(32, phi, arguments="mixed", recurrent_dropout=0.1)),
        ...     keras.layers.Dense(1),
        ... ])
        >>> model.output_shape
        (None, 1)

    Raises:
        TypeError: If `inner` is neither an `InnerNetwork` nor a list of them.
        ValueError: If `units` is not a positive integer, `arguments` is unknown, separate arguments are not two, or a
            rate of dropout is not in [0, 1).
    """

    def __init__(
        self,
        units: int,
        inner: InnerNetwork | Sequence[InnerNetwork] | None = None,
        *,
        arguments: str = "separate",
        evaluation: str | Interpolation | Sequence[str | Interpolation] = "auto",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(
            units,
            arguments,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        settings: Any = {"dtype": self.dtype_policy, "trainable": self.trainable}
        self.place = place_for(inner, evaluation=evaluation, name=self.name, **settings)
        if arguments == "separate" and self.arity != 2:
            raise ValueError(
                "Separate arguments are two, of the input and of the state. Use an inner network of arity 2, or "
                f"arguments='mixed'. Received: arity={self.arity}"
            )
        for place in self.places:
            place.in_loop = True

    def build(self, input_shape: Shape) -> None:
        """Create the kernels, the biases, and phi, unless another place has done so."""
        super().build(input_shape)
        shape, mixed = (input_shape[0], self.units), (input_shape[0], self.arity * self.units)
        self.place.build([shape, shape] if self.arguments == "separate" else mixed)

    def activate(self, arguments: Tensors, training: bool) -> Tensor:
        """Apply phi to each unit's arguments."""
        return self.place(arguments, training=training)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor | None:
        """Return the mask of the inputs. Keras asks for it before the loop: the time to make phi's table as well."""
        for place in self.places:
            place.enter_loop()
        return super().get_dropout_mask(step_input)

    def get_config(self) -> Config:
        """Return the constructor's arguments; the inner network with its identity."""
        return {**super().get_config(), **phi_config(self.inner, self.evaluation)}

    @classmethod
    def from_config(cls, config: Config) -> "TwoArgRNNCell":
        """Rebuild a cell, with the inner network that its neighbours have (see `sharing_scope`)."""
        return revive(cls, config)
