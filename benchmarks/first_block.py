"""The cost of each layer in the first block of the paper's CNN: forward, and forward and backward. TensorFlow.

    python benchmarks/first_block.py            # batch 128, a minute

The layers take turns. Prints medians and the fastest round.
"""

import argparse
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from keras_twoarg import TwoArgActivation, TwoArgMaxPooling2D, models
from keras_twoarg.experiments.timing import timed

SHAPE = (30, 30, 120)


def block(layer, shape):
    """Return two compiled functions of a batch for a layer: forward, and forward and backward."""
    layer.build((None, *shape))

    @tf.function
    def forward(x):
        return layer(x, training=True)

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, [x, *layer.trainable_weights], output_gradients=tf.ones_like(y))

    return forward, both


def layers():
    """Return the layers by name."""
    return {
        "convolution 3x3, 3 -> 120": keras.layers.Conv2D(120, 3),
        "LayerNorm, Keras'": keras.layers.LayerNormalization(axis=[1, 2, 3], center=False, scale=False),
        "LayerNorm, compiled": models.JointLayerNormalization(),
        "two_arg, interpolated": TwoArgActivation(evaluation="interpolated"),
        "two_arg, then max-pooling": _pooled(TwoArgActivation(evaluation="interpolated")),
        "two_arg, max-pooling in one": TwoArgMaxPooling2D(evaluation="interpolated"),
        "relu": keras.layers.ReLU(),
        "relu, then max-pooling": _pooled(keras.layers.ReLU()),
        "swiglu": models.PairActivation("swiglu"),
        "swiglu, then max-pooling": _pooled(models.PairActivation("swiglu")),
    }


def _pooled(layer):
    return keras.Sequential([layer, keras.layers.MaxPooling2D(2)])


def finished(run, x):
    """Run, and wait for the outputs."""
    tf.nest.map_structure(lambda part: tf.reshape(part, [-1])[:1].numpy(), run(x))


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=14)
    options = parser.parse_args()
    x = tf.constant(np.random.default_rng(0).normal(size=(options.batch, *SHAPE)).astype("float32"))
    images = tf.constant(np.random.default_rng(0).normal(size=(options.batch, 32, 32, 3)).astype("float32"))
    inputs = {name: images if name.startswith("convolution") else x for name in layers()}
    runs = {name: block(layer, inputs[name].shape[1:]) for name, layer in layers().items()}
    tasks = {(name, i): partial(finished, runs[name][i], inputs[name]) for name in runs for i in (0, 1)}
    times = timed(tasks, options.rounds, lambda done: None)
    print(f"{'ms':32s} {'forward':>16s} {'and backward':>16s}")
    for name in runs:
        both = (1e3 * np.array(times[name, i]) for i in (0, 1))
        print(f"{name:32s}", *(f"{np.median(each):8.1f} ({min(each):5.1f})" for each in both))


if __name__ == "__main__":
    main()
