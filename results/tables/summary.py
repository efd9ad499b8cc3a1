"""The claims in one table, for the README and the claims' page, with verdicts from the intervals."""

from itertools import product

from results.tables import converged, long, pays, searches, soft_xor, speed
from results.tables.documents import markdown
from results.tables.records import (
    FASHION,
    MNIST,
    accuracy,
    against,
    attacked,
    cnn,
    corrupted,
    interval,
    runs,
    table,
    verdict,
)
from results.tables.robustness import CIFAR_CNN, FASHION_CNN

PAGES = {
    "a. faster": "a-learns-faster.md",
    "b. higher": "b-ends-higher.md",
    "c. soft XOR": "c-soft-xor.md",
    "d. corruptions": "d-corruptions.md",
    "e. attacks": "e-adversarial.md",
}

HEADINGS = {  # of the rows in the README
    "a. faster": "a. learns faster, epochs",
    "b. higher": "b. ends higher, points",
    "c. soft XOR": "c. becomes a soft XOR",
    "d. corruptions": "d. withstands corruptions",
    "e. attacks": "e. withstands attacks, points",
    "new": "beyond the paper",
}


SHORT = (  # the README's rows: the first comparison of each kind, and those against the claims
    "relu, perceptron, MNIST, 200 epochs: epochs", "one_arg, perceptron, MNIST, 200 epochs: epochs",
    "relu, perceptron, MNIST, 200 epochs: points",
    "one_arg, perceptron, MNIST, 200 epochs: points",
    "relu, perceptron, MNIST, 3 searches: points", "relu, perceptron, Fashion-MNIST, 3 searches: points",
    "relu, CNN, CIFAR-10, 12 epochs: epochs",
    "relu, CNN, CIFAR-10, 12 epochs: points", "product, CNN, CIFAR-10, 12 epochs: points",
    "one_arg, CNN, CIFAR-10, 12 epochs: points",
    "relu, CNN, CIFAR-10, 12 epochs: mCE minus 100 %",
    "relu, perceptron, Fashion-MNIST at 0.1, 200 epochs: points",
    "relu, perceptron, Fashion-MNIST at 0.5 in L2, 200 epochs: points",
    "relu, CNN, **early training**, Fashion-MNIST at 0.1: points", "relu, CNN, CIFAR-10 at 8/255, 12 epochs: points",
)  # fmt: skip


@table("claims-readme")
def claims_readme():
    """The README's rows of the claims."""
    rows = [
        (claim, _short(what), str(n), interval(comparison, digits), verdict(comparison, better))
        for claim, what, comparison, digits, better, n in _compared()
        if what in SHORT
    ]
    place = next(i for i, row in enumerate(rows) if row[0].startswith("d."))
    soft_xors = [
        ("c. soft XOR", f"its start: {start}", *row[2:])
        for start, row in zip(("random", "Glorot"), _soft_xor(), strict=False)
    ]
    columns = ("claim", "two_arg minus", "seeds", "difference (95 %)", "verdict")
    return markdown(columns, _grouped([*rows[:place], *soft_xors, *rows[place:], *pays.readme_rows()]))


def _short(what):
    """Leave out what the README says once: above the table, or at the first row of a claim."""
    what = what.replace("CNN, **early training**", "early CNN")
    for words in (", 200 epochs", ", 12 epochs", ": points", ": epochs"):
        what = what.replace(words, "")
    return what.replace("perceptron", "MLP")


def _grouped(rows):
    """Name each claim at its first row alone."""
    shown = {}
    return [(HEADINGS[row[0]] if shown.setdefault(row[0], row) is row else "", *row[1:]) for row in rows]


@table("claims")
def claims():
    """The claims, linked from their own folder."""
    rows = [
        (f"[{claim}]({PAGES[claim]})", what, str(n), interval(comparison, digits), verdict(comparison, better))
        for claim, what, comparison, digits, better, n in _compared()
    ]
    columns = ("claim", "two_arg minus the other", "seeds", "difference (95 % interval)", "verdict")
    place = next(i for i, row in enumerate(rows) if row[0].startswith("[d."))
    return markdown(columns, [*rows[:place], *_soft_xor(), *rows[place:]])


def _soft_xor():
    """Return the rows of claim c: saddles before and after training, with the seed as the unit."""
    link = f"[c. soft XOR]({PAGES['c. soft XOR']})"
    rows = []
    for label, start in (("random surfaces", "random"), ("Glorot's weights", "glorot")):
        members = soft_xor.phis(soft_xor.CLAIM_C, f"mlp-mnist-{start}/")
        result, (word, _, number) = soft_xor.test(members, "paper"), soft_xor.verdicts(start)
        what = f"its own start, perceptron, phi from {label}: seeds that became saddles, and that ceased to be"
        so_far = f" of {soft_xor.PLANNED}" if number < soft_xor.PLANNED else ""
        numbers = f"{result.became} became, {result.ceased} ceased (p = {result.p:.2g})"
        rows.append((link, what, f"{number}{so_far}", numbers, word))
    change = soft_xor.change("paper")
    what = "its own start, ten earlier tasks, phi from random surfaces: share of saddles"
    return [*rows, (link, what, str(change.number), interval(change), verdict(change))]


def _compared():
    """Return rows of claim, description, difference, digits, the sign that favours two_arg, and seeds."""
    rows = []

    def add(claim, what, comparison, digits=2, better=1):
        rows.append((claim, what, comparison, digits, better, comparison.number))

    for name, data in (("MNIST", MNIST), ("Fashion-MNIST", FASHION)):
        add("a. faster", f"relu, perceptron, {name}: epochs", speed.against_relu(data), 1, -1)
    for (name, data), arm in product(long.PERCEPTRONS.items(), ("relu", "one_arg")):
        add("a. faster", f"{arm}, perceptron, {name}, 200 epochs: epochs", long.faster(arm, data), 1, -1)
    for data, own, arm in searches.deciding():
        what = f"{arm}, perceptron, {data}, 3 searches: epochs"
        add("a. faster", what, searches.sooner_of_searches(own, arm), 1, -1)
    for arm in ("relu", "swiglu", "product", "one_arg"):
        add("a. faster", f"{arm}, CNN, CIFAR-10, 12 epochs: epochs", long.faster(arm, long.SCHEDULE), 1, -1)
    for name, data in (("MNIST", MNIST), ("Fashion-MNIST", FASHION)):
        for arm in ("relu", "one_arg"):
            what = f"{arm}, perceptron, {name}: points"
            add("b. higher", what, against(accuracy(runs(data, "two_arg")), accuracy(runs(data, arm))))
    for (name, data), arm in product(long.PERCEPTRONS.items(), ("relu", "one_arg")):
        add("b. higher", f"{arm}, perceptron, {name}, 200 epochs: points", long.higher(arm, data))
    for data, own, arm in searches.deciding():
        add("b. higher", f"{arm}, perceptron, {data}, 3 searches: points", searches.gap_of_searches(own, arm))
    for arm in ("relu", "swiglu", "product", "one_arg"):
        add("b. higher", f"{arm}, CNN, CIFAR-10, 12 epochs: points", long.higher(arm, long.SCHEDULE))
    for name, data in (("Fashion-MNIST", "fashion"), ("CIFAR-10", "cifar10")):
        for arm, ending in (("relu", ""), ("one_arg", "-glorot")):
            comparison = against(accuracy(cnn(data, "two_arg", "-glorot")), accuracy(cnn(data, arm, ending)))
            add("b. higher", f"{arm}, CNN, **early training**, phi from Glorot, {name}: points", comparison)
        comparison = against(accuracy(cnn(data, "two_arg")), accuracy(cnn(data, "relu")))
        add("b. higher", f"relu, CNN, **early training**, phi from random, {name}: points", comparison)
    for name, data in (("Fashion-MNIST", FASHION_CNN), ("CIFAR-10", CIFAR_CNN)):
        comparison = against(corrupted(data, "two_arg"), corrupted(data, "relu"))
        add("d. corruptions", f"relu, CNN, **early training**, {name}: points", comparison, 1)
    add("d. corruptions", "relu, CNN, CIFAR-10, 12 epochs: mCE minus 100 %", converged.mce("two_arg"), 1, -1)
    for name, data in (("MNIST at 0.3", MNIST), ("Fashion-MNIST at 0.1", FASHION)):
        add("e. attacks", f"relu, perceptron, {name}: points", _attacks(data), 1)
    what = "relu, perceptron, Fashion-MNIST at 0.1, 200 epochs: points"
    add("e. attacks", what, _attacks(long.PERCEPTRONS["Fashion-MNIST"]), 1)
    for arm in ("relu", "one_arg"):
        comparison = _attacks(long.PERCEPTRONS["Fashion-MNIST"], arm, "L2")
        add("e. attacks", f"{arm}, perceptron, Fashion-MNIST at 0.5 in L2, 200 epochs: points", comparison, 1)
    for name, data in (("Fashion-MNIST at 0.1", FASHION_CNN), ("CIFAR-10 at 8/255", CIFAR_CNN)):
        add("e. attacks", f"relu, CNN, **early training**, {name}: points", _attacks(data), 1)
    add("e. attacks", "relu, CNN, CIFAR-10 at 8/255, 12 epochs: points", converged.more_robust("two_arg"), 1)
    return rows


def _attacks(folder, arm="relu", p_norm="Linf"):
    return against(attacked(folder, "two_arg", p_norm), attacked(folder, arm, p_norm))
