"""Does a smoother phi make a network more robust? Coarser tables and a penalty on curvature, under AutoAttack.

    python results/smooth_phi.py --data fashion_mnist.npz --subset 10000 --epochs 15 --seeds 3 --points 300 \
        --attacks apgd-ce,apgd-t,fab-t,square --out results/smooth_phi.json
    python results/smooth_phi.py --epochs 1       # a look at 5,000 digits, in a minute

The paper's perceptron, phi from a random surface (Session I), best epoch by validation loss. Finished runs in --out are
not repeated. Needs: pip install '.[tensorflow-cpu,cli,mnist5k,robust]'
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_twoarg import Interpolation, models
from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.robustness.measure import EPS, draw_points
from keras_twoarg.experiments.training import configuration, datasets, networks
from keras_twoarg.utils import files, versions

NODES = (81, 9, 5, 3)
"""Along each argument, on [-5, 5]; 81 is the usual table."""
PENALTIES = (0.1, 1.0)
"""Weights of the curvature, all with 81 nodes."""


class CurvaturePenalty(keras.layers.Layer):
    """Identity that adds phi's mean squared second difference over the plane, relative to its variance, to the loss."""

    def __init__(self, inner, weight):
        super().__init__()
        self.inner, self.weight = inner, weight
        self.step = 0.5
        self.nodes = Interpolation(extent=5.0, resolution=21).nodes(2)

    def call(self, inputs):
        phi = ops.reshape(self.inner(self.nodes), (21, 21))
        along = [(p[2:] - 2 * p[1:-1] + p[:-2]) / self.step**2 for p in (phi, ops.transpose(phi))]
        across = (phi[1:, 1:] - phi[1:, :-1] - phi[:-1, 1:] + phi[:-1, :-1]) / self.step**2
        curvature = sum(ops.mean(ops.square(c)) for c in along) + 2 * ops.mean(ops.square(across))
        self.add_loss(self.weight * curvature / ops.stop_gradient(ops.var(phi)))
        return inputs


def train(data, seed, nodes, penalty, epochs):
    """Return a trained network that evaluates phi by a table, with a penalty on curvature."""
    settings = configuration.Configuration(seed=seed)
    phi = networks.make_phi(settings)
    networks.pretrain_phi(phi, settings, lambda done, steps: None)
    grid = Interpolation(extent=5.0, resolution=nodes)
    network = models.mlp(data.x_train.shape[1:], 10, inner=phi, evaluation=grid, seed=seed)
    trained = keras.Sequential([network.inputs[0], network])
    if penalty:
        trained = keras.Sequential([network.inputs[0], CurvaturePenalty(phi, penalty), network])
    trained.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    trained.fit(
        data.x_train, data.y_train, batch_size=100, epochs=epochs, callbacks=[best], verbose=0,
        validation_data=(data.x_validation, data.y_validation),
    )  # fmt: skip
    return network


def run(dataset, seed, nodes, penalty, options):
    """Train one network, attack it, and return its record."""
    data = datasets.split(dataset, seed)
    model = train(data, seed, nodes, penalty, options.epochs)
    clean = float((model.predict(data.x_test, verbose=0).argmax(-1) == data.y_test.ravel()).mean())
    pixels, labels = draw_points(dataset, options.points, seed=0)
    eps = options.eps or EPS.get(Path(dataset.name.split(",")[0]).stem, 0.1)
    attacked = robustness.attack(model, pixels, labels, eps, options.attacks.split(","), seed=0)
    return {
        "nodes": nodes, "penalty": penalty, "seed": seed, "eps": eps, "points": len(labels), "epochs": options.epochs,
        "data": dataset.name, "test_accuracy": clean, **attacked.accuracy, "commit": versions.commit(),
    }  # fmt: skip


def main():
    """Run what the file lacks, and print the means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--eps", type=float, help="L-inf, for pixels within [0, 1]; default: the usual one of the data")
    parser.add_argument("--attacks", default="fgsm,pgd", help="or apgd-ce,apgd-t,fab-t,square: AutoAttack")
    parser.add_argument("--out", type=Path, default=Path("smooth_phi.json"))
    options = parser.parse_args()
    dataset = datasets.load(options.data)
    if options.subset:
        dataset = datasets.subset(dataset, options.subset)
    records = files.read_json(options.out) if options.out.exists() else []
    settings = {"data": dataset.name, "epochs": options.epochs, "points": min(options.points, len(dataset.y_test))}
    if others := {f"{k}={r[k]}" for r in records for k in settings if r.get(k, settings[k]) != settings[k]}:
        parser.error(f"{options.out} holds runs with {', '.join(sorted(others))}. Use another --out")
    if lacking := {name for name in options.attacks.split(",") if any(name not in record for record in records)}:
        parser.error(f"{options.out} holds runs without {', '.join(sorted(lacking))}. Use another --out")
    variants = [(nodes, 0.0) for nodes in NODES] + [(NODES[0], penalty) for penalty in PENALTIES]
    for seed in range(options.seeds):
        for nodes, penalty in variants:
            if not any((r["nodes"], r["penalty"], r["seed"]) == (nodes, penalty, seed) for r in records):
                records.append(run(dataset, seed, nodes, penalty, options))
                files.write_json(options.out, records)
    for nodes, penalty in variants:
        runs = [r for r in records if (r["nodes"], r["penalty"]) == (nodes, penalty)]
        mean = {k: np.mean([r[k] for r in runs]) for k in ("test_accuracy", options.attacks.split(",")[-1])}
        print(f"{nodes:3d} nodes, penalty {penalty:g}:", ", ".join(f"{k} {v:.2%}" for k, v in mean.items()))


if __name__ == "__main__":
    main()
