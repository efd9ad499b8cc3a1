"""Can a few relu ridges replace a trained phi? The predictions that they change, compared with a table.

    python results/ridges.py --data mnist.npz --subset 10000 --epochs 8 --distil 3 --networks mlp --out ridges.json
    python results/ridges.py --epochs 1       # a look at 5,000 digits, in some minutes

phi(x, y) is approximated by c0 + c1 x + c2 y + a sum of K ridges w relu(a x + b y - d). They are fitted at each place
to the pre-activations of the validation images, on which `bake` bases its tables: the best ridge is added, and then all
are refined together. Changed predictions are counted on the test images. "distilled": ridges and all layers are trained
to reproduce the original logits on the training images. Needs: pip install '.[tensorflow-cpu,cli,mnist5k]'
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_twoarg import Interpolation, models, set_evaluation
from keras_twoarg.experiments.training import configuration, datasets, networks
from keras_twoarg.export import bake, calibration
from keras_twoarg.export.changed_predictions import count_changes
from keras_twoarg.layers.sharing import clone_model
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.utils import files, versions

RIDGES = (2, 4, 8, 16, 32)
NODES = (25, 41, 65, 97)
POINTS, STEPS = 6000, 12
NETWORKS = {"mlp": (models.mlp, (64, 64, 64)), "cnn": (models.cnn, (12, 24, 24))}


class Ridges(keras.layers.Layer):
    """Maps adjacent pairs to a sum of relu ridges, with max-pooling if there is a `pool_size`."""

    def __init__(self, number, pool_size=None, **kwargs):
        super().__init__(**kwargs)
        self.number, self.pool_size = number, pool_size

    def build(self, _):
        self.kernel = self.add_weight(shape=(2, self.number), name="kernel")
        self.offset = self.add_weight(shape=(self.number,), name="offset")
        self.outer = self.add_weight(shape=(3 + self.number,), name="outer")

    def fill(self, directions, offsets, outer):
        """Set the ridges from their angles, offsets and weights."""
        self.set_weights([np.stack([np.cos(directions), np.sin(directions)]), -offsets, outer])

    def call(self, inputs):
        x, y = inputs[..., ::2], inputs[..., 1::2]
        total = self.outer[0] + self.outer[1] * x + self.outer[2] * y
        for k in range(self.number):
            total += self.outer[3 + k] * ops.relu(self.kernel[0, k] * x + self.kernel[1, k] * y + self.offset[k])
        return total if self.pool_size is None else ops.max_pool(total, self.pool_size, self.pool_size)


def design(points, angles, offsets):
    """Return the columns 1, x, y and all ridges at points `(N, 2)`, and the ridges before their relu."""
    heights = points[:, :1] * np.cos(angles) + points[:, 1:] * np.sin(angles) - offsets
    return np.hstack([np.ones((len(points), 1)), points, np.maximum(heights, 0)]), heights


def solve(points, values, angles, offsets):
    """Return the least-squares weights of ridges, and the residuals."""
    columns, _ = design(points, angles, offsets)
    gram = columns.T @ columns
    outer = np.linalg.solve(gram + 1e-10 * np.trace(gram) * np.eye(len(gram)), columns.T @ values)
    return outer, values - columns @ outer


def refine(points, values, angles, offsets, steps):
    """Refine all ridges together with the Levenberg-Marquardt method."""
    number, damping = len(angles), 1e-3
    outer, rest = solve(points, values, angles, offsets)
    for _ in range(steps):
        columns, heights = design(points, angles, offsets)
        slopes = outer[3:] * (heights > 0)
        turned = slopes * (points[:, 1:] * np.cos(angles) - points[:, :1] * np.sin(angles))
        jacobian = np.hstack([columns, turned, -slopes])
        hessian, gradient = jacobian.T @ jacobian, jacobian.T @ rest
        scale = np.diag(hessian) + 1e-9 * np.trace(hessian) / len(hessian)
        while damping < 1e6:
            step = np.linalg.solve(hessian + damping * np.diag(scale), gradient)
            moved = angles + step[3 + number : 3 + 2 * number], offsets + step[3 + 2 * number :]
            new_outer, new_rest = solve(points, values, *moved)
            if new_rest @ new_rest < rest @ rest:
                break
            damping *= 4
        else:
            break
        (angles, offsets), outer, rest, damping = moved, new_outer, new_rest, max(damping / 3, 1e-9)
    return angles, offsets, outer, rest


def fit(points, values, numbers):
    """Return angles, offsets, weights and the error relative to phi's deviation, for each number of ridges."""
    grid = np.arange(48) * np.pi / 48
    angles_of = np.repeat(grid, 21)
    shares = np.linspace(0.02, 0.98, 21)
    offsets_of = np.concatenate([np.quantile(points @ [np.cos(t), np.sin(t)], shares) for t in grid])
    few = slice(2000)
    every = design(points[few], angles_of, offsets_of)[0][:, 3:]
    angles, offsets, fits = np.zeros(0), np.zeros(0), {}
    for number in range(1, max(numbers) + 1):
        basis, _ = np.linalg.qr(design(points[few], angles, offsets)[0])
        rest = values[few] - basis @ (basis.T @ values[few])
        over = every - basis @ (basis.T @ every)
        gain = np.abs(rest @ over) / np.maximum(np.linalg.norm(over, axis=0), 1e-3)
        angles, offsets = np.append(angles, angles_of[gain.argmax()]), np.append(offsets, offsets_of[gain.argmax()])
        angles, offsets, outer, rest = refine(
            points, values, angles, offsets, 4 * STEPS if number in numbers else STEPS
        )
        if number in numbers:
            fits[number] = angles, offsets, outer, float(rest.std() / values.std())
    return fits


def train(name, data, options):
    """Return a trained network with phi from a random surface, evaluated exactly."""
    keras.utils.set_random_seed(options.seed)
    make, widths = NETWORKS[name]
    settings = configuration.Configuration(seed=options.seed)
    phi = networks.make_phi(settings)
    networks.pretrain_phi(phi, settings, lambda done, steps: None)
    network = make(data.x_train.shape[1:], 10, widths=widths, inner=phi, seed=options.seed)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(data.x_train, data.y_train, batch_size=100, epochs=options.epochs, verbose=0)
    set_evaluation(network, "exact")
    return network


def with_ridges(network, fits, number):
    """Return a copy of a network with ridges instead of phi."""

    def copy(layer):
        if isinstance(layer, TwoArgActivation):
            return Ridges(number, getattr(layer, "pool_size", None), name=layer.name)
        return layer.from_config(layer.get_config())

    twin = clone_model(network, clone_function=copy)
    for layer, its_twin in zip(network.layers, twin.layers, strict=True):
        if isinstance(its_twin, Ridges):
            its_twin.fill(*fits[layer.name][number][:3])
        else:
            its_twin.set_weights(layer.get_weights())
    return twin


def with_table(network, nodes, arguments):
    """Return a copy of a network with a table at each place."""
    places = [layer for layer in network.layers if isinstance(layer, TwoArgActivation)]
    return bake.with_tables(
        network, {place: Interpolation(1.05 * float(arguments[place.name].largest), nodes) for place in places}
    )


def distilled(student, logits, x, epochs):
    """Train a network to reproduce logits, without dropout."""
    for layer in student.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    steps = epochs * -(-len(x) // 100)
    student.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)), "mse")
    student.fit(x, logits, batch_size=100, epochs=epochs, verbose=0)
    return student


def measure(name, data, options):
    """Train a network, and return what each replacement of its phi changes."""
    network = train(name, data, options)
    places = [layer for layer in network.layers if isinstance(layer, TwoArgActivation)]
    arguments = calibration.arguments(network, places, data.x_validation)
    fits, deviations = {}, {}
    for place in places:
        points = arguments[place.name].tuples
        points = points[np.random.default_rng(0).permutation(len(points))[:POINTS]].astype("float64")
        values = np.asarray(place.inner.predict(points.astype("float32")), "float64").ravel()
        fits[place.name], deviations[place.name] = fit(points, values, RIDGES), float(values.std())
    before, labels = calibration.outputs(network, data.x_test), data.y_test.ravel()

    def row(kind, number, model, errors):
        after = calibration.outputs(model, data.x_test)
        changes = count_changes(before, after, [("classes", 0.0)])
        right = float((after[0].argmax(-1) == labels).mean())
        print(name, kind, number, changes.changed, f"{right:.4f}", [round(e, 4) for e in errors], flush=True)
        return {"kind": kind, "number": number, "errors": errors, "changed": changes.changed,
                "difference": changes.difference, "accuracy": right}  # fmt: skip

    rows = [row("exact", None, network, [])]
    for nodes in NODES:
        table = with_table(network, nodes, arguments)
        errors = []
        for place in places:
            points, layer = arguments[place.name].tuples[:POINTS], table.get_layer(place.name)
            values = bake.look_up(layer.grid, place.inner.predict(layer.grid.nodes(2)), points)
            difference = np.ravel(values) - np.ravel(place.inner.predict(points))
            errors.append(float(difference.std() / deviations[place.name]))
        rows.append(row("table", nodes, table, errors))
    teacher = calibration.outputs(network, data.x_train)[0] if options.distil else None
    for number in RIDGES:
        errors = [fits[place.name][number][3] for place in places]
        rows.append(row("ridges", number, with_ridges(network, fits, number), errors))
        if options.distil:
            student = distilled(with_ridges(network, fits, number), teacher, data.x_train, options.distil)
            rows.append(row("distilled", number, student, []))
    return {"network": name, "samples": len(labels), "epochs": options.epochs, "seed": options.seed, "rows": rows}


def main():
    """Measure the networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--distil", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", default="mlp,cnn")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    dataset = datasets.load(options.data)
    if options.subset:
        dataset = datasets.subset(dataset, options.subset)
    data = datasets.split(dataset, options.seed)
    source = f"{Path(options.data).name}, {len(dataset.x_train):,} images"
    for name in options.networks.split(","):
        record = {**measure(name, data, options), "data": source, "commit": versions.commit()}
        if options.out:
            records = files.read_json(options.out) if options.out.exists() else []
            files.write_json(options.out, [*(one for one in records if one["network"] != name), record])


if __name__ == "__main__":
    main()
