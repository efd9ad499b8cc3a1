"""The paper's numbers beside those measured here, what each comparison took, and stalls by phi's start."""

import json

import numpy as np

from keras_twoarg.utils import files
from results.tables import converged, long, soft_xor
from results.tables.answers import STALLED
from results.tables.comparisons import COMMANDS
from results.tables.documents import markdown
from results.tables.records import (
    FASHION,
    MNIST,
    ROOT,
    accuracy,
    after_attack,
    attacked,
    interval,
    runs,
    spread,
    stored,
    table,
)

PERCEPTRON, CNN = long.PERCEPTRONS["MNIST"], long.SCHEDULE
REPEATS = {
    "perceptron, 20 epochs, both stages, nine arms": MNIST,
    "perceptron, 200 epochs": PERCEPTRON,
    "CNN with a schedule": CNN,
    "soft XOR, 80 seeds from each start": soft_xor.CLAIM_C,
}
"""Comparisons that repeat the paper, by what they are."""
STARTS = {
    "unscaled": "random surface, not scaled: **the paper's**",
    "critical": "random surface, scaled so that gradients neither grow nor fade",
    "small": "random surface, scaled to 0.01: `twoarg train`'s default",
    "small-zero-biases": "the same, outer biases at zero",
    "glorot": "Glorot's weights: a new `InnerNetwork`",
    "relu": "ReLU units, for comparison",
}
"""The starts in results/stalls.json."""


def accuracies(folder, arms=("two_arg", "one_arg", "relu"), stage="joint"):
    """Format the test accuracies of arms as the paper lists them, in %."""
    return " / ".join(spread(accuracy(runs(folder, arm, stage)), 2, "") for arm in arms)


def attacks(folder):
    """Format the accuracies after AutoAttack of the three arms."""
    return " / ".join(spread(attacked(folder, arm), 1, "") for arm in ("two_arg", "one_arg", "relu"))


def saddles(start):
    """Format the share of saddles among the planned phis of a start, before and after training."""
    test = soft_xor.test(soft_xor.phis(soft_xor.CLAIM_C, f"mlp-mnist-{start}/"), "paper")
    return f"{test.start} → {test.learned} of {test.number}"


def quadrupoles(folder):
    """Format the mean share of the quadrupole in phi's angular power, before and after training."""
    members = soft_xor.phis(folder).values()
    return " → ".join(f"{np.mean([m[key] for m in members]):.0%}" for key in ("quadrupole_at_start", "quadrupole"))


def settled(folder):
    """Format the epochs after which nine tenths of phi's final shape were there, least and most over seeds."""
    epochs = [m["settled"] for m in soft_xor.phis(folder).values() if m["settled"] is not None]
    return f"{min(epochs)} to {max(epochs)}"


@table("reproduce-paper")
def reproduce_paper():
    """The paper's numbers and ours; three numbers are those of two_arg, one_arg and relu."""
    schedule = [spread(after_attack(converged.measured(arm)), 1, "") for arm in ("two_arg", "relu")]
    saddles_of_cnn = soft_xor.test(soft_xor.phis(CNN), "paper")
    mce = spread({seed: 100 * one.mce for seed, one in converged.errors("two_arg").items()}, 1, "")
    faster = " / ".join(interval(long.faster("relu", folder), 1) for folder in (PERCEPTRON, CNN))
    rows = [
        ("a", "epochs, two_arg minus relu: perceptron / CNN", "fewer", faster, "five seeds"),
        ("b", "test accuracy, perceptron, MNIST", "98 / 97.5 / 97", accuracies(PERCEPTRON), "Glorot, 200 epochs"),
        ("b", "test accuracy, CNN, MNIST", "99 / 98.8 / 98.5", "not run", ""),
        ("b", "test accuracy, perceptron, CIFAR-10", "52 to 53 / 50 / 48 to 49", "not run", ""),
        ("b", "test accuracy, CNN, CIFAR-10", "72 to 73 / 70 / 68 to 69", accuracies(CNN), "half width, 12 epochs"),
        ("b", "the same with a learned, frozen phi: perceptron, MNIST", "",
         accuracies(MNIST, ("two_arg", "one_arg"), "frozen") + " / no phi", "scaled random surfaces, 20 epochs"),
        ("c", "saddles, start → learned", "78 % of CNNs learned, p = 0.007", f"{saddles('random')}, perceptron",
         "random surfaces, not scaled"),
        ("c", "the same", "", f"{saddles('glorot')}, perceptron", "Glorot"),
        ("c", "the same", "", f"{saddles_of_cnn.start} → {saddles_of_cnn.learned} of {saddles_of_cnn.number}, CNN",
         "Glorot, half width"),
        ("c", "power of the quadrupole", "the largest", quadrupoles(MNIST), "perceptron, MNIST"),
        ("c", "phi is settled after epochs", "1 to 5", settled(MNIST), "perceptron, MNIST"),
        ("d", "mCE, CNN, CIFAR-10-C, relu 100", "91.3", mce, "half width, 12 epochs"),
        ("e", "after AutoAttack, perceptron, MNIST at 0.3", "39.80 / 22.86 / 26.74", attacks(MNIST), "no dropout"),
        ("e", "after AutoAttack, CNN, MNIST at 0.3", "49.25 / 10.02 / 9.33", "not run", ""),
        ("e", "after AutoAttack, perceptron, CIFAR-10 at 0.031", "4.83 / 5.62 / 2.96", "not run", ""),
        ("e", "after AutoAttack, CNN, CIFAR-10 at 0.031", "11.27 / 9.55 / 8.57", " / not run / ".join(schedule),
         "half width, no dropout"),
    ]  # fmt: skip
    return markdown(("claim", "what; accuracies in %", "the paper", "here", "setting here"), rows)


@table("reproduce-hours")
def reproduce_hours():
    """What the comparisons took, by their own clocks."""
    rows = []
    for label, folder in REPEATS.items():
        records = [run.record for run in stored(folder)]
        hours = sum(seconds for record in records for seconds in record.curve("seconds")) / 3600
        number = len({(record.arm, record.seed, record.settings.get("phi_init")) for record in records})
        rows.append((label, f"`{COMMANDS[folder][0]}`", str(number), f"{hours:.1f}", f"`{folder}`"))
    return markdown(("what", "command, without `--out`", "runs", "hours", "records"), rows)


@table("data-fingerprints")
def data_fingerprints():
    """The fingerprints of the full sets, by file, from the records that used them."""
    lines = [line for folder in (MNIST, FASHION, CNN) for line in (ROOT / folder / "runs.jsonl").open()]
    named = {record["dataset"]: record["dataset_fingerprint"] for record in map(json.loads, lines)}
    return ", ".join(f"`{fingerprint}` (`{name}`)" for name, fingerprint in named.items())


@table("reproduce-stalls")
def reproduce_stalls():
    """CNNs after 240 steps: seeds that stalled, by phi's start."""
    reached = {}
    for run in files.read_json(ROOT / "results" / "stalls.json"):
        reached.setdefault(run["start"], {})[run["seed"]] = 100 * run["val_accuracy"]
    rows = [
        (label, f"{sum(v <= 100 * STALLED for v in own.values())} of {len(own)}", spread(own, 1, ""))
        for start, label in STARTS.items()
        if (own := reached.get(start))
    ]
    return markdown(("phi starts from", "seeds that stalled", "validation accuracy after 240 steps, %"), rows)
