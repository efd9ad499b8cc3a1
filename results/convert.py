"""Is a trained ReLU network better for a second argument? Trained on as it is, converted, and widened.

    python results/convert.py --network mlp --data mnist.npz --seeds 5 --out results/convert-mlp-mnist
    python results/convert.py --network cnn --data fashion_mnist.npz --subset 20000 --seeds 5 --out results/convert-cnn
    python results/convert.py --seeds 1 --before 2 --after 2     # a look at 5,000 digits

A ReLU network is trained for --before epochs. Then three networks that compute what it computes are trained on for
--after epochs, with a fresh Adam whose learning rate falls to zero along a cosine: the network itself, the converted
one, and one of as many parameters that was widened by new units whose outgoing weights are zero. Each arm tries six
settings; the one with the best validation accuracy, of the best epoch and on average over seeds, is its result. One
JSON file a run; a run whose file is there is not run again. Needs: pip install 'keras_twoarg[tensorflow-cpu,mnist5k]'
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np

from keras_twoarg import InnerNetwork, TwoArgActivation, convert
from keras_twoarg.experiments.training import datasets
from keras_twoarg.models.matching import nearest_widths
from keras_twoarg.utils import files, versions

WIDTHS = {"mlp": (64, 64, 64), "cnn": (24, 48, 64)}
RATES = (1e-3, 3e-4, 1e-4)
SETTINGS = {
    # Six for each arm: (learning rate, whether the old weights are frozen in the first epoch, factor of phi's rate).
    "as it is": [(rate, False, 1.0) for rate in (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)],
    "widened": [(rate, frozen, 1.0) for rate in RATES for frozen in (False, True)],
    "converted": [(rate, frozen, 0.1 if frozen else 1.0) for rate in RATES for frozen in (False, True)],
}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def identities(variable):
    """Return what an optimizer's `update_step` may know a variable by: on TensorFlow it gets the bare one."""
    return id(variable), id(variable.value)


class Adam(keras.optimizers.Adam):
    """Adam with another learning rate for some variables."""

    def __init__(self, learning_rate, slow=(), factor=1.0):
        super().__init__(learning_rate)
        self.slow, self.factor = {one for variable in slow for one in identities(variable)}, factor

    def update_step(self, gradient, variable, learning_rate):
        factor = self.factor if id(variable) in self.slow else 1.0
        super().update_step(gradient, variable, learning_rate * factor)


def network(kind, shape, classes, widths):
    """Return a ReLU network: linear or convolution, BatchNorm, ReLU, and pooling for images."""
    model = keras.Sequential([keras.Input(shape)])
    if kind == "mlp":
        model.add(keras.layers.Flatten())
    for i, width in enumerate(widths):
        linear = keras.layers.Dense if kind == "mlp" else keras.layers.Conv2D
        more = {} if kind == "mlp" else {"kernel_size": 3, "padding": "same"}
        model.add(linear(width, use_bias=False, name=f"linear_{i}", **more))
        model.add(keras.layers.BatchNormalization(momentum=0.9, name=f"normalization_{i}"))
        model.add(keras.layers.ReLU(name=f"relu_{i}"))
        if kind == "cnn":
            model.add(keras.layers.MaxPooling2D())
    if kind == "cnn":
        model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(classes, name="logits"))
    return model


def parameters(kind, shape, classes, widths):
    """Return the number of parameters of `network`."""
    fan_in, each = (int(np.prod(shape)), 1) if kind == "mlp" else (shape[-1], 9)
    total = 0
    for width in widths:
        total, fan_in = total + each * fan_in * width + 4 * width, width
    return total + (fan_in + 1) * classes


def widened(model, kind, shape, classes, target):
    """Return a network of a number of parameters that computes what `model` does: new units have no effect yet."""
    widths = nearest_widths(WIDTHS[kind], lambda w: parameters(kind, shape, classes, w), target)
    wide = network(kind, shape, classes, widths)
    for old, new in zip(model.layers, wide.layers, strict=True):
        values = []
        for i, (small, fresh) in enumerate(zip(old.get_weights(), new.get_weights(), strict=True)):
            corner = tuple(slice(size) for size in small.shape)
            if i == 0 and small.ndim > 1 and small.shape[-2] < fresh.shape[-2]:
                fresh[..., small.shape[-2] :, : small.shape[-1]] = 0  # what the old units get from new ones
                if new.name == "logits":
                    fresh[small.shape[-2] :] = 0
            fresh[corner] = small
            values.append(fresh)
        new.set_weights(values)
    return wide


def old_masks(model, wide):
    """Return, for each variable of a widened network, where its old part lies."""
    masks = {}
    for old, new in zip(model.layers, wide.layers, strict=True):
        for small, large in zip(old.trainable_variables, new.trainable_variables, strict=True):
            mask = np.zeros(tuple(large.shape), "float32")
            mask[tuple(slice(size) for size in small.shape)] = 1
            masks |= dict.fromkeys(identities(large), keras.ops.convert_to_tensor(mask))
    return masks


class FreshAlone(keras.optimizers.Adam):
    """Adam that leaves the old part of each variable as it is."""

    def __init__(self, learning_rate, masks):
        super().__init__(learning_rate)
        self.masks = masks

    def update_step(self, gradient, variable, learning_rate):
        # With its first gradient at zero Adam moves nothing.
        super().update_step(gradient * (1 - self.masks[id(variable)]), variable, learning_rate)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best validation accuracy, over several calls of `fit`."""

    def __init__(self):
        super().__init__()
        self.epochs, self.best, self.weights = [], -1.0, None

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append({key: float(value) for key, value in logs.items()})
        if logs["val_accuracy"] > self.best:
            self.best, self.weights = logs["val_accuracy"], self.model.get_weights()


def fit(model, data, optimizer, epochs, batch, callbacks=()):
    """Train for some epochs."""
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    model.fit(
        data.x_train, data.y_train, batch_size=batch, epochs=epochs, callbacks=list(callbacks), verbose=0,
        validation_data=(data.x_validation, data.y_validation),
    )  # fmt: skip


def train_on(arm, model, base, data, setting, options):
    """Train one of the three networks on, and return its epochs and test accuracy."""
    rate, frozen, factor = setting
    best, start, left = BestEpoch(), time.perf_counter(), options.after
    phi = [v for layer in model._flatten_layers() if isinstance(layer, InnerNetwork) for v in layer.variables]
    if frozen:
        if arm == "converted":
            names = {layer.name for layer in base.layers}
            old = [x for x in model.layers if x.name in names and not isinstance(x, TwoArgActivation)]
            for layer in old:
                layer.trainable = False
            fit(model, data, Adam(rate, phi, factor), 1, options.batch, [best])
            for layer in old:
                layer.trainable = True
        else:
            fit(model, data, FreshAlone(rate, old_masks(base, model)), 1, options.batch, [best])
        left -= 1
    if left:
        steps = left * -(-len(data.x_train) // options.batch)
        falling = keras.optimizers.schedules.CosineDecay(rate, steps)
        fit(model, data, Adam(falling, phi, factor), left, options.batch, [best])
    seconds = time.perf_counter() - start
    model.set_weights(best.weights)
    loss, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
    return {"epochs": best.epochs, "validation": best.best, "test": accuracy, "test_loss": loss, "seconds": seconds}


def run_seed(dataset, seed, options):
    """Run what is not in the folder yet for one seed."""
    folder = options.out
    data, shape = datasets.split(dataset, seed), dataset.x_train.shape[1:]
    classes = int(dataset.y_train.max()) + 1
    keras.utils.set_random_seed(seed + 1)
    base, base_file = network(options.network, shape, classes, WIDTHS[options.network]), folder / f"base-{seed}.keras"
    if base_file.exists():
        base = keras.models.load_model(base_file, compile=False)
    else:
        fit(base, data, keras.optimizers.Adam(1e-3), options.before, options.batch)
        partial = folder / f"partial-{seed}.keras"
        base.save(partial)
        partial.rename(base_file)
    for arm, settings in SETTINGS.items():
        for setting in settings:
            file = folder / f"{seed}-{arm.replace(' ', '-')}-{setting[0]:g}{'-frozen' if setting[1] else ''}.json"
            if file.exists():
                continue
            keras.utils.set_random_seed(seed + 1)
            converted, report = convert(base)
            model = {"as it is": base, "converted": converted}.get(arm)
            if arm == "widened":
                model = widened(base, options.network, shape, classes, report.parameters)
            elif arm == "as it is":
                model = keras.models.clone_model(base)
                model.set_weights(base.get_weights())
            first, same = (m.predict(data.x_test[:500], verbose=0) for m in (model, base))
            base.compile(loss=LOSS, metrics=["accuracy"])
            record = train_on(arm, model, base, data, setting, options)
            record |= {
                "arm": arm, "seed": seed, "rate": setting[0], "frozen": setting[1], "phi_factor": setting[2],
                "network": options.network, "data": dataset.name, "before": options.before, "after": options.after,
                "batch": options.batch, "parameters": model.count_params(),
                "difference_at_first": float(np.abs(first - same).max()),
                "test_before": base.evaluate(data.x_test, data.y_test, verbose=0)[1], "commit": versions.commit(),
            }  # fmt: skip
            files.write_json(file, record)
            print(
                f"{file.stem}: {record['test_before']:.2%} -> {record['test']:.2%}, {record['seconds']:.0f} s",
                flush=True,
            )


def summary(folder):
    """Return one line for each arm: the setting that validation chose, and what it comes to on test images."""
    records = [files.read_json(file) for file in sorted(folder.glob("[0-9]*-*.json"))]
    lines = []
    for arm in SETTINGS:
        runs = [record for record in records if record["arm"] == arm]
        keys = sorted({(record["rate"], record["frozen"]) for record in runs})
        groups = {key: [r for r in runs if (r["rate"], r["frozen"]) == key] for key in keys}
        if not groups:
            continue
        most = max(map(len, groups.values()))
        full = {key: group for key, group in groups.items() if len(group) == most}
        key = max(full, key=lambda key: np.mean([r["validation"] for r in full[key]]))
        tests = np.array([r["test"] for r in full[key]])
        interval = ""
        if len(tests) > 1:
            from scipy import stats

            half = stats.t.ppf(0.975, len(tests) - 1) * tests.std(ddof=1) / len(tests) ** 0.5
            interval = f" ± {half:.2%}"
        before = np.mean([r["test_before"] for r in full[key]])
        seconds = np.mean([r["seconds"] for r in full[key]])
        how = f"rate {key[0]:g}" + ", the old half frozen first" * key[1]
        lines.append(
            f"{arm:10s} {full[key][0]['parameters']:9,} parameters, {how}: "
            f"test {before:.2%} -> {tests.mean():.2%}{interval} ({len(tests)} seeds, {seconds:.0f} s each)"
        )
    return lines


def main():
    """Run what is not in the folder yet, and print what the arms come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(WIDTHS), default="mlp")
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--before", type=int, default=10, help="epochs before")
    parser.add_argument("--after", type=int, default=10, help="epochs behind")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("convert-runs"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = datasets.load(options.data)
    if options.subset:
        dataset = datasets.subset(dataset, options.subset)
    for seed in range(options.seeds):
        run_seed(dataset, seed, options)
    print("\n".join(summary(options.out)))


if __name__ == "__main__":
    main()
