"""TwoArgMaxPooling2D: a TwoArgActivation and the max-pooling behind it in one layer, at a smaller price."""

from typing import Any

import keras
from keras import ops

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops import pooled_table
from keras_twoarg.ops.pairing import to_tuples
from keras_twoarg.ops.windows import check_pool_size, max_pool, pooled_shape
from keras_twoarg.ops.xla import may_compile


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgMaxPooling2D(TwoArgActivation):
    """`TwoArgActivation` and `keras.layers.MaxPooling2D` behind it as one layer, the same to within rounding.

    With an interpolated phi on TensorFlow a training step computes gradients for the largest output of each window
    alone: the paper's CNN then takes an eighth less time for a step, and a quarter less memory. Elsewhere it does one
    after the other.

    Args:
        inner: As in `TwoArgActivation`.
        pool_size: Rows and columns of a window, one integer for both, or two. Windows do not overlap, and what is left
            over at the border is dropped, as with `padding="valid"`. Defaults to `2`.
        **kwargs: `pairing`, `evaluation` and others, as for `TwoArgActivation`.

    Input shape:
        `(batch, height, width, arity * n)`, or `arity` tensors `(batch, height, width, n)`

    Output shape:
        `(batch, height // rows, width // columns, n)`

    Example:
        >>> inner = InnerNetwork()
        >>> model = keras.Sequential([
        ...     keras.Input((28, 28, 1)),
        ...     keras.layers.Conv2D(32, 3), TwoArgMaxPooling2D(inner),  # (batch, 13, 13, 16)
        ...     keras.layers.Flatten(),
        ...     keras.layers.Dense(64), TwoArgActivation(inner),  # (batch, 32)
        ...     keras.layers.Dense(10),
        ... ])
        >>> model.layers[1].output.shape
        (None, 13, 13, 16)

    Raises:
        TypeError: If `inner` is not an `InnerNetwork`.
        ValueError: As for `TwoArgActivation`; if `pool_size` is not one or two positive integers, or the inputs are no
            images.
    """

    def __init__(self, inner: InnerNetwork | None = None, pool_size: int | tuple[int, int] = 2, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.pool_size = check_pool_size(pool_size)
        self.supports_masking = False

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply phi to each unit's arguments, and take the largest output of each window."""
        tuples = to_tuples(inputs, self.arity, self.pairing)  # (batch, height, width, n, arity)
        shared = self._table(tuples, bool(training))
        compiled = training and may_compile(training) and None not in tuples.shape[1:3]
        if not compiled or shared is None or shared.condition is not True:
            return max_pool(self._outputs(tuples, shared, bool(training)), self.pool_size)
        frozen = not self.inner.trainable_weights
        tuples = ops.cast(tuples, "float32")
        values = pooled_table.evaluate(tuples, shared.cells, self.grid, self.pool_size, frozen)
        return ops.cast(values, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the outputs: one entry for each window and unit."""
        return pooled_shape(super().compute_output_shape(input_shape), self.pool_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the inner network with its identity."""
        return {**super().get_config(), "pool_size": list(self.pool_size)}
