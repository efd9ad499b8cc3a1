"""Build a two-argument network, train it on real digits, save it and load it again.

    python examples/first_steps.py              # about a minute on two cores
    python examples/first_steps.py --epochs 1   # a quick look, in seconds

Needs: pip install '.[tensorflow-cpu,mnist5k]'
"""

import argparse
import tempfile
from pathlib import Path

import keras

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared
from keras_twoarg.experiments.training import datasets

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=30, help="epochs to train")
arguments = parser.parse_args()

digits = datasets.split(datasets.load("mnist5k"), seed=0)


def build():
    """Return a perceptron with a phi of its own."""
    phi = InnerNetwork()  # 2 -> 64 -> 64 -> 1, shared by all units of all layers of this model
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    for _ in range(3):
        model.add(keras.layers.Dense(128))  # 128 pre-activations ...
        model.add(keras.layers.LayerNormalization(center=False, scale=False))
        model.add(TwoArgActivation(phi))  # ... are the arguments of 64 units
        model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(10))
    return model


model = build()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(
    digits.x_train,
    digits.y_train,
    validation_data=(digits.x_validation, digits.y_validation),
    batch_size=50,
    epochs=arguments.epochs,
    verbose=2,
)

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "digits.keras"
    model.save(file)
    loaded = keras.models.load_model(file)  # no custom_objects, since keras_twoarg is imported
assert_shared(loaded)  # still one phi
loss, accuracy = loaded.evaluate(digits.x_test, digits.y_test, verbose=0)
print(f"{loaded.count_params():,} parameters, {accuracy:.2%} of the test digits")
