"""Train, bake phi into a table, export, and run the export without Keras.

    python examples/bake_and_serve.py              # --epochs 1 for a quick look

Needs: pip install '.[tensorflow-cpu,mnist5k,export]'
"""

import argparse
import tempfile
from pathlib import Path

import tensorflow as tf

from keras_twoarg import bake, models
from keras_twoarg.experiments.training import datasets, training_loop
from keras_twoarg.export import formats, verify

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()

data = datasets.split(datasets.load("mnist5k"), seed=0)
model = models.mlp((28, 28, 1), classes=10, seed=0)
training_loop.compile_network(model, "adam")
model.fit(data.x_train, data.y_train, epochs=options.epochs, verbose=0)

baked, report = bake(model, data.x_validation, labels=data.y_validation)
print(report)

with tempfile.TemporaryDirectory() as folder:
    served = formats.servable(baked, softmax=True)  # input "image", output "probabilities"
    formats.export(served, Path(folder) / "digits" / "1")
    formats.record(served, Path(folder) / "digits" / "recorded-1.npz", data.x_test[:64])
    for check in verify.check(Path(folder) / "digits"):
        print(f"{check.runtime}: {'agrees' if check.agrees else check.problem or 'DIFFERS'}")
        if not check.passes:
            raise SystemExit("This export must not be served.")
    loaded = tf.saved_model.load(str(Path(folder) / "digits" / "1"))
    predictions = loaded.serve(data.x_test)["probabilities"].numpy().argmax(-1)
print(f"{(predictions == data.y_test.ravel()).mean():.2%} of {len(data.y_test):,} test digits")
