"""Claims a and b on perceptrons trained for 200 epochs, on fresh seeds: a-MLP and b-MLP of docs/claims/plan.md."""

from keras_twoarg.experiments.reports.documents import markdown
from results.tables.records import accuracy, against, difference, each, epochs_to, median, runs, spread, table
from results.tables.speed import mean, step_ratio

FOLDER, THRESHOLD = "results/mlp-mnist-200", 0.95
ARMS = ("two_arg", "one_arg", "relu")


@table("long")
def long():
    """Epochs to 95 % and the end of every arm."""
    rows = []
    for arm in ARMS:
        records, itself = runs(FOLDER, arm), arm == "two_arg"
        own, fast = accuracy(records), epochs_to(records, THRESHOLD)
        row = [arm, f"{records[0].parameters:,}", f"{median(fast)} ({each(fast, 0)})"]
        row += ["" if itself else difference(epochs_to(runs(FOLDER, "two_arg"), THRESHOLD), fast, 1)]
        row += [f"{spread(own)} ({each(own)})"]
        row += ["" if itself else difference(accuracy(runs(FOLDER, "two_arg")), own)]
        rows.append([*row, each({record.seed: record.best_epoch for record in records}, 0)])
    columns = ["arm", "parameters", "epochs to 95 %", "two_arg minus it", "test accuracy", "two_arg minus it"]
    return markdown([*columns, "best epoch"], rows)


@table("long-seconds")
def long_seconds():
    """How many times as long relu needs to 95 %, in epochs and in training time."""
    relu, two_arg = (mean(epochs_to(runs(FOLDER, arm), THRESHOLD)) for arm in ("relu", "two_arg"))
    return f"{relu / two_arg:.2f}, and {relu / two_arg / step_ratio('interpolated_41'):.2f} in training time"


def faster(arm):
    """Return two_arg's epochs to 95 % against another arm's."""
    return against(*(epochs_to(runs(FOLDER, one), THRESHOLD) for one in ("two_arg", arm)))


def higher(arm):
    """Return two_arg's test accuracy against another arm's."""
    return against(*(accuracy(runs(FOLDER, one)) for one in ("two_arg", arm)))
