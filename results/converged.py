"""Are CNNs with two arguments more robust if trained to the end of a schedule, also at equal clean accuracy?

    python results/converged.py --data cifar10.npz --seeds 100-104 --out converged
    python results/converged.py --data cifar10.npz --seeds 0 --epochs 2 --subset 2000 --points 50 --out look
    python results/converged.py --pack converged --to results/converged.json

The networks of results/cnn-cifar10-cosine are trained again with the same seeds, since their weights were not kept: the
paper's CNN at half width, all of CIFAR-10, 12 epochs, Adam from 1e-3 to zero along a cosine, dropout 0.2. Three
networks of each seed are evaluated under the 15 corruptions of CIFAR-10-C and AutoAttack: relu and two_arg, each at its
epoch of lowest validation loss, and two_arg at the epoch whose validation accuracy is nearest to relu's.

Results in --out are not computed again. Needs: pip install '.[tensorflow-cpu,cli,robust]' and CIFAR-10 as .npz
"""

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_twoarg.experiments.robustness import measure
from keras_twoarg.experiments.training import datasets, networks, sessions
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.utils import files, model_files
from keras_twoarg.utils.allocator import keep_freed_memory

CNN = Configuration(
    architecture="cnn", widths=(30, 60, 60, 60), phi_init="glorot", epochs=12, frozen_epochs=0, schedule="cosine",
    dropout=0.2,
)  # fmt: skip
ARMS = ("two_arg", "relu")
EQUAL = "two_arg-at-equal-accuracy"
CHECKPOINT = "joint-checkpoint.npz"


def train(data, settings, folder):
    """Train one network, or resume it, and keep its checkpoint of each epoch."""

    def keep(stage, done, total, note):
        print(f"{folder.name} {stage} {done} of {total} {note}", flush=True)
        kept = folder / f"epoch-{done}.npz"
        if (folder / CHECKPOINT).exists() and not kept.exists():
            partial = shutil.copy(folder / CHECKPOINT, kept.with_suffix(".partial"))
            os.replace(partial, kept)

    (record,) = sessions.run_sessions(data, folder, keep, **vars(settings))
    return record


def settings_of(arm, seed, epochs, data):
    """Return an arm's settings, with relu matched to two_arg."""
    two_arg = replace(CNN, seed=seed, epochs=epochs)
    own = two_arg if arm == "two_arg" else replace(two_arg, arm=arm, widths=None)
    return replace(own, widths=tuple(networks.widths_of(own, data.input_shape, data.classes, two_arg)))


def nearest_epoch(record, accuracy):
    """Return the first epoch, counted from 1, whose validation accuracy is nearest to an accuracy."""
    return 1 + int(np.argmin(np.abs(np.array(record.curve("val_accuracy")) - accuracy)))


def at_epoch(folder, epoch):
    """Return a network with its weights after an epoch."""
    model = model_files.load(folder / "joint.keras")
    with np.load(folder / f"epoch-{epoch}.npz") as arrays:
        for number, variable in enumerate(model.variables):
            variable.assign(arrays[f"variable_{number}"])
    return model


def run(data, seed, epochs, points, out):
    """Train and measure the networks of one seed."""
    records = {arm: train(data, settings_of(arm, seed, epochs, data), out / f"{arm}-{seed}") for arm in ARMS}
    own, relu = records["two_arg"], records["relu"]
    equal = nearest_epoch(own, relu.epochs[relu.best_epoch - 1]["val_accuracy"])
    for name, arm, epoch in (
        ("two_arg", "two_arg", own.best_epoch),
        ("relu", "relu", relu.best_epoch),
        (EQUAL, "two_arg", equal),
    ):
        folder = out / f"{name}-{seed}-measured"
        print(f"{name} {seed}, epoch {epoch}: corruptions and AutoAttack", flush=True)
        measure.evaluate(at_epoch(out / f"{arm}-{seed}", epoch), data, folder, points=points)
        files.write_json(folder / "what.json", {"network": name, "arm": arm, "seed": seed, "epoch": epoch})


def pack(out):
    """Return the records and measurements of a folder of runs."""
    packed = []
    for file in sorted(out.glob("*/what.json")):
        what, robustness = files.read_json(file), measure.Robustness.read(file.with_name("robustness.json"))
        record = Record.read(out / f"{what['arm']}-{what['seed']}" / "joint.json")
        packed.append({**what, "record": vars(record), "robustness": vars(robustness)})
    return packed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--seeds", default="100-104", help="such as 100-104, or 100")
    parser.add_argument("--epochs", type=int, default=CNN.epochs)
    parser.add_argument("--subset", type=int, default=0, help="training images, drawn at random; 0 for all")
    parser.add_argument("--points", type=int, default=1000, help="test images")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="instead of a run: gather the records")
    parser.add_argument("--to", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not ((options.pack and options.to) or (options.data and options.out)):
        parser.error("expected --data and --out, or --pack and --to")
    if options.pack:
        files.write_json(options.to, pack(options.pack))
        return
    keep_freed_memory()
    data = datasets.load(options.data)
    if options.subset:
        data = datasets.subset(data, options.subset)
    first, _, last = options.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        run(data, seed, options.epochs, options.points, options.out)


if __name__ == "__main__":
    main()
