"""TwoArgRNNCell: a recurrent cell whose units take the input and the state as two arguments."""

from collections.abc import Sequence

import keras

from keras_twoarg.layers.block import Block, place_for
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pair_rnn_cell import ArgumentsCell
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Config, Identifier, Shape, Tensor, Tensors


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgRNNCell(Block, ArgumentsCell):
    """Cell for `keras.layers.RNN` like `SimpleRNNCell`, whose units take several arguments.

    With `arguments="separate"` the first (basal) argument is a projection of the input and the second (apical) one of
    the state; with `"mixed"` every argument is a projection of both:

        separate    h' = phi(x W + b1, h U + b2)
        mixed       h' = phi(x W1 + h U1 + b1, x W2 + h U2 + b2)

    Masks, `stateful`, `unroll`, `go_backwards`, `return_state` and stacked cells work as in `keras.layers.RNN`.
    `keras.layers.Bidirectional` rebuilds its layer: use it within `with sharing_scope(inner):`.

    On text, a smooth phi that starts as a product (`InnerNetwork(activation="silu")` fitted to
    `analysis.surfaces.product`) did better than a new one over five seeds. No difference was shown from the fixed
    product, `PairRNNCell(units, "product")`, which is faster (docs/where-phi-pays/recurrent-cell.md).

    Args:
        units: Number of outputs, and size of the state.
        inner: The `InnerNetwork` phi; or a list of them, one per equal block of units (see `CellTypes`). Separate
            arguments need an arity of 2. Defaults to a new one with two arguments.
        arguments: `"separate"` or `"mixed"`. Defaults to `"separate"`.
        evaluation: As in `TwoArgActivation`, with one table made before the loop over time steps; `"auto"`
            interpolates. Defaults to `"auto"`.
        use_bias: Whether each argument has a bias. Defaults to `True`.
        kernel_initializer: Initializer of the input's kernel. Defaults to `"glorot_uniform"`.
        recurrent_initializer: Initializer of the state's kernel. Defaults to `"orthogonal"`.
        bias_initializer: Initializer of the biases. Defaults to `"zeros"`.
        dropout: Fraction of the inputs to drop, with one mask for all time steps. Defaults to `0.0`.
        recurrent_dropout: Fraction of the state to drop, with one mask for all time steps. Defaults to `0.0`.
        seed: Random seed of the dropout masks. Defaults to `None`.
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
        ValueError: If `units` is not a positive integer, `arguments` is unknown, the arity is not 2 for separate
            arguments, or a dropout rate is not in [0, 1).
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
        settings: Config = {"dtype": self.dtype_policy, "trainable": self.trainable}
        self.place = place_for(inner, evaluation=evaluation, name=self.name, **settings)
        if arguments == "separate" and self.arity != 2:
            raise ValueError(
                "Separate arguments are two: one of the input, one of the state. Use an inner network of arity 2, or "
                f"arguments='mixed'. Received: arity={self.arity}"
            )
        for place in self.places:
            place.in_loop = True

    def build(self, input_shape: Shape) -> None:
        """Create the kernels and the biases, and phi unless another place has created it."""
        super().build(input_shape)
        shape, mixed = (input_shape[0], self.units), (input_shape[0], self.arity * self.units)
        self.place.build([shape, shape] if self.arguments == "separate" else mixed)

    def activate(self, arguments: Tensors, training: bool) -> Tensor:
        """Apply phi to each unit's arguments."""
        return self.place(arguments, training=training)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor | None:
        """Return the mask of the inputs. Keras asks for it before the loop, which is when phi's table must be made."""
        for place in self.places:
            place.enter_loop()
        return super().get_dropout_mask(step_input)
