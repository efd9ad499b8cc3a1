"""The results of the searches, and their test accuracies."""

import json
from functools import cache
from itertools import product

import numpy as np

from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.records import (
    ROOT,
    accuracy,
    against,
    difference,
    each,
    epochs_to,
    interval,
    runs,
    spread,
    stored,
    table,
)

MNIST, FASHION = "tuning/mnist", "tuning/fashion_mnist"
SEARCHES = (("MNIST", MNIST, 0.9), ("Fashion-MNIST", FASHION, 0.85))
"""Data, folder, and the validation accuracy up to which epochs are counted."""
PLANNED, SEEDS = {"MNIST": "tuning/mnist-planned", "Fashion-MNIST": "tuning/fashion-planned"}, (100, 101, 102)
"""The folders of the planned searches by their data, and the searches' seeds."""
ARMS = ("two_arg", "one_arg", "relu", "swiglu")


def describe(configuration):
    """Describe the result of a search."""
    widths = "-".join(map(str, configuration["widths"]))
    normalization = {"none": "no normalization", "layer": "LayerNorm"}[configuration["normalization"]]
    words = [f"{widths} units", normalization, f"dropout {configuration['dropout']:g}"]
    words.append(f"Adam {configuration['learning_rate']:.1e}".replace("e-0", "e-"))
    words.append(f"batch {configuration['batch_size']}")
    if configuration["arm"] in ("two_arg", "one_arg"):
        words.append(f"phi {'-'.join(map(str, configuration['inner_units']))} from {configuration['phi_init']}")
    return ", ".join(words)


@table("search")
def search():
    """The best trial of each search, and its five fresh seeds."""
    rows = []
    for data, folder, _ in SEARCHES:
        for arm in ("two_arg", "relu"):
            best = files.read_json(ROOT / folder / f"best-{arm}.json")
            trials = files.read_json(ROOT / folder / f"trials-{arm}.json")
            own = accuracy(runs(folder, arm))
            rows.append((
                data, arm, f"{100 * best['score']:.2f} % of {len(trials)}", describe(best["configuration"]),
                spread(own), each(own),
            ))  # fmt: skip
    columns = ("data", "arm", "best trial, validation", "what it is", "test accuracy", "each seed")
    return markdown(columns, rows)


@table("search-differences")
def search_differences():
    """two_arg minus relu, with the results of the searches."""
    rows = []
    for data, folder, threshold in SEARCHES:
        two_arg, relu = runs(folder, "two_arg"), runs(folder, "relu")
        rows.append((
            data, str(len(two_arg)), difference(accuracy(two_arg), accuracy(relu)), f"{threshold:.0%}",
            interval(sooner(folder, threshold), 1),
        ))  # fmt: skip
    columns = ("data", "seeds", "test accuracy, points", "validation accuracy", "epochs to it")
    return markdown(columns, rows)


def gap(folder):
    """Return two_arg minus relu in test accuracy."""
    return against(accuracy(runs(folder, "two_arg")), accuracy(runs(folder, "relu")))


def sooner(folder, threshold):
    """Return two_arg minus relu in epochs to a validation accuracy."""
    return against(*(epochs_to(runs(folder, arm), threshold) for arm in ("two_arg", "relu")))


@table("search-planned")
def search_planned():
    """The planned searches: the best trial of each, and its five fresh seeds; differences are over searches."""
    rows = []
    for data, arm in product(PLANNED, ARMS):
        means = means_of_searches(data, arm)
        minus = "" if arm == "two_arg" else difference(means_of_searches(data, "two_arg"), means)
        validation = ", ".join(f"{100 * best(data, search, arm)['score']:.2f}" for search in SEEDS)
        rows.append((data, arm, validation, each(means), f"{np.mean(list(means.values())):.2f} %", minus))
    columns = ("data", "arm", "best trial of each search, validation", "test accuracy, means of five seeds", "mean")
    return markdown((*columns, "two_arg minus it"), rows)


@table("search-planned-best")
def search_planned_best():
    """What each planned search chose."""
    rows = [
        (
            data,
            str(search),
            arm,
            describe(best(data, search, arm)["configuration"]),
            spread(accuracy(planned(data, search, arm))),
        )
        for data, search, arm in product(PLANNED, SEEDS, ARMS)
    ]
    return markdown(("data", "search", "arm", "best trial", "test accuracy, five seeds"), rows)


@table("search-planned-each")
def search_planned_each():
    """Each planned search alone: two_arg minus the others over its five seeds, in accuracy and in epochs."""
    rows = []
    for data, search, arm in product(PLANNED, SEEDS, ARMS[1:]):
        reached, epochs = sooner_than(data, search, arm)
        minus = difference(*(accuracy(planned(data, search, one)) for one in ("two_arg", arm)))
        rows.append((data, str(search), arm, minus, f"{100 * reached:.2f} %", interval(epochs, 1)))
    columns = ("data", "search", "two_arg minus", "test accuracy, points", "validation accuracy", "epochs to it")
    return markdown(columns, rows)


@table("search-planned-seconds")
def search_planned_seconds():
    """Mean seconds of a run of what the planned searches on MNIST chose, for each arm."""
    seconds = {arm: np.mean([r.seconds for search in SEEDS for r in planned("MNIST", search, arm)]) for arm in ARMS}
    return ", ".join(f"{arm} {mean:.0f}" for arm, mean in seconds.items()) + " seconds"


@table("search-planned-best-epochs")
def search_planned_best_epochs():
    """The mean epoch at which the runs of relu and two_arg were best on MNIST."""
    arms = ("relu", "two_arg")
    relu, two_arg = (np.mean([r.best_epoch for s in SEEDS for r in planned("MNIST", s, arm)]) for arm in arms)
    return f"ReLU's networks were best at epoch {relu:.1f} on average, two_arg's at {two_arg:.1f}"


@table("search-planned-trials")
def search_planned_trials():
    """Median seconds of a trial in each planned search that kept them, for each arm."""
    rows = []
    for data, search in product(PLANNED, SEEDS):
        own = {
            arm: [t.get("seconds") for t in trials(data) if (t["search"], t["arm"]) == (search, arm)] for arm in ARMS
        }
        if all(None not in seconds for seconds in own.values()):
            medians = {arm: float(np.median(seconds)) for arm, seconds in own.items()}
            each_arm = [f"{median:.1f}" for median in medians.values()]
            rows.append((data, str(search), *each_arm, f"{medians['two_arg'] / medians['relu']:.2f}"))
    return markdown(("data", "search", *(f"{arm}, s" for arm in ARMS), "two_arg, × relu"), rows)


@cache
def trials(data):
    """Return the trials of the planned searches on some data."""
    return [json.loads(line) for line in (ROOT / PLANNED[data] / "trials.jsonl").read_text().splitlines()]


def best(data, search, arm):
    """Return the best trial of an arm in a planned search."""
    own = [t for t in trials(data) if (t["search"], t["arm"], t["status"]) == (search, arm, "COMPLETED")]
    return max(own, key=lambda trial: trial["score"])


def planned(data, search, arm):
    """Return the records of what a planned search chose, by seed."""
    own = [
        run.record for run in stored(PLANNED[data]) if (run.location.parent.name, run.record.arm) == (str(search), arm)
    ]
    return sorted(own, key=lambda record: record.seed)


def means_of_searches(data, arm):
    """Return the mean test accuracy over five seeds of what each planned search chose, by the search's seed."""
    return {search: float(np.mean(list(accuracy(planned(data, search, arm)).values()))) for search in SEEDS}


def gap_of_searches(data, arm):
    """Return two_arg minus another arm in test accuracy, over the planned searches."""
    return against(means_of_searches(data, "two_arg"), means_of_searches(data, arm))


def sooner_than(data, search, arm):
    """Return the accuracy that the slower arm's mean curve reaches, and two_arg's epochs to it minus the other's.

    A run that never gets there counts with all of its epochs.
    """
    both = [planned(data, search, one) for one in ("two_arg", arm)]
    curves = [np.mean([record.curve("val_accuracy") for record in records], axis=0) for records in both]
    reached = min(float(curve.max()) for curve in curves)
    epochs = [{r.seed: float(r.epochs_to(reached) or len(r.epochs)) for r in records} for records in both]
    return reached, against(*epochs)
