"""The results of the searches, and their test accuracies."""

import json
from functools import cache, partial
from itertools import product
from typing import NamedTuple

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
SHORT = {"MNIST": "mnist", "Fashion-MNIST": "fashion"}


ARMS = ("two_arg", "one_arg", "relu", "swiglu")


class Planned(NamedTuple):
    """Planned searches: their folder, the searches' seeds, and the arms that all of them searched so far."""

    folder: str
    seeds: tuple[int, ...]
    arms: tuple[str, ...] = ARMS


FIRST = {name: Planned(f"tuning/{short}-planned", (100, 101, 102)) for name, short in SHORT.items()}
"""The first time, by data: searches share trials, and arms without a phi had more guided ones; some repeat trials."""
AGAIN = {name: Planned(f"tuning/{short}-again", (200, 201, 202)) for name, short in SHORT.items()}
"""The second time, with neither of the first two faults, but some searches repeat trials."""
UNREPEATED = {"MNIST": Planned("tuning/mnist-unrepeated", (300, 301, 302))}
"""The third time, with none of these faults."""


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


def sooner(folder, threshold):
    """Return two_arg minus relu in epochs to a validation accuracy."""
    return against(*(epochs_to(runs(folder, arm), threshold) for arm in ("two_arg", "relu")))


def compared(planned):
    """The best trial of each search, and its five fresh seeds; differences are over searches."""
    rows = []
    for data, own in planned.items():
        for arm in own.arms:
            means = means_of_searches(own, arm)
            minus = "" if arm == "two_arg" else difference(means_of_searches(own, "two_arg"), means)
            validation = ", ".join(f"{100 * best(own, search, arm)['score']:.2f}" for search in own.seeds)
            rows.append((data, arm, validation, each(means), f"{np.mean(list(means.values())):.2f} %", minus))
    columns = ("data", "arm", "best trial of each search, validation", "test accuracy, means of five seeds", "mean")
    return markdown((*columns, "two_arg minus it"), rows)


def chosen(planned):
    """What each search chose."""
    rows = []
    for data, own in planned.items():
        for search, arm in product(own.seeds, own.arms):
            what = describe(best(own, search, arm)["configuration"])
            rows.append((data, str(search), arm, what, spread(accuracy(trained(own, search, arm)))))
    return markdown(("data", "search", "arm", "best trial", "test accuracy, five seeds"), rows)


def one_by_one(planned):
    """Each search alone: two_arg minus the others over its five seeds, in accuracy and in epochs."""
    rows = []
    for data, own in planned.items():
        for search, arm in product(own.seeds, own.arms[1:]):
            reached, epochs = sooner_than(own, search, arm)
            minus = difference(*(accuracy(trained(own, search, one)) for one in ("two_arg", arm)))
            rows.append((data, str(search), arm, minus, f"{100 * reached:.2f} %", interval(epochs, 1)))
    columns = ("data", "search", "two_arg minus", "test accuracy, points", "validation accuracy", "epochs to it")
    return markdown(columns, rows)


def distinct(planned):
    """Each search's number of distinct trials, for each arm."""
    rows = [
        (data, str(search), *(str(number_of_distinct(own, search, arm)) for arm in own.arms))
        for data, own in planned.items()
        for search in own.seeds
    ]
    return markdown(("data", "search", *_arms(planned)), rows)


def epochs_over_searches(planned):
    """two_arg minus each arm in epochs: the means of each search, and the difference over searches."""
    rows = []
    for data, own, arm in others(planned):
        both = epochs_of_searches(own, arm)
        means = [each(one, 1) for one in both]
        rows.append((data, arm, *means, interval(against(*both), 1)))
    columns = ("data", "two_arg minus", "two_arg's epochs, means of five seeds", "the other's", "two_arg minus it")
    return markdown(columns, rows)


def times(planned):
    """Median seconds of a trial in each search that kept them, for each arm."""
    rows = []
    for data, own in planned.items():
        for search in own.seeds:
            of_arm = {arm: [t.get("seconds") for t in of(own, search, arm)] for arm in own.arms}
            if all(None not in seconds for seconds in of_arm.values()):
                medians = {arm: float(np.median(seconds)) for arm, seconds in of_arm.items()}
                each_arm = [f"{median:.1f}" for median in medians.values()]
                rows.append((data, str(search), *each_arm, f"{medians['two_arg'] / medians['relu']:.2f}"))
    return markdown(("data", "search", *(f"{arm}, s" for arm in _arms(planned)), "two_arg, × relu"), rows)


_PARTS = {
    "": compared,
    "-best": chosen,
    "-distinct": distinct,
    "-each": one_by_one,
    "-epochs": epochs_over_searches,
    "-trials": times,
}
for name_, function in _PARTS.items():
    table(f"search-first{name_}")(partial(function, FIRST))
    table(f"search-again{name_}")(partial(function, AGAIN))
    table(f"search-unrepeated{name_}")(partial(function, UNREPEATED))


@table("search-best-epochs")
def best_epochs():
    """The mean epoch at which the runs of relu and two_arg were best."""
    means = []
    for data, own in {**AGAIN, **UNREPEATED}.items():
        relu, two_arg = (
            np.mean([r.best_epoch for search in own.seeds for r in trained(own, search, arm)])
            for arm in ("relu", "two_arg")
        )
        means.append(f"on {data} ReLU's networks were best at epoch {relu:.1f} on average, two_arg's at {two_arg:.1f}")
    return "; ".join(means)


def others(planned):
    """Return data, searches and arm for each arm that two_arg is compared with."""
    return [(data, own, arm) for data, own in planned.items() for arm in own.arms if arm != "two_arg"]


def deciding():
    """Return data, the searches that decide, and arm: the last searches that have the arm."""
    last = {(data, arm): own for planned in (AGAIN, UNREPEATED) for data, own, arm in others(planned)}
    return [(data, own, arm) for (data, arm), own in last.items()]


def _arms(planned):
    """Return the arms of searches, which are the same for all data."""
    return next(iter(planned.values())).arms


@cache
def trials(folder):
    """Return the trials of the planned searches in a folder."""
    return [json.loads(line) for line in (ROOT / folder / "trials.jsonl").read_text().splitlines()]


def of(planned, search, arm):
    """Return the trials of an arm in a planned search."""
    return [trial for trial in trials(planned.folder) if (trial["search"], trial["arm"]) == (search, arm)]


def number_of_distinct(planned, search, arm):
    """Return how many networks an arm tried in a planned search: trials with equal hyperparameters are one."""
    return len({json.dumps(trial["hyperparameters"], sort_keys=True) for trial in of(planned, search, arm)})


def best(planned, search, arm):
    """Return the best trial of an arm in a planned search."""
    finished = [trial for trial in of(planned, search, arm) if trial["status"] == "COMPLETED"]
    return max(finished, key=lambda trial: trial["score"])


def trained(planned, search, arm):
    """Return the records of what a planned search chose, by seed."""
    own = [
        run.record for run in stored(planned.folder) if (run.location.parent.name, run.record.arm) == (str(search), arm)
    ]
    return sorted(own, key=lambda record: record.seed)


def means_of_searches(planned, arm):
    """Return the mean test accuracy over five seeds of what each planned search chose, by the search's seed."""
    return {search: float(np.mean(list(accuracy(trained(planned, search, arm)).values()))) for search in planned.seeds}


def gap_of_searches(planned, arm):
    """Return two_arg minus another arm in test accuracy, over planned searches."""
    return against(means_of_searches(planned, "two_arg"), means_of_searches(planned, arm))


def epochs_of_searches(planned, arm):
    """Return two_arg's mean epochs over five seeds and another arm's, by the search's seed: see `sooner_than`."""
    epochs = {search: _epochs(planned, search, arm)[1] for search in planned.seeds}
    return [{search: float(np.mean(list(both[one].values()))) for search, both in epochs.items()} for one in (0, 1)]


def sooner_of_searches(planned, arm):
    """Return two_arg minus another arm in epochs, over planned searches."""
    return against(*epochs_of_searches(planned, arm))


def sooner_than(planned, search, arm):
    """Return the accuracy that the slower arm's mean curve reaches, and two_arg's epochs to it minus the other's."""
    reached, epochs = _epochs(planned, search, arm)
    return reached, against(*epochs)


def _epochs(planned, search, arm):
    """Return that accuracy, and the epochs to it of two_arg and of the other arm, by seed.

    A run that never gets there counts with all of its epochs.
    """
    both = [trained(planned, search, one) for one in ("two_arg", arm)]
    curves = [np.mean([record.curve("val_accuracy") for record in records], axis=0) for records in both]
    reached = min(float(curve.max()) for curve in curves)
    return reached, [{r.seed: float(r.epochs_to(reached) or len(r.epochs)) for r in records} for records in both]
