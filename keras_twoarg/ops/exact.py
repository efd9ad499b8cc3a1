"""Exact evaluation: every argument tuple goes through the inner network.

The hidden layers of phi are 64 times wider than its output, so keeping them for the backward pass takes about 1 kB per
tuple: gigabytes for a few layers of a convolutional network. In training the tuples are therefore processed in chunks,
and the backward pass recomputes each chunk's hidden values. A chunk stays in the processor's cache, which makes up for
the second computation.

In inference phi is three matrix products without loops or compiled regions, which every exporter can handle.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial

import keras
from keras import ops

from keras_twoarg.ops.xla import with_gradient
from keras_twoarg.utils.keras_internals import torch_is_transforming, without_casts
from keras_twoarg.utils.types import Function, Shape, Tensor

CHUNK = 8192
"""Argument tuples evaluated at a time in training: 2 MB for each hidden layer of 64 units."""


def evaluate(tuples: Tensor, weights: list[Tensor], activation: Callable[[Tensor], Tensor], training: bool) -> Tensor:
    """Apply phi to argument tuples.

    Args:
        tuples: Tensor of shape `(N, arity)`.
        weights: Values of the inner network's kernels and biases, layer by layer.
        activation: The hidden layers' activation function.
        training: Whether gradients will be computed. Memory then does not grow with the hidden layers.

    Returns:
        A tensor of shape `(N, 1)`.
    """
    elementwise_map = {"tensorflow": _tensorflow_map, "jax": _jax_map}.get(keras.backend.backend(), _torch_map)
    return elementwise_map(activation, training)(tuples, *weights)


def in_float32(tensor: keras.KerasTensor) -> AbstractContextManager[object]:
    """Return a context in which torch's autocast, if it is on for the tensor's device, does not round float32."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    device = tensor.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return nullcontext()
    context: AbstractContextManager[object] = torch.autocast(device, enabled=False)
    return context


def _phi(activation: Callable[[Tensor], Tensor]) -> Function:
    activation = without_casts(activation) if isinstance(activation, keras.layers.Layer) else activation

    def phi(tuples: Tensor, *weights: Tensor) -> Tensor:
        hidden = tuples  # (N, arity)
        *hidden_layers, kernel, bias = weights
        for hidden_kernel, hidden_bias in zip(hidden_layers[::2], hidden_layers[1::2], strict=True):
            hidden = activation(ops.matmul(hidden, hidden_kernel) + hidden_bias)  # (N, hidden units)
        return ops.matmul(hidden, kernel) + bias  # (N, 1)

    return phi


def _split(rows: Tensor) -> Tensor:
    """Cut rows into chunks of equal size, padded with zeros: (N, d) -> (chunks, size, d)."""
    number, width = ops.shape(rows)
    chunks = number // CHUNK + 1  # at least one, even for an empty batch
    size = (number + chunks - 1) // chunks
    padded = ops.pad(rows, [[0, chunks * size - number], [0, 0]])
    return ops.reshape(padded, (chunks, size, width))


def _join(chunks: Tensor, number: int | Tensor, width: int = 1) -> Tensor:
    """Undo `_split` for `number` rows: (chunks, size, width) -> (number, width)."""
    return ops.reshape(chunks, (-1, width))[:number]


@lru_cache(maxsize=32)
def _tensorflow_map(activation: Callable[[Tensor], Tensor], training: bool) -> Function:
    import tensorflow as tf

    phi = _phi(activation)
    one_by_one = partial(tf.map_fn, parallel_iterations=1)

    def in_chunks(tuples: Tensor, *weights: Tensor) -> tuple[Tensor, Function]:
        """Evaluate chunk by chunk. A loop over chunks that TensorFlow differentiates itself defeats XLA."""
        number = ops.shape(tuples)[0]

        def gradient(upstream: Tensor) -> tuple[Tensor, ...]:
            def chunk_gradient(chunk: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
                with tf.GradientTape() as tape:
                    tape.watch((chunk[0], weights))
                    values = phi(chunk[0], *weights)
                return tuple(tape.gradient(values, (chunk[0], *weights), output_gradients=chunk[1]))

            signature = (tuples.dtype, *(weight.dtype for weight in weights))
            chunks = (_split(tuples), _split(upstream))
            by_tuple, *by_weight = one_by_one(chunk_gradient, chunks, fn_output_signature=signature)
            return _join(by_tuple, number, tuples.shape[1]), *(
                tf.reduce_sum(by_chunk, axis=0) for by_chunk in by_weight
            )

        values = one_by_one(lambda chunk: phi(chunk, *weights), _split(tuples), fn_output_signature=tuples.dtype)
        return _join(values, number), gradient

    @lru_cache(maxsize=32)
    def traced(many: bool, dtype: object, sizes: tuple[Shape, ...]) -> Function:
        """Return one function per architecture, with one trace for all batch sizes."""
        signature = [tf.TensorSpec([None, sizes[0][0]], dtype), *(tf.TensorSpec(size, dtype) for size in sizes)]
        if many:
            return with_gradient(in_chunks, signature)
        return tf.function(phi, input_signature=signature, autograph=False)

    def evaluate_phi(tuples: Tensor, *weights: Tensor) -> Tensor:
        weights = tuple(map(tf.convert_to_tensor, weights))
        many = training and (tuples.shape[0] is None or tuples.shape[0] > CHUNK)
        # While another function is being traced, for fit, predict or an export, put the plain operations into its
        # graph: shapes are known there, and every exporter can read them.
        if not many and not tf.executing_eagerly():
            return phi(tuples, *weights)
        return traced(many, tuples.dtype, tuple(tuple(weight.shape) for weight in weights))(tuples, *weights)

    return evaluate_phi


@lru_cache(maxsize=32)
def _jax_map(activation: Callable[[Tensor], Tensor], training: bool) -> Function:
    import jax

    phi = _phi(activation)

    def evaluate_phi(tuples: Tensor, *weights: Tensor) -> Tensor:
        if not training or tuples.shape[0] <= CHUNK:
            return phi(tuples, *weights)
        recomputed = jax.checkpoint(phi)
        values = jax.lax.map(lambda chunk: recomputed(chunk, *weights), _split(tuples))
        return _join(values, tuples.shape[0])

    return jax.jit(evaluate_phi)


@lru_cache(maxsize=32)
def _torch_map(activation: Callable[[Tensor], Tensor], training: bool) -> Function:
    phi = _phi(activation)

    def evaluate_phi(tuples: Tensor, *weights: Tensor) -> Tensor:
        # `torch.func` cannot recompute.
        if not training or tuples.shape[0] <= CHUNK or torch_is_transforming():
            return phi(tuples, *weights)
        recomputed = keras.remat(phi)
        values = ops.stack([recomputed(chunk, *weights) for chunk in _split(tuples)])
        return _join(values, tuples.shape[0])

    return evaluate_phi
