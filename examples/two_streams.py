"""Feed the two arguments from two streams of features: one basal, the other apical.

    python examples/two_streams.py

The label says whether the digits on two pictures are both even or both odd. That is an XOR of the two streams, which a
single unit of two arguments can compute.

Needs: pip install '.[tensorflow-cpu,mnist5k]'
"""

import argparse

import keras
import numpy as np

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.pretraining import pretrain
from keras_twoarg.experiments.training import datasets

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=10, help="epochs to train")
arguments = parser.parse_args()

digits = datasets.load("mnist5k")
rng = np.random.default_rng(0)


def pairs(images, labels, number):
    """Draw pairs of pictures, and whether their numbers are both even or both odd."""
    first, second = rng.integers(0, len(images), (2, number))
    same = labels[first] % 2 == labels[second] % 2
    return [datasets.scale(images[first]), datasets.scale(images[second])], same.astype("float32")


def features():
    """Return a small network for one stream."""
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(16)])


def build():
    """Return a network of two streams, with a phi of its own that starts as a product."""
    phi = InnerNetwork()
    print("Session I, structured start:", pretrain(phi, surfaces.product, epochs=20))
    basal, apical = keras.Input((28, 28, 1)), keras.Input((28, 28, 1))
    units = TwoArgActivation(phi)([features()(basal), features()(apical)])  # (batch, 16)
    return keras.Model([basal, apical], keras.layers.Dense(1, activation="sigmoid")(units))


model = build()
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])

model.fit(*pairs(digits.x_train, digits.y_train, 20_000), batch_size=100, epochs=arguments.epochs, verbose=2)
loss, accuracy = model.evaluate(*pairs(digits.x_test, digits.y_test, 5_000), verbose=0)
print(f"{accuracy:.2%} of 5,000 test pairs")
