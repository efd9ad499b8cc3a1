"""Search hyperparameters with KerasTuner's own tuner, all networks of one size, and train the best one from scratch.

    python examples/search.py               # some minutes; --epochs 1 for a quick look

Needs: pip install '.[tensorflow-cpu,mnist5k,tuner]'
"""

import argparse
import tempfile

import keras_tuner

from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.tuning import OuterHyperModel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--trials", type=int, default=2)
options = parser.parse_args()

data = datasets.split(datasets.load("mnist5k"), seed=0)
validation = (data.x_validation, data.y_validation)

# Every trial has 122,187 parameters within 1 %; `space` narrows what is searched.
hypermodel = OuterHyperModel("two_arg", (28, 28, 1), 10, space={"phi_init": ["glorot"], "normalization": ["layer"]})
with tempfile.TemporaryDirectory() as folder:
    tuner = keras_tuner.RandomSearch(
        hypermodel, objective="val_accuracy", max_trials=options.trials, seed=1, directory=folder, project_name="search"
    )
    tuner.search(data.x_train, data.y_train, validation_data=validation, epochs=options.epochs, verbose=0)
    best = tuner.get_best_hyperparameters()[0]

print(f"Best: {best.values}")
model = hypermodel.build(best)
hypermodel.fit(best, model, data.x_train, data.y_train, validation_data=validation, epochs=options.epochs, verbose=0)
_, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
print(f"{accuracy:.2%} of {len(data.y_test):,} test digits")
