"""LiteRT in float and in int8: time, accuracy and changed predictions, of ReLU and of phi.

    python benchmarks/int8.py --data mnist.npz --out benchmarks/one-core-int8.json

The paper's perceptron and its CNN at half width, trained for some epochs on MNIST; and the paper's CNN on 32x32x3, only
timed, with untrained weights. Each is exported as floats, quantized by TensorFlow's converter (phi as a baked table's
interpolation), and quantized by `formats.export`. All variants of a network take turns in one process, on the cores
available to it (one with `taskset -c 0`). Reports wall time and processor time, which other load affects less.
Needs: pip install '.[tensorflow-cpu,cli,export]'
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_twoarg import bake, models
from keras_twoarg.experiments.timing import summary
from keras_twoarg.experiments.training import datasets
from keras_twoarg.export import calibration, formats, litert_int8, runtimes
from keras_twoarg.layers.baked_activation import looking_up_with
from keras_twoarg.ops.look_up import look_up_by_columns
from keras_twoarg.utils import files, versions

HALF = (30, 60, 60, 60)
NETWORKS = {
    "mlp28": (partial(models.mlp, (28, 28, 1), 10, dropout=0.1), 200, 20_000, 5),
    "cnn28-half": (partial(models.cnn, (28, 28, 1), 10, widths=HALF, dropout=0.1), 128, 5_000, 3),
    "cnn32": (partial(models.cnn, (32, 32, 3), 10), 128, 0, 0),
}
"""The function of a network, its batch size, and the images and epochs of its training; 0: only timed."""
WAYS = ("float", "converter", "int8")


def networks(name, split):
    """Return ReLU and two_arg networks with matched parameters, trained if there are epochs."""
    make, _, number, epochs = NETWORKS[name]
    keras.utils.set_random_seed(0)
    two_arg = make(seed=0)
    both = {"relu": make(arm="relu", widths=models.matched_widths("relu", two_arg), seed=0), "two_arg": two_arg}
    for model in both.values():
        if epochs:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(2e-3), loss)
            model.fit(split.x_train[:number], split.y_train[:number], batch_size=100, epochs=epochs, verbose=0)
    return both


def exported(arm, model, x, folder):
    """Export a model in each way, and return the files."""
    model = bake(model, x)[0] if arm == "two_arg" else model
    paths = {way: Path(folder) / f"{way}.tflite" for way in WAYS}
    formats.export(model, paths["float"], "litert")
    quantized = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([one[None]] for one in x),
    }
    with looking_up_with(look_up_by_columns):
        model.export(str(paths["converter"]), format="litert", verbose=False, **quantized)
    formats.export(model, paths["int8"], "litert", representative_dataset=x)
    return paths


def timed(runs, x, rounds):
    """Return the wall and processor times of each variant; all take turns."""
    times = {key: {"wall": [], "processor": []} for key in runs}
    for round_ in range(rounds + 1):
        for key, run in runs.items():
            start = time.perf_counter(), time.process_time()
            run(x)
            if round_:
                times[key]["wall"].append(time.perf_counter() - start[0])
                times[key]["processor"].append(time.process_time() - start[1])
    return times


def right(run, expected, split, batch=250):
    """Return the accuracy on test images, and how many predictions differ from the Keras model's."""
    found = [run(split.x_test[i : i + batch]) for i in range(0, len(split.x_test), batch)]
    found, expected = np.concatenate(found).argmax(-1), expected.argmax(-1)
    return {"accuracy": float((found == split.y_test).mean()), "changed": int((found != expected).sum())}


def measure(name, split, rounds):
    """Return the measurements of a network, by arm and way."""
    shape, batch = NETWORKS[name][0].args[0], NETWORKS[name][1]
    trained = bool(NETWORKS[name][3])
    random = np.random.default_rng(0).normal(size=(500, *shape)).astype("float32")
    x, runs, found = litert_int8.spread(split.x_train) if trained else random, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for arm, model in networks(name, split).items():
            (Path(folder) / arm).mkdir()
            expected = calibration.outputs(model, split.x_test)[0] if trained else None
            found[arm] = {"parameters": model.count_params()}
            for way, path in exported(arm, model, x, Path(folder) / arm).items():
                runs[arm, way] = runtimes.load(path, "litert")
                found[arm][way] = {"bytes": path.stat().st_size}
                if trained:
                    found[arm][way] |= right(runs[arm, way], expected, split)
        for (arm, way), kinds in timed(runs, x[:batch], rounds * 8 if "mlp" in name else rounds).items():
            for kind, seconds in kinds.items():
                times = summary(seconds)
                found[arm][way][kind] = {"median": times["median"], "spread": times["spread"], "rounds": len(seconds)}
            print(name, arm, way, found[arm][way], flush=True)
    return found


def main():
    """Measure all networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", help="As for `twoarg train`.")
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    measured = {"machine": {"cores": cores, "commit": versions.commit(), **versions.versions()}}
    split = datasets.split(datasets.load(options.data), seed=0)
    measured["data"] = {"test": len(split.y_test)}
    measured["networks"] = {}
    for name in options.network or NETWORKS:
        load = os.getloadavg()[0]
        measured["networks"][name] = {"load": load, **measure(name, split, options.rounds)}
        if options.out:
            files.write_json(options.out, measured)


if __name__ == "__main__":
    main()
