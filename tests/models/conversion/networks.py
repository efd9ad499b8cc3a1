"""Networks to convert, and what tests ask about the converted ones."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import TwoArgActivation, models
from keras_twoarg.models.conversion.compare import outputs, random_arrays
from keras_twoarg.models.conversion.graph import graphs
from keras_twoarg.utils.keras_internals import flatten_layers
from tests.helpers import BACKEND


def settle(model, seed=0):
    """Give every weight another value, as training would, normalization's statistics too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = ops.convert_to_numpy(weight)
        if "float" not in str(value.dtype):
            continue
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, value.shape).astype(value.dtype))
        else:
            weight.assign((value + 0.1 * rng.normal(size=value.shape)).astype(value.dtype))
    return model


def difference(model, converted):
    inputs = random_arrays(model, seed=3)
    pairs = zip(outputs(model, inputs), outputs(converted, inputs), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


def units(model):
    return [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation)]


def names(model):
    return [layer.name for graph in graphs(model) for layer in graph.layers]


def reasons(report):
    return {place.name: place.reason for place in report.left}


def resnet():
    image = x = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    for i, width in enumerate((16, 24)):
        shortcut = x if x.shape[-1] == width else layers.Conv2D(width, 1)(x)
        y = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"block{i}_conv")(x)
        y = layers.ReLU(name=f"block{i}_relu")(layers.BatchNormalization(name=f"block{i}_bn")(y))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
        x = layers.ReLU(name=f"block{i}_sum")(layers.Add()([shortcut, y]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def transformer(activation="relu", width=16):
    """As in Keras' examples: attention and a feed-forward network, pre-norm, in the functional API."""
    tokens = keras.Input((12,), dtype="int32")
    x = layers.Embedding(20, width, mask_zero=True)(tokens)
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8, dropout=0.1)(normal, normal)])
        normal = layers.LayerNormalization()(x)
        y = layers.Dropout(0.1)(layers.Dense(64, activation=activation)(normal))
        x = layers.Add()([x, layers.Dense(width)(y)])
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def autoencoder():
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(60, activation="relu"),
            layers.Dense(24, activation="relu"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            keras.Input((24,)),
            layers.Dense(4 * 4 * 16),
            layers.Reshape((4, 4, 16)),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.1),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ],
        name="decoder",
    )
    return keras.Sequential([keras.Input((8, 8, 1)), encoder, decoder])


def two_by_two():
    image, numbers = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="numbers")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    y = layers.Dense(16)(numbers)
    y = ops.relu(y)
    both = layers.Dense(32, activation="relu")(layers.Concatenate()([x, y]))
    return keras.Model([image, numbers], {"label": layers.Dense(3)(both), "size": layers.Dense(1)(both)})


RELU_MODELS = {
    "mlp": lambda: models.mlp((6, 6, 1), 4, "relu", widths=(60, 50, 40)),
    "cnn": lambda: models.cnn((28, 28, 1), 4, "relu", widths=(8, 16, 16, 60)),
    "resnet": resnet,
    "transformer": transformer,
    "autoencoder": autoencoder,
    "two_by_two": two_by_two,
}


def of(*stack):
    return keras.Sequential([keras.Input((4,)), *stack])


_SLOW_ON_JAX = ("cnn", "resnet", "transformer")  # which compiles each operation by itself there
NETWORKS = [
    pytest.param(name, marks=pytest.mark.slow) if BACKEND == "jax" and name in _SLOW_ON_JAX else name
    for name in RELU_MODELS
]
