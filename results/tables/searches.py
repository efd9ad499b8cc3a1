"""The results of the searches, and their test accuracies."""

from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.records import ROOT, accuracy, against, difference, each, epochs_to, interval, runs, spread, table

MNIST, FASHION = "tuning/mnist", "tuning/fashion_mnist"
SEARCHES = (("MNIST", MNIST, 0.9), ("Fashion-MNIST", FASHION, 0.85))
"""Data, folder, and the validation accuracy up to which epochs are counted."""


def describe(configuration):
    """Describe the result of a search."""
    widths = "-".join(map(str, configuration["widths"]))
    normalization = {"none": "no normalization", "layer": "LayerNorm"}[configuration["normalization"]]
    words = [f"{widths} units", normalization, f"dropout {configuration['dropout']:g}"]
    words.append(f"Adam {configuration['learning_rate']:.1e}".replace("e-0", "e-"))
    words.append(f"batch {configuration['batch_size']}")
    if configuration["arm"] == "two_arg":
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
