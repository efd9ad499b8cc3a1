"""The LayerNorm of the convolutional networks: over height, width and channels jointly, without parameters."""

from collections.abc import Callable
from functools import lru_cache

import keras
from keras import ops

from keras_twoarg.ops.xla import is_compiled_as_a_whole, may_compile, with_gradient
from keras_twoarg.utils.types import Config, Function, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_twoarg")
class JointLayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over all axes of a sample, without scale and center, in half the time.

    It equals Keras' layer to within rounding. On TensorFlow, XLA compiles it in `fit`, `evaluate` and `predict`; its
    gradient is computed from its output alone, so the pre-activations before it need not be kept.

    Args:
        epsilon: Added to the variance. Defaults to `1e-5`.
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Input shape:
        `(batch, ...)`

    Output shape:
        The same.

    Examples:
        >>> images = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
        >>> normed = ops.convert_to_numpy(models.JointLayerNormalization()(images))
        >>> np.allclose(normed.reshape(2, -1).std(axis=1), 1, atol=1e-3)
        True

    Raises:
        ValueError: If an `axis` is given, or `rms_scaling=True`.
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: object) -> None:
        if "axis" in kwargs:
            raise ValueError(
                "JointLayerNormalization normalizes over all axes of a sample. Use keras.layers.LayerNormalization for "
                f"others. Received: axis={kwargs['axis']!r}"
            )
        if kwargs.get("rms_scaling"):
            raise ValueError(
                "JointLayerNormalization subtracts the mean. Use keras.layers.RMSNormalization. Received: "
                f"rms_scaling={kwargs['rms_scaling']!r}"
            )
        super().__init__(epsilon=epsilon, center=False, scale=False, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Normalize over every axis but the first."""
        self.axis = list(range(1, len(input_shape)))
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Subtract each sample's mean and divide by its standard deviation."""
        if not may_compile(training) and not is_compiled_as_a_whole():
            return super().call(inputs)
        dtype = keras.backend.result_type(inputs.dtype, "float32")  # half precision is too coarse for a variance
        rows = ops.reshape(ops.cast(inputs, dtype), (ops.shape(inputs)[0], -1, inputs.shape[-1]))
        whole = is_compiled_as_a_whole()
        normalized = _normalize(rows, self.epsilon)[0] if whole else _tensorflow_norm(self.epsilon)(rows)
        normalized = ops.reshape(normalized, ops.shape(inputs))
        return ops.cast(normalized, self.compute_dtype)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        base = keras.layers.Layer.get_config(self)
        return {**base, "epsilon": self.epsilon}


@lru_cache(maxsize=8)
def _tensorflow_norm(epsilon: float) -> Callable[[Tensor], Tensor]:
    """Return the normalization of rows `(batch, pixels, channels)` with a custom gradient, compiled by XLA."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
    def forward(rows: Tensor) -> tuple[Tensor, Tensor]:
        return _normalize(rows, epsilon)

    @tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
    def backward(normalized: Tensor, scale: Tensor, upstream: Tensor) -> Tensor:
        return scale * (upstream - _mean(upstream) - normalized * _mean(upstream * normalized))

    def differentiable(rows: Tensor) -> tuple[Tensor, Function]:
        normalized, scale = forward(rows)
        return normalized, lambda upstream: backward(normalized, scale, upstream)

    return with_gradient(differentiable)


def _normalize(rows: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return normalized rows, and the scale of each sample, `(batch, 1, 1)`."""
    centered = rows - _mean(rows)
    scale = ops.rsqrt(_mean(ops.square(centered)) + epsilon)
    return centered * scale, scale


def _mean(rows: Tensor) -> Tensor:
    """Return each sample's mean, `(batch, 1, 1)`; pixels first, which XLA vectorizes over channels."""
    return ops.mean(ops.mean(rows, axis=1, keepdims=True), axis=2, keepdims=True)
