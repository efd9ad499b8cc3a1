"""Fixed functions of two arguments as layers, to compare learned ones with."""

from collections.abc import Callable
from functools import cache

import keras
from keras import ops

from keras_twoarg.layers.pairing_layer import PairingLayer
from keras_twoarg.ops import table
from keras_twoarg.ops.xla import may_compile, with_gradient
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.types import Config, Function, Tensor, Tensors


def _glu(x1: Tensor, x2: Tensor) -> Tensor:
    return ops.sigmoid(x1) * x2


def _maxout(x1: Tensor, x2: Tensor) -> Tensor:
    return ops.maximum(x1, x2)


def _product(x1: Tensor, x2: Tensor) -> Tensor:
    return x1 * x2


def _swiglu(x1: Tensor, x2: Tensor) -> Tensor:
    return ops.silu(x1) * x2


def _xnor(x1: Tensor, x2: Tensor) -> Tensor:
    # A product of small numbers would underflow in half precision.
    return ops.sign(x1) * ops.sign(x2) * ops.minimum(ops.abs(x1), ops.abs(x2))


FUNCTIONS = {"glu": _glu, "maxout": _maxout, "product": _product, "swiglu": _swiglu, "xnor": _xnor}
"""The functions by name, as in `keras_twoarg.analysis.surfaces`."""


@keras.saving.register_keras_serializable(package="keras_twoarg")
class PairActivation(PairingLayer):
    """Activation layer whose units apply a fixed function to two arguments.

    On TensorFlow, XLA compiles it in `fit`, `evaluate` and `predict`, as it does phi: otherwise its gradient takes six
    times as long, and comparisons of speed would be unfair.

    Args:
        function: `"glu"`, `"maxout"`, `"product"`, `"swiglu"` or `"xnor"` (see `keras_twoarg.analysis.surfaces`).
        pairing: As in `TwoArgActivation`. Defaults to `"adjacent"`.
        axis: As in `TwoArgActivation`. Defaults to `-1`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Input shape:
        `(batch, ..., 2 * n)`, the width on axis `axis`, or two tensors `(batch, ..., n)`

    Output shape:
        `(batch, ..., n)`

    Examples:
        >>> layer = models.PairActivation("maxout")
        >>> ops.convert_to_numpy(layer(np.array([[1.0, 3.0, -2.0, -5.0]]))).tolist()
        [[3.0, -2.0]]

    Raises:
        ValueError: If the function or the pairing is unknown, the axis has an odd size, or it is the batch axis.
    """

    def __init__(self, function: str, pairing: str = "adjacent", axis: int = -1, **kwargs: object) -> None:
        super().__init__(pairing, axis, **kwargs)
        self.function = one_of("function", function, FUNCTIONS)

    @property
    def arity(self) -> int:
        """Arguments of each unit: two."""
        return 2

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        """Apply the function to each unit's arguments."""
        tuples = self.tuples(inputs)  # (..., n, 2)
        if not may_compile(training):
            return FUNCTIONS[self.function](*ops.unstack(tuples, axis=-1))
        flat, compiled = ops.reshape(tuples, (-1, 2)), _compiled(self.function)
        return ops.reshape(table.apply(compiled, flat, self.is_varied(inputs)), ops.shape(tuples)[:-1])

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {**super().get_config(), "function": self.function}


@cache
def _compiled(function: str) -> Callable[[Tensor], Tensor]:
    """Return the function of pairs `(N, 2)`, and its gradient, compiled by XLA."""
    import tensorflow as tf

    def through(pairs: Tensor) -> Tensor:
        return FUNCTIONS[function](pairs[:, 0], pairs[:, 1])

    forward = tf.function(through, jit_compile=True, autograph=False, reduce_retracing=True)

    @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
    def backward(pairs: Tensor, upstream: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pairs)
            values = through(pairs)
        return tape.gradient(values, pairs, output_gradients=upstream)

    def differentiable(pairs: Tensor) -> tuple[Tensor, Function]:
        return forward(pairs), lambda upstream: backward(pairs, upstream)

    return with_gradient(differentiable)
