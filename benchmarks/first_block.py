"""The cost of each layer in the first block of the paper's CNN: forward, and forward and backward. TensorFlow.

    python benchmarks/first_block.py --out benchmarks/two-cores-first-block.json    # batch 128, a minute

The layers take turns.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_twoarg import TwoArgActivation, TwoArgMaxPooling2D, models
from keras_twoarg.experiments import timing
from keras_twoarg.utils import files, versions
from keras_twoarg.utils.allocator import keep_freed_memory

SHAPE = (30, 30, 120)
PASSES = ("forward", "forward and backward")


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
        "LayerNorm over height, width, channels, Keras'": keras.layers.LayerNormalization(
            axis=[1, 2, 3], center=False, scale=False
        ),
        "the same, compiled": models.JointLayerNormalization(),
        "two_arg, interpolated": TwoArgActivation(evaluation="interpolated"),
        "two_arg, then max-pooling": _pooled(TwoArgActivation(evaluation="interpolated")),
        "two_arg and max-pooling in one": TwoArgMaxPooling2D(evaluation="interpolated"),
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


def measure(batch, rounds):
    """Return the times of each layer and pass."""
    rng = np.random.default_rng(0)
    x, images = (tf.constant(rng.normal(size=(batch, *shape)).astype("float32")) for shape in (SHAPE, (32, 32, 3)))
    tasks = {}
    for name, layer in layers().items():
        inputs = images if name.startswith("convolution") else x
        for pass_, run in zip(PASSES, block(layer, inputs.shape[1:]), strict=True):
            tasks[name, pass_] = partial(finished, run, inputs)
    times = timing.timed(tasks, rounds, lambda done: None)
    return {name: timing.by_task(times, name) for name in layers()}


def main():
    """Measure, and print medians and the fastest rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=14)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_freed_memory()  # as the commands do: else allocating outputs takes longer than the smallest layers
    measured = measure(options.batch, options.rounds)
    print(f"{'ms':46s} {PASSES[0]:>16s} {PASSES[1]:>20s}")
    for name, times in measured.items():
        each = (f"{1e3 * times[of]['median']:.1f} ({1e3 * min(times[of]['seconds']):.1f})" for of in PASSES)
        print("{:46s} {:>16s} {:>20s}".format(name, *each))
    if options.out:
        machine = {"cores": os.cpu_count(), "commit": versions.commit(), **versions.versions()}
        pairs = options.batch * int(np.prod(SHAPE)) // 2
        files.write_json(options.out, {"machine": machine, "pairs": pairs, "layers": measured})


if __name__ == "__main__":
    main()
