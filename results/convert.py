"""Does a second argument improve a trained ReLU network? Training continued unchanged, converted, and widened.

    python results/convert.py --data mnist.npz --out convert-mnist
    python results/convert.py --data fashion_mnist.npz --out convert-fashion
    python results/convert.py --network cnn --data fashion_mnist.npz --out convert-cnn         # an hour on one core
    python results/convert.py --network mobilenet --data cifar10.npz --out convert-mobilenet   # hours on one core
    python results/convert.py --seeds 0 --before 2 --after 2 --out look                        # at 5,000 digits
    python results/convert.py --pack results/convert.json convert-fashion --to results/convert.json

The plan, decided before the runs. A ReLU network with BatchNorm is trained for 15 epochs on 7,500 training images,
drawn anew for each seed; a fifth of them are for validation. Adam, 1e-3, falling to zero along a cosine; best epoch by
validation accuracy. Training then continues for 6 epochs, with a fresh AdamW whose rate falls to zero along a cosine,
in three networks that at first compute the same function: the network unchanged, the converted network, and one with
as many parameters as that, widened by units whose outgoing weights are zero.

PILOT chose how to continue (weight decay, freezing the old half at first, a smaller rate for phi): on the MLP with seed
0, 12,000 images of MNIST, 8 epochs, by validation images alone; five settings of the converted network were not run.
Frozen kernels have no gradient but still decay, by 10 % in 2 epochs at 3e-3. A frozen share of 0.25 is the first 2 of
the pilot's 8 epochs, and also the first 2 of the 6 epochs here, a third. RECIPES holds the best settings, which were at
1e-3 in each arm. Seeds 100 to 104 then try three learning rates in each arm. Validation accuracy chooses the epoch of
each run, and its mean over the seeds the rate. The test images are read once, after all runs, with the chosen networks.

A finished run in --out is not run again. In the committed records of MobileNetV3Small dropout's masks and the widened
network's new weights depended on earlier runs in the process, not on the seed alone. Needs: '.[tensorflow-cpu,mnist5k]'
"""

import argparse
import json
import random
import time
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import keras
import numpy as np

from keras_twoarg import InnerNetwork, convert
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.models.matching import nearest_widths
from keras_twoarg.utils import batches, files, model_files, versions

WIDTHS = {"mlp": (64, 64, 64), "cnn": (16, 32, 48), "mobilenet": (1000,)}  # the last: thousandths of the usual units
IMAGES = 7_500
BATCH = 100
ARMS = ("as it is", "widened", "converted")
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@dataclass(frozen=True)
class Recipe:
    """How to continue: AdamW's rate and decay, the share of epochs with the old half frozen, phi's share of the rate.

    Only kernels decay, also frozen ones, and never phi's. Epochs are rounded: 0.25 of 6 are 2.
    """

    rate: float
    decay: float = 0.0
    frozen: float = 0.0
    phi: float = 1.0


RATES = (3e-3, 1e-3, 3e-4)
RECIPES = {
    "as it is": [Recipe(rate) for rate in RATES],
    "widened": [Recipe(rate, decay=0.3, frozen=0.25) for rate in RATES],
    "converted": [Recipe(rate, decay=0.3) for rate in RATES],
}
TRIED = {"as it is": ((0.0,), (1.0,)), "widened": ((0.0, 0.25), (1.0,)), "converted": ((0.0, 0.25), (1.0, 0.1))}
PILOT = {
    arm: [Recipe(*values) for values in product((1e-3, 3e-4, 1e-4), (0.0, 0.3), frozen, phi)]
    for arm, (frozen, phi) in TRIED.items()
}


def name_of(seed, arm, recipe):
    """Return what the files of a run are called."""
    return f"{seed}-{arm.replace(' ', '-')}-{recipe.rate:g}-{recipe.decay:g}-{recipe.frozen:g}-{recipe.phi:g}"


def identities(variable):
    """Return what an optimizer's `update_step` may know a variable by: on TensorFlow it gets the bare one."""
    return id(variable), id(variable.value)


class Optimizer(keras.optimizers.AdamW):
    """AdamW with a smaller rate for some variables; parts of variables can be frozen."""

    def __init__(self, decay, slow, share, old):
        super().__init__(1e-3, weight_decay=decay)
        self.slow, self.share = {one for variable in slow for one in identities(variable)}, share
        self.old, self.frozen = old, keras.Variable(0.0, trainable=False)
        self.exclude_from_weight_decay(list(slow), ["bias", "gamma", "beta"])

    def update_step(self, gradient, variable, learning_rate):
        share = self.share if id(variable) in self.slow else 1.0
        # Adam does not move what never had a gradient; decay still acts on it.
        gradient = gradient * (1 - self.frozen * self.old[id(variable)])
        super().update_step(gradient, variable, learning_rate * share)


def network(kind, shape, classes, widths):
    """Return an MLP or CNN with BatchNorm and ReLU, or a MobileNetV3Small."""
    if kind == "mobilenet":
        return mobilenet(shape, classes, *widths)
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


def mobilenet(shape, classes, thousandths):
    """Return MobileNetV3Small, wider or narrower wherever no residual sum and no output fixes the number of units.

    Its moving averages forget ten times faster than usual, since an epoch has only 60 steps.
    """
    usual = keras.applications.MobileNetV3Small(
        input_shape=shape, weights=None, classes=classes, classifier_activation=None, include_preprocessing=False
    )

    def changed(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = 0.9
        if isinstance(layer, keras.layers.Conv2D) and not layer.name.endswith(("project", "logits")):
            config["filters"] = round(config["filters"] * thousandths / 1000)
        return type(layer).from_config(config)

    return keras.models.clone_model(usual, clone_function=changed)


@cache
def parameters(kind, shape, classes, widths):
    """Return the number of parameters of `network`."""
    if kind == "mobilenet":
        state = random.getstate()  # of Keras' seeds; only the first call draws some
        number = mobilenet(shape, classes, *widths).count_params()
        random.setstate(state)
        return number
    fan_in, each = (int(np.prod(shape)), 1) if kind == "mlp" else (shape[-1], 9)
    total = 0
    for width in widths:
        total, fan_in = total + each * fan_in * width + 4 * width, width
    return total + (fan_in + 1) * classes


def widened(model, kind, shape, classes, target):
    """Return a network of so many parameters that computes what `model` does: new units have no effect yet."""
    widths = nearest_widths(WIDTHS[kind], lambda w: parameters(kind, shape, classes, w), target)
    wide = network(kind, shape, classes, widths)
    for old, new in zip(model.layers, wide.layers, strict=True):
        values = []
        for i, (small, fresh) in enumerate(zip(old.get_weights(), new.get_weights(), strict=True)):
            mixes = i == 0 and small.ndim > 1 and not isinstance(old, keras.layers.DepthwiseConv2D)
            if mixes and small.shape[-2] < fresh.shape[-2]:
                fresh[..., small.shape[-2] :, : small.shape[-1]] = 0  # what the old units get from new ones
            fresh[tuple(map(slice, small.shape))] = small
            values.append(fresh)
        new.set_weights(values)
    return wide


def old_masks(arm, base, model):
    """Return a mask for each variable of a network: 1 where it comes from the base network."""
    masks = {}
    for layer in model._flatten_layers(include_self=False):
        names = {one.name for one in base.layers if not one.name.startswith("relu")}
        old = base.get_layer(layer.name).trainable_variables if layer.name in names else []
        for i, variable in enumerate(layer.trainable_variables):
            mask = np.zeros(tuple(variable.shape), "float32")
            if old:
                mask[tuple(map(slice, old[i].shape))] = 1
            masks |= dict.fromkeys(identities(variable), keras.ops.convert_to_tensor(mask))
    return masks


class Schedule(keras.callbacks.Callback):
    """Lowers the rate to zero along a cosine, thaws what is frozen, and keeps the weights of the best epoch."""

    def __init__(self, rate, epochs, frozen):
        super().__init__()
        self.rate, self.epochs, self.frozen, self.epoch = rate, epochs, frozen, 0
        self.logs, self.best, self.weights = [], (-1.0, 0.0), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if hasattr(self.model.optimizer, "frozen"):
            self.model.optimizer.frozen.assign(float(epoch < self.frozen))

    def on_train_batch_begin(self, batch, logs=None):
        share = (self.epoch + batch / self.params["steps"]) / self.epochs
        self.model.optimizer.learning_rate = self.rate * (1 + np.cos(np.pi * share)) / 2

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append({key: round(float(value), 5) for key, value in logs.items()})
        order = logs["val_accuracy"], -logs["val_loss"]
        if order > self.best:
            self.best, self.weights = order, self.model.get_weights()


def fit(model, data, rate, epochs, frozen=0):
    """Train for some epochs, the first of them with the old half frozen; leave the model with the best epoch's weights.

    Returns:
        What each epoch came to, and the best validation accuracy.
    """
    schedule = Schedule(rate, epochs, frozen)
    validation = batches.for_validation(data.x_validation, data.y_validation, 500)
    training = batches.for_fit(data.x_train, data.y_train, BATCH, shuffle=True)
    model.fit(**training, epochs=epochs, callbacks=[schedule], verbose=0, validation_data=validation)
    model.set_weights(schedule.weights)
    return {"epochs": schedule.logs, "validation": schedule.best[0]}


class Trainer:
    """One network, compiled once and trained from many states: compiling takes as long as training."""

    def __init__(self, arm, base, model, recipe):
        self.model = model
        phi = [v for layer in model._flatten_layers() if isinstance(layer, InnerNetwork) for v in layer.variables]
        model.compile(Optimizer(recipe.decay, phi, recipe.phi, old_masks(arm, base, model)), LOSS, metrics=["accuracy"])
        model.optimizer.build(model.trainable_variables)

    def run(self, weights, data, recipe, epochs, seed):
        """Train from some weights, with the seed's dropout masks; return what `fit` does, and the seconds."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(weights)
        for place, state in enumerate(v for v in self.model.variables if v.name == "seed_generator_state"):
            state.assign([seed, place])
        for variable in self.model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        start = time.perf_counter()
        found = fit(self.model, data, recipe.rate, epochs, round(recipe.frozen * epochs))
        return {**found, "seconds": round(time.perf_counter() - start, 1)}


def base_network(data, shape, classes, seed, options):
    """Return the trained ReLU network of a seed, from its file if it is there."""
    file = options.out / f"{seed}-base.keras"
    if not file.exists():
        keras.utils.set_random_seed(seed)
        model = network(options.network, shape, classes, WIDTHS[options.network])
        model.compile("adam", LOSS, metrics=["accuracy"])
        fit(model, data, 1e-3, options.before)
        model_files.save(model, file)
    return keras.models.load_model(file, compile=False)


def started(arm, base, shape, classes, options):
    """Return a network of an arm that computes what the base network does."""
    converted, report = convert(base)
    if arm == "converted":
        return converted
    if arm == "widened":
        return widened(base, options.network, shape, classes, report.parameters)
    copy = keras.models.clone_model(base)
    copy.set_weights(base.get_weights())
    return copy


def logits(model, x):
    """Return a network's outputs."""
    return np.concatenate([np.asarray(model(x[i : i + 500], training=False)) for i in range(0, len(x), 500)])


def run_seed(dataset, seed, trainers, options):
    """Run what the folder lacks for one seed."""
    data = datasets.split(datasets.subset(dataset, min(options.images, len(dataset.x_train)), seed), seed)
    shape, classes = dataset.input_shape, dataset.classes
    base = base_network(data, shape, classes, seed, options)
    for arm, recipes in (PILOT if options.pilot else RECIPES).items():
        files_of = {recipe: options.out / f"{name_of(seed, arm, recipe)}.json" for recipe in recipes}
        missing = {recipe: file for recipe, file in files_of.items() if not file.exists()}
        if not missing:
            continue
        keras.utils.set_random_seed(seed + 1)
        model = started(arm, base, shape, classes, options)
        weights = model.get_weights()
        difference = float(np.abs(logits(model, data.x_validation[:500]) - logits(base, data.x_validation[:500])).max())
        for recipe, file in missing.items():
            key = arm, recipe.decay, recipe.phi
            if key not in trainers:
                trainers[key] = Trainer(arm, base, started(arm, base, shape, classes, options), recipe)
            record = {
                "arm": arm, "seed": seed, **asdict(recipe), "network": options.network,
                "data": Path(dataset.name).name, "images": len(data.x_train) + len(data.x_validation),
                "before": options.before, "after": options.after, "parameters": int(model.count_params()),
                "commit": versions.commit(), "difference_at_first": difference,
                **trainers[key].run(weights, data, recipe, options.after, seed + 1),
            }  # fmt: skip
            if not options.pilot:
                model_files.save(trainers[key].model, file.with_suffix(".keras"))
            files.write_json(file, record)
            print(f"{file.stem}: {record['validation']:.2%} of validation, {record['seconds']:.0f} s", flush=True)


def records_of(folder):
    """Return all records of a folder."""
    return [files.read_json(file) for file in sorted(folder.glob("[0-9]*-*.json"))]


def by_recipe(records, arm):
    """Return an arm's records by recipe, the one with the best mean validation accuracy first."""
    groups = {}
    for record in records:
        if record["arm"] == arm:
            key = Recipe(*(record[k] for k in ("rate", "decay", "frozen", "phi")))
            groups.setdefault(key, []).append(record)
    return sorted(groups.items(), key=lambda item: -np.mean([r["validation"] for r in item[1]]))


def test(dataset, seeds, options):
    """Return the test accuracies of the networks that validation chose, by arm and seed."""
    x, y = datasets.scale(dataset.x_test), dataset.y_test

    def accuracy(file):
        model = keras.models.load_model(file, compile=False)
        return round(float((logits(model, x).argmax(-1) == y).mean()), 5)

    accuracies = {"before": {str(seed): accuracy(options.out / f"{seed}-base.keras") for seed in seeds}}
    for arm in ARMS:
        recipe = by_recipe(records_of(options.out), arm)[0][0]
        names = {str(seed): f"{name_of(seed, arm, recipe)}.keras" for seed in seeds}
        accuracies[arm] = {seed: accuracy(options.out / name) for seed, name in names.items()}
    return accuracies


def pack(sources, file):
    """Write the records and test accuracies of some folders, and of files written by this function, into one file.

    A comparison that has not finished has no test accuracies yet. Unfinished comparisons of a file are left out: the
    folder has more by now.
    """
    comparisons = []
    for source in sources:
        if source.is_dir():
            test = {"test": files.read_json(source / "test.json")} if (source / "test.json").exists() else {}
            found = [{"runs": records_of(source), **test}]
        else:
            found = [one for one in files.read_json(source) if "test" in one]
        comparisons += [one for one in found if one not in comparisons]
    text = json.dumps(comparisons, separators=(",", ":")) + "\n"
    files.write_whole(file, lambda opened: opened.write(text.encode()))


def main():
    """Run, or pack what has run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(WIDTHS), default="mlp")
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--images", type=int, default=IMAGES, help="training images, including those for validation")
    parser.add_argument("--before", type=int, default=15, help="epochs of the ReLU network")
    parser.add_argument("--after", type=int, default=6, help="epochs of each continuation")
    parser.add_argument("--seeds", default="100-104", help="such as 0 or 100-104")
    parser.add_argument("--pilot", action="store_true", help="try recipes, on validation images alone")
    parser.add_argument("--out", type=Path, default=Path("convert-runs"))
    parser.add_argument("--pack", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--to", type=Path, default=Path("convert.json"))
    options = parser.parse_args()
    if options.pack:
        return pack(options.pack, options.to)
    settings = {key: getattr(options, key) for key in ("network", "data", "images", "before", "after")}
    with result_folder(options.out, settings, "settings.json"):
        run(options)


def run(options):
    """Run what the folder lacks, and print the result of each arm."""
    first, _, last = options.seeds.partition("-")
    dataset, seeds, trainers = datasets.load(options.data), range(int(first), int(last or first) + 1), {}
    for seed in seeds:
        run_seed(dataset, seed, trainers, options)
    for arm in ARMS:
        for recipe, runs in by_recipe(records_of(options.out), arm):
            mean, seconds = (np.mean([r[key] for r in runs]) for key in ("validation", "seconds"))
            print(f"{arm}, {recipe}: {mean:.2%} of validation, {len(runs)} seeds, {seconds:.0f} s each")
    if not options.pilot:
        file = options.out / "test.json"
        if not file.exists() or set(files.read_json(file)["before"]) != {str(seed) for seed in seeds}:
            files.write_json(file, test(dataset, seeds, options))
        for arm, accuracies in files.read_json(options.out / "test.json").items():
            print(f"{arm}: {np.mean(list(accuracies.values())):.2%} of test images")


if __name__ == "__main__":
    main()
