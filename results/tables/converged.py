"""Claims d and e for CNNs with a schedule: corruptions and attacks, also at equal clean accuracy."""

from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.records import (
    ROOT,
    after_attack,
    against,
    difference,
    each,
    interval,
    spread,
    table,
    uncorrupted,
    under_corruption,
)

FILE = ROOT / "results" / "converged.json"
NETWORKS = {
    "two_arg": "**two_arg**",
    "two_arg-at-equal-accuracy": "two_arg at relu's accuracy",
    "relu": "**relu**",
}
"""The names in results/converged.py, and in the tables."""


def measured(network):
    """Return the measurements of a network, by seed."""
    return {
        one["seed"]: Robustness.parse(one["robustness"], str(FILE))
        for one in files.read_json(FILE)
        if one["network"] == network
    }


def epochs(network):
    """Return the epoch at which a network was measured, by seed."""
    return {one["seed"]: one["epoch"] for one in files.read_json(FILE) if one["network"] == network}


def errors(network):
    """Return the errors under corruption against relu's of the same seed, by seed."""
    relu = measured("relu")
    return {seed: own.against(relu[seed]) for seed, own in measured(network).items() if seed in relu}


def mce(network):
    """Return the difference of mCE from relu's, which is 100 %."""
    own = {seed: 100 * one.mce for seed, one in errors(network).items()}
    return against(own, dict.fromkeys(own, 100.0))


def drop(network):
    """Return the difference of the mean accuracy's fall from relu's, which is 100 %."""
    own = {seed: 100 * one.relative_drop for seed, one in errors(network).items()}
    return against(own, dict.fromkeys(own, 100.0))


def more_robust(network):
    """Return a network's accuracy after AutoAttack against relu's."""
    return against(after_attack(measured(network)), after_attack(measured("relu")))


@table("corruptions-schedule")
def corruptions_schedule():
    """The 15 corruptions of CIFAR-10-C."""
    rows = []
    for network, label in NETWORKS.items():
        own, itself, all_corrupted = errors(network), network == "relu", under_corruption(measured(network))
        rows.append((
            label, each(epochs(network), 0), spread(uncorrupted(measured(network)), 1), spread(all_corrupted, 1),
            "" if itself else difference(all_corrupted, under_corruption(measured("relu")), 1),
            spread({seed: 100 * one.mce for seed, one in own.items()}, 1),
            "" if itself else interval(mce(network), 1),
            spread({seed: 100 * one.relative_drop for seed, one in own.items()}, 0),
            "" if itself else interval(drop(network), 0),
        ))  # fmt: skip
    columns = ("network", "epoch", "clean", "corrupted", "minus relu", "mCE", "minus 100 %", "relative drop")
    return markdown((*columns, "minus 100 %"), rows)


@table("attacks-schedule")
def attacks_schedule():
    """AutoAttack at 8/255."""
    rows = []
    for network, label in NETWORKS.items():
        minus = "" if network == "relu" else interval(more_robust(network), 1)
        own = after_attack(measured(network))
        rows.append(
            (
                label,
                each(epochs(network), 0),
                each(uncorrupted(measured(network)), 1),
                each(own, 1),
                spread(own, 1),
                minus,
            )
        )
    return markdown(("network", "epoch", "clean, each seed", "attacked, each seed", "attacked", "minus relu"), rows)
