"""Give each unit of a trained ReLU network a second argument, and continue training.

    python examples/convert.py              # a minute or two on two cores; --epochs 1 for a quick look

Needs: pip install '.[tensorflow-cpu,mnist5k]'
"""

import argparse

import keras
import numpy as np

from keras_twoarg import convert
from keras_twoarg.experiments.training import datasets

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=8, help="epochs before the conversion, and again after it")
options = parser.parse_args()

keras.utils.set_random_seed(0)
digits = datasets.split(datasets.load("mnist5k"), seed=0)
validation = (digits.x_validation, digits.y_validation)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

model = keras.Sequential([keras.Input((28, 28, 1))])  # plain Keras
for filters in (16, 32):
    model.add(keras.layers.Conv2D(filters, 3, use_bias=False))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.ReLU())
    model.add(keras.layers.MaxPooling2D())
model.add(keras.layers.Flatten())
model.add(keras.layers.Dense(10))
model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
model.fit(digits.x_train, digits.y_train, batch_size=50, epochs=options.epochs, validation_data=validation, verbose=2)
_, before = model.evaluate(digits.x_test, digits.y_test, verbose=0)

converted, report = convert(model)
print(report)
np.testing.assert_allclose(converted(digits.x_test[:100]), model(digits.x_test[:100]), atol=1e-3)  # the same function

# Try several rates: docs/tutorials/convert.md compares three, of which the largest, 3e-3 falling to zero, was best.
converted.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
converted.fit(
    digits.x_train, digits.y_train, batch_size=50, epochs=options.epochs, validation_data=validation, verbose=2
)
_, after = converted.evaluate(digits.x_test, digits.y_test, verbose=0)
print(f"{before:.2%} before, {after:.2%} of {len(digits.y_test):,} test digits after")
