"""Why does a CNN whose phi starts from a random surface stall at chance, and which start does not?

    python results/stalls.py --data cifar10.npz --out results/stalls.json
    python results/stalls.py --data cifar10.npz --seeds 2 --starts small,unscaled --out look.json

Trains the CNNs of results/early-training for 240 steps of 100 images. A validation accuracy of at most 12 %, on 4,000
images, is a stall. Two possible predictors are measured before the first step:

* the share of the variance of the last hidden layer's outputs, over 500 training images and all units, that depends on
  the image; the rest is the variance of the units' means;
* the gain of a layer: the mean square of the gradients with respect to its pre-activations, over that of the next
  layer. With k the mean squared slope of phi over its variance, m its mean and s its standard deviation at normally
  distributed pairs, and outer weights and biases uniform within 1 / sqrt(fan_in), it is
  k s^2 / (s^2 + m^2 + 1 / fan_in). Gradients grow from layer to layer if it is above 1 and fade if it is below
  (Poole et al., 2016; Schoenholz et al., 2017).

Finished runs in --out are not repeated. Needs: pip install '.[tensorflow-cpu,cli]' and CIFAR-10 as .npz
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.pretraining import grid
from keras_twoarg.experiments.training import configuration, datasets, networks, training_loop
from keras_twoarg.utils import batches, files, versions

PLAIN = configuration.Configuration(architecture="cnn", widths=(30, 60, 60, 60), phi_init="random")
ZERO_BIASES, CRITICAL = "small-zero-biases", "critical"
STARTS = {
    "small": replace(PLAIN, phi_init_std=0.01),
    "unscaled": replace(PLAIN, phi_init_std="paper"),
    CRITICAL: PLAIN,
    ZERO_BIASES: replace(PLAIN, phi_init_std=0.01),
    "glorot": replace(PLAIN, phi_init="glorot"),
    "relu": replace(PLAIN, arm="relu", widths=None),
}
"""The starts of phi: a random surface with standard deviation 0.01, one that is not scaled, one scaled to a gain of 1,
the first with zero outer biases, and Glorot's weights; and ReLU units with the same number of parameters."""
FAN_IN = 3 * 3 * 30
"""Of the second convolution."""
FIRST_SEED = 200
STEPS, BATCH = 240, 100
STALLED = 0.12


def slopes_and_scale(surface):
    """Return a surface's mean squared slope over its variance, mean and standard deviation, for normal pairs."""
    x, y = np.random.default_rng(0).normal(size=(2, 20_000))
    step = 0.01
    along = [(surface(x + dx, y + dy) - surface(x - dx, y - dy)) / (2 * step) for dx, dy in ((step, 0), (0, step))]
    values = surface(x, y)
    return float(sum(np.mean(d**2) for d in along) / values.var()), float(values.mean()), float(values.std())


def gain(surface, biases=True):
    """Return a layer's gain with a surface as phi."""
    k, mean, std = slopes_and_scale(surface)
    return k * std**2 / (std**2 + mean**2 + biases / FAN_IN)


def critical_std(surface):
    """Return the standard deviation over the grid, `phi_init_std`, for which the gain is 1."""
    k, mean, std = slopes_and_scale(surface)
    at_normal_pairs = (1 / FAN_IN / (k - 1 - (mean / std) ** 2)) ** 0.5
    return float(grid(surface, 2)[1].std()) * at_normal_pairs / std


def network(start, data, seed):
    """Return the untrained network of a start, and its phi."""
    settings = replace(STARTS[start], seed=seed)
    if start == CRITICAL:
        settings = replace(settings, phi_init_std=critical_std(surfaces.random_field(seed, 2)))
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
    return model, phi


def share_of_images(model, images):
    """Return the share of the variance of the last hidden layer's outputs that depends on the image."""
    outputs = keras.Model(model.inputs, model.layers[-1].input).predict(images, verbose=0)
    return float(outputs.var(axis=0).mean() / outputs.var())


def run(start, data, seed, steps):
    """Measure and train one network."""
    model, phi = network(start, data, seed)
    gained = gain(lambda x, y: phi.predict(np.stack([x, y], -1))[:, 0], start != ZERO_BIASES) if phi else None
    share = share_of_images(model, data.x_train[:500])
    training_loop.compile_network(model, keras.optimizers.Adam(1e-3))
    rows = np.random.default_rng(seed).permutation(len(data.y_train))[: steps * BATCH]
    model.fit(**batches.for_fit(data.x_train[rows], data.y_train[rows], BATCH), verbose=0)
    reached = training_loop.evaluate(model, data.x_validation[:4000], data.y_validation[:4000])
    return {
        "start": start, "seed": seed, "share": share, "gain": gained, "steps": steps,
        "val_accuracy": reached["accuracy"], "val_loss": reached["loss"],
        "commit": versions.commit(), "versions": versions.versions(),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--starts", default=",".join(STARTS), help="comma-separated")
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
