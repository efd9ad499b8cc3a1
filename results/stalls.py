"""Why does a CNN whose phi starts from a random surface stall at chance, and which start does not?

    python results/stalls.py --data cifar10.npz --out results/stalls.json
    python results/stalls.py --data cifar10.npz --seeds 2 --starts small,unscaled --out look.json

Before the first step: how much of what the last hidden layer passes on depends on the image. Of the variance of its
outputs over 500 training images and all units, that is the part within a unit; the rest are the units' own means.
Then 240 steps of 100 images, trained as the CNNs of results/early-training, and the accuracy on 4,000 validation
images: at most 12 % is a stall. Behind each unit stand the biases of the next layer, uniform within 1 / sqrt(fan_in).

A run that is in --out is not run again. Needs: pip install 'keras_twoarg[tensorflow-cpu,cli]' and CIFAR-10 as .npz
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.experiments.training import configuration, datasets, networks, training_loop
from keras_twoarg.utils import batches, files, versions

PLAIN = configuration.Configuration(architecture="cnn", widths=(30, 60, 60, 60), phi_init="random")
ZERO_BIASES = "small-zero-biases"
STARTS = {
    "small": replace(PLAIN, phi_init_std=0.01),
    "unscaled": replace(PLAIN, phi_init_std="paper"),
    ZERO_BIASES: replace(PLAIN, phi_init_std=0.01),
    "glorot": replace(PLAIN, phi_init="glorot"),
    "relu": replace(PLAIN, arm="relu", widths=None),
}
"""How phi starts: a random surface of standard deviation 0.01, one that is not scaled, the first with all outer biases
zero, Glorot's weights; and ReLU units, as many parameters."""
FIRST_SEED = 200
STEPS, BATCH = 240, 100
STALLED = 0.12


def network(start, data, seed):
    """Return the network of a start, not trained."""
    settings = replace(STARTS[start], seed=seed)
    shape, classes = data.x_train.shape[1:], 10
    phi = None
    if settings.arm == "two_arg":
        phi = networks.make_phi(settings)
        networks.pretrain_phi(phi, settings, lambda done, steps: None)
    reference = replace(PLAIN, seed=seed)
    widths = networks.widths_of(settings, shape, classes, reference)
    model = networks.build_network(settings, shape, classes, widths, phi, 10 * seed + 2)
    if start == ZERO_BIASES:
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
                layer.bias.assign(np.zeros(layer.bias.shape))
    return model


def share_of_images(model, images):
    """Return the share of the variance of the last hidden layer's outputs that depends on the image."""
    outputs = keras.Model(model.inputs, model.layers[-1].input).predict(images, verbose=0)
    return float(outputs.var(axis=0).mean() / outputs.var())


def run(start, data, seed, steps):
    """Measure and train one network."""
    model = network(start, data, seed)
    share = share_of_images(model, data.x_train[:500])
    training_loop.compile_network(model, keras.optimizers.Adam(1e-3))
    rows = np.random.default_rng(seed).permutation(len(data.y_train))[: steps * BATCH]
    model.fit(**batches.for_fit(data.x_train[rows], data.y_train[rows], BATCH), verbose=0)
    reached = training_loop.evaluate(model, data.x_validation[:4000], data.y_validation[:4000])
    return {
        "start": start, "seed": seed, "share": share, "steps": steps, "val_accuracy": reached["accuracy"],
        "val_loss": reached["loss"], "commit": versions.commit(), "versions": versions.versions(),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--starts", default=",".join(STARTS), help="of the five, by commas")
    parser.add_argument("--seeds", type=int, default=20, help=f"from {FIRST_SEED}")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = datasets.load(options.data)
    records = files.read_json(options.out) if options.out.exists() else []
    known = {(r["start"], r["seed"], r["steps"]) for r in records}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        part = datasets.split(data, seed)
        for start in options.starts.split(","):
            if (start, seed, options.steps) not in known:
                keras.backend.clear_session()
                records.append(run(start, part, seed, options.steps))
                print(records[-1], flush=True)
                files.write_json(options.out, records)


if __name__ == "__main__":
    main()
