"""A Keras classifier for attacks: logits and gradients of pixels, in float32 and inference mode."""

from collections.abc import Callable

import keras
import numpy as np

from keras_twoarg.experiments.training.bounds import OURS, Bounds
from keras_twoarg.ops.xla import not_for_export
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Function, Model, Tensor

_SIZES = (1, 4, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Batches are padded to these sizes: attacks drop images one by one, and each new size would be compiled."""

_ANY_SIZE = 32
"""Height and width of images with which a network that takes any is tried."""


class PixelClassifier:
    """A Keras model as a function of pixels within [0, 1].

    A softmax at the end is removed: gradients vanish after it, and attacks fail for that reason alone.

    Args:
        model: A classifier of images, `(N, height, width, channels)`.
        bounds: The model's inputs for pixels of 0 and 1. Defaults to `(-1, 1)`, as `datasets.scale` returns.

    Raises:
        ValueError: If the model's output is not one number for each class, or is probabilities whose softmax cannot be
            removed, or if the model computes in less than float32.
    """

    def __init__(self, model: Model, bounds: Bounds = OURS) -> None:
        low, high = bounds
        if not low < high:
            raise ValueError(f"`bounds` must be two numbers, the lower one first. Received: bounds={bounds}")
        for layer in flatten_layers(model):
            if getattr(layer, "compute_dtype", "float32") in ("float16", "bfloat16"):
                raise ValueError(
                    f"Attacks need float32: rounded logits hide gradients. The layer {layer.name!r} computes in "
                    f"{layer.compute_dtype}. Load the model with float32 layers"
                )
        shape = model.output_shape
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] < 2:
            raise ValueError(f"A classifier's output is (batch, classes). Received: output_shape={shape}")
        self.classes, self.image_shape = int(shape[1]), tuple(model.input_shape[1:])
        self._low, self._span = low, high - low
        self._logits = _without_softmax(model)
        self._forward, self._gradient = _compiled(self._scaled_logits)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Return logits `(N, classes)`."""
        batch = _SIZES[-1]
        parts = [_filled(self._forward, pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), "float32")

    def pulled_back(self, pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to pixels of the sum of logits times weights `(N, classes)`."""
        batch = _SIZES[-1]
        parts = (slice(i, i + batch) for i in range(0, len(pixels), batch))
        gradients = [_filled(self._gradient, pixels[part], weights[part]) for part in parts]
        return np.concatenate(gradients) if gradients else np.zeros_like(pixels)

    def correct(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return whether each image is classified correctly."""
        outputs = self.logits(pixels)
        return np.asarray((outputs.argmax(-1) == labels) & np.isfinite(outputs).all(-1))

    def _scaled_logits(self, pixels: Tensor) -> Tensor:
        with not_for_export():
            return self._logits(pixels * self._span + self._low)


def _filled(function: Callable[..., np.ndarray], *rows: np.ndarray) -> np.ndarray:
    """Call a function with rows padded to one of the sizes, and return the results of the original rows."""
    number = len(rows[0])
    size = next(size for size in _SIZES if size >= number)
    index = np.minimum(np.arange(size), number - 1)
    return np.asarray(function(*(row[index] for row in rows)))[:number]


def check_images(pixels: np.ndarray, labels: np.ndarray, classifier: PixelClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Return images as float32 within [0, 1] and labels as integers, or raise a ValueError."""
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255)
    shape = classifier.image_shape
    fits = pixels.ndim == 1 + len(shape) and all(a in (None, b) for a, b in zip(shape, pixels.shape[1:], strict=True))
    if not fits or not len(pixels):
        raise ValueError(f"Expected images (N, {', '.join(map(str, shape))}). Received: {pixels.shape}")
    pixels = pixels.astype("float32")
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise ValueError(
            f"Images must be within [0, 1] (or uint8). Received: {pixels.min():.4g} to {pixels.max():.4g}. If the "
            "model takes other values, still give pixels within [0, 1], and set `bounds` to its inputs for 0 and 1"
        )
    return pixels, check_labels(labels, len(pixels), classifier.classes)


def check_labels(labels: np.ndarray, number: int, classes: int) -> np.ndarray:
    """Return labels as integers `(N,)`: from integers of any width, `(N,)` or `(N, 1)`, or one-hot."""
    labels = np.asarray(labels)
    if labels.shape == (number, classes) and classes > 1 and ((labels == 0) | (labels == 1)).all():
        if (labels.sum(-1) != 1).any():
            raise ValueError("One-hot labels must have a single 1 in each row")
        labels = labels.argmax(-1)
    if labels.shape not in ((number,), (number, 1)) or not np.isfinite(labels.astype(float)).all():
        raise ValueError(f"Expected {number} integer labels or one-hot rows. Received: shape={labels.shape}")
    whole = labels.reshape(-1).astype("int64")
    if (whole != labels.reshape(-1)).any() or whole.min() < 0 or whole.max() >= classes:
        raise ValueError(f"Labels must be integers from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}")
    return whole


def _without_softmax(model: Model) -> Callable[[Tensor], Tensor]:
    """Return the model's logits as a function."""
    last = model.layers[-1] if getattr(model, "layers", None) else None
    softmax = isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax
    if last is not None and softmax and getattr(model, "inputs", None):
        before = keras.Model(model.inputs, last.input)
        if isinstance(last, keras.layers.Softmax | keras.layers.Activation):
            return lambda x: before(x, training=False)
        if isinstance(last, keras.layers.Dense):
            return lambda x: (
                keras.ops.matmul(before(x, training=False), last.kernel) + (last.bias if last.use_bias else 0)
            )
    shape = (16, *(size or _ANY_SIZE for size in model.input_shape[1:]))
    probe = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
    outputs = np.asarray(keras.ops.convert_to_numpy(model(probe, training=False)))
    if (outputs >= 0).all() and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        raise ValueError(
            f"The outputs of {model.name!r} are probabilities whose softmax could not be removed. Attacks need "
            "logits: build the model without its softmax"
        )
    return lambda x: model(x, training=False)


Forward = Callable[[np.ndarray], np.ndarray]
Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _compiled(logits: Callable[[Tensor], Tensor]) -> tuple[Forward, Gradient]:
    """Return the logits, and their vector-Jacobian product, as functions of arrays."""
    backend = keras.backend.backend()
    return {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}[backend](logits)


def _on_tensorflow(logits: Callable[[Tensor], Tensor]) -> tuple[Forward, Gradient]:
    import tensorflow as tf

    forward = tf.function(logits, reduce_retracing=True)

    @tf.function(reduce_retracing=True)
    def pull(x: Tensor, weights: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = logits(x)
        return tape.gradient(outputs, x, output_gradients=weights)

    return lambda x: forward(tf.constant(x)).numpy(), lambda x, w: pull(tf.constant(x), tf.constant(w)).numpy()


def _on_jax(logits: Callable[[Tensor], Tensor]) -> tuple[Forward, Gradient]:
    import jax

    forward = jax.jit(logits)
    pull = jax.jit(lambda x, weights: jax.vjp(logits, x)[1](weights)[0])
    return lambda x: np.asarray(forward(x)), lambda x, weights: np.asarray(pull(x, weights))


def _on_torch(logits: Function) -> tuple[Forward, Gradient]:
    import torch

    def forward(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(logits(torch.from_numpy(x)).numpy())

    def pull(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(x).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad((logits(images) * torch.from_numpy(weights)).sum(), images)
        return np.asarray(gradient.numpy())

    return forward, pull
