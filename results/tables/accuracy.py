"""Claim b: final accuracy, and the cost of each arm."""

from keras_twoarg.models.blocks import arity_of
from results.tables.documents import markdown
from results.tables.records import (
    CNNS,
    EARLY,
    FASHION,
    MNIST,
    PERCEPTRONS,
    accuracy,
    cnn,
    curve,
    difference,
    each,
    runs,
    spread,
    table,
)
from results.tables.speed import mean
from results.tables.surfaces import analysed

DEPTHS, STARTS, FULL = "results/mlp-fashion-depths", "results/mlp-mnist-starts", f"{EARLY}/cnn-cifar10-full"


@table("accuracy-perceptrons")
def accuracy_perceptrons():
    """Test accuracy of every arm, and two_arg minus it."""
    rows = []
    for label, arm, stage in PERCEPTRONS:
        row = [label]
        for folder in (MNIST, FASHION):
            own, two_arg = accuracy(runs(folder, arm, stage)), accuracy(runs(folder, "two_arg"))
            row += [spread(own), "" if (arm, stage) == ("two_arg", "joint") else difference(two_arg, own)]
        rows.append(row)
    return markdown(("arm", "MNIST", "two_arg minus it", "Fashion-MNIST", "two_arg minus it"), rows)


def units(record):
    """Format the number of units of a network."""
    return f"{record.settings['pre_activations'] // arity_of(record.arm):,}"


@table("costs")
def costs():
    """The cost of each arm: the perceptron on MNIST, and the CNN at half width on Fashion-MNIST."""
    rows = []
    for label, arm, stage in PERCEPTRONS:
        if stage == "joint":
            records = runs(MNIST, arm)
            seconds = mean({r.seed: r.seconds for r in records})
            rows.append((f"perceptron, {label}", *sizes(records[0], runs(MNIST, "two_arg")[0]), f"{seconds:.0f}"))
    for arm in ("two_arg", "one_arg", "relu", "maxout", "swiglu"):
        records = cnn("fashion", arm)
        seconds = mean({r.seed: r.seconds for r in records})
        rows.append((f"CNN, {arm}", *sizes(records[0], cnn("fashion", "two_arg")[0]), f"{seconds:.0f}"))
    columns = ("network", "parameters", "units", "× two_arg", "multiply-adds", "× two_arg", "seconds")
    return markdown(columns, rows)


def sizes(record, base):
    """Return cells for the parameters, units and multiply-adds of a network, and their ratios to two_arg's."""
    own, other = (r.settings["pre_activations"] / arity_of(r.arm) for r in (record, base))
    adds = record.settings["multiply_adds"], base.settings["multiply_adds"]
    return (
        f"{record.parameters:,}", units(record), f"{own / other:.2f}", f"{adds[0]:,}", f"{adds[0] / adds[1]:.2f}",
    )  # fmt: skip


@table("cnns")
def cnns():
    """Test accuracy of the CNNs."""
    rows = []
    for label, arm, ending in CNNS:
        row = [label]
        for data in ("fashion", "cifar10"):
            own = accuracy(cnn(data, arm, ending))
            row.append(f"{spread(own)} ({each(own)})")
        rows.append(row)
    return markdown(("arm", "Fashion-MNIST", "CIFAR-10 (a JPEG copy)"), rows)


@table("cnns-differences")
def cnns_differences():
    """two_arg's CNNs minus those of the other arms."""
    rows = []
    for start, ending, others in (
        ("Glorot's weights", "-glorot", (("one_arg", "-glorot"), ("relu", ""), ("swiglu", ""), ("maxout", ""))),
        ("random surface", "", (("one_arg", ""), ("relu", ""), ("swiglu", ""), ("maxout", ""))),
        ("random surface, first series", "-first", (("relu", ""),)),
    ):
        for arm, theirs in others:
            pairs = (
                difference(accuracy(cnn(data, "two_arg", ending)), accuracy(cnn(data, arm, theirs)))
                for data in ("fashion", "cifar10")
            )
            rows.append((start, arm, *pairs))
    return markdown(("two_arg's phi from", "minus", "Fashion-MNIST", "CIFAR-10"), rows)


@table("cnns-first")
def cnns_first():
    """The same seeds of two_arg, trained twice with code that differs only in rounding."""
    rows = []
    for name, data in (("Fashion-MNIST", "fashion"), ("CIFAR-10", "cifar10")):
        first, again = (each(accuracy(cnn(data, "two_arg", ending))) for ending in ("-first", ""))
        rows.append((name, first, again))
    return markdown(("two_arg from random surfaces", "first series, each seed", "again, each seed"), rows)


@table("cnns-best-epochs")
def cnns_best_epochs():
    """In how many runs the last epoch was the best, a sign that they have not converged."""
    rows = []
    for name, data in (("Fashion-MNIST", "fashion"), ("CIFAR-10", "cifar10")):
        records = [r for arm in ("two_arg", "one_arg", "relu", "swiglu", "maxout") for r in cnn(data, arm)]
        last = sum(r.best_epoch == len(r.epochs) for r in records)
        relu = [r.curve("val_accuracy") for r in cnn(data, "relu")]
        gains = sorted(100 * (c[-1] - c[4]) for c in relu)
        rows.append((name, f"{last} of {len(records)}", f"{gains[0]:.1f} to {gains[-1]:.1f} points"))
    return markdown(("data", "best epoch is the last one", "relu gains from epoch 5 to 8"), rows)


@table("cnns-full")
def cnns_full():
    """The CNNs at full width."""
    rows = []
    for arm in ("two_arg", "relu", "swiglu", "one_arg"):
        records = runs(FULL, arm)
        rows.append((arm, str(len(records)), each(accuracy(records)), each(curve(records), 1)))
    return markdown(("arm", "seeds", "test accuracy, %, each seed", "curve, %"), rows)


@table("depths")
def depths():
    """Test accuracy over depth."""
    rows = []
    for hidden in (1, 2, 3, 4):
        two_arg, relu, swiglu = (runs(DEPTHS, arm, hidden=hidden) for arm in ("two_arg", "relu", "swiglu"))
        row = [str(hidden), f"{two_arg[0].parameters:,}", spread(accuracy(two_arg))]
        for other in (relu, swiglu):
            row += [spread(accuracy(other)), difference(accuracy(two_arg), accuracy(other))]
        rows.append(row)
    columns = ("hidden layers", "parameters", "two_arg", "relu", "two_arg minus it", "swiglu", "two_arg minus it")
    return markdown(columns, rows)


@table("starts")
def starts():
    """The effect of phi's start."""
    random, rows = accuracy(runs(STARTS, "two_arg", phi_init="random")), []
    for label, start in (
        ("product", "product"),
        ("random surface, scaled to 0.01", "random"),
        ("swiglu", "swiglu"),
        ("Glorot's weights, no pretraining", "glorot"),
    ):
        records = runs(STARTS, "two_arg", phi_init=start)
        scores = [run["weighted"] for name, run in analysed()[STARTS]["runs"].items() if name.startswith(f"{start}/")]
        saddles = f"{sum(score > 0 for score in scores)} of {len(scores)}"
        minus = "" if start == "random" else difference(accuracy(records), random)
        rows.append((label, spread(accuracy(records)), minus, spread(curve(records)), saddles))
    return markdown(("phi starts as", "test accuracy", "minus random", "curve", "soft XORs at the end"), rows)


@table("interpolated")
def interpolated():
    """Training with a table compared with exact training."""
    pairs = (
        ("the paper's perceptron, MNIST, 20 epochs", MNIST, "results/mlp-mnist-interpolated"),
        ("a small CNN, 20,000 images of Fashion-MNIST, 3 epochs", f"{EARLY}/cnn-fashion-exact",
         f"{EARLY}/cnn-fashion-interpolated"),
    )  # fmt: skip
    rows = []
    for label, exact, by_table in pairs:
        first, second = accuracy(runs(by_table, "two_arg")), accuracy(runs(exact, "two_arg"))
        rows.append((label, str(len(first)), spread(second), spread(first), difference(first, second)))
    return markdown(("network", "seeds", "exact", "interpolated", "difference, points"), rows)
