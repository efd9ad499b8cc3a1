"""QuadraticNetwork: the simplest phi that can be a soft XOR, six coefficients."""

from typing import Any

import keras
from keras import ops

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils.types import Config, Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_twoarg")
class QuadraticNetwork(InnerNetwork):
    """An inner network that is a quadratic polynomial with six learned coefficients.

    `phi(x1, x2) = c0 x1^2 + c1 x2^2 + c2 x1 x2 + c3 x1 + c4 x2 + c5`, the coefficients in the order of
    `surfaces.quadratic`.

    Args:
        kernel_initializer: Initializer of the six coefficients. Defaults to `"glorot_uniform"`.
        kernel_regularizer: Regularizer of the coefficients. Defaults to `None`.
        share_key: As in `InnerNetwork`.
        **kwargs: `table_resolution`, as in `InnerNetwork`; `name`, `dtype` and `trainable`, as for every Keras layer.

    Input shape:
        `(..., 2)`

    Output shape:
        `(..., 1)`

    Examples:
        >>> phi = QuadraticNetwork()
        >>> phi.set_weights([np.array([[0.0], [0.0], [1.0], [0.0], [0.0], [0.5]])])
        >>> float(phi(np.array([[2.0, 3.0]], "float32"))[0, 0])
        6.5
    """

    worth_a_table = False

    def __init__(
        self,
        *,
        kernel_initializer: Identifier = "glorot_uniform",
        kernel_regularizer: Identifier = None,
        share_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            hidden_units=(),
            activation=None,
            arity=2,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            share_key=share_key,
            **kwargs,
        )

    def build(self, input_shape: Shape) -> None:
        """Create the coefficients."""
        self._check_last_axis(input_shape)
        self.coefficients = self.add_weight(
            name="coefficients",
            shape=(6, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self._claim_share_key()

    def evaluate(self, tuples: Tensor, values: list[Tensor], training: bool = False) -> Tensor:
        """Evaluate the polynomial at tuples `(N, 2)`; returns `(N, 1)`."""
        c = ops.unstack(values[0][:, 0])
        x1, x2 = ops.unstack(tuples, axis=-1)
        # Horner's scheme in both arguments keeps nothing large for the backward pass.
        return (x1 * (c[0] * x1 + c[2] * x2 + c[3]) + x2 * (c[1] * x2 + c[4]) + c[5])[:, None]

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        config = super().get_config()
        for name in ("hidden_units", "activation", "arity", "bias_initializer", "bias_regularizer"):
            del config[name]
        return config
