"""The claims in one table, for the README and the claims' page; verdicts follow from the intervals."""

from keras_twoarg.experiments.reports.documents import markdown
from results.tables import searches, soft_xor, speed
from results.tables.networks import FASHION, MNIST, cnn
from results.tables.records import accuracy, against, attacked, corrupted, interval, runs, table, verdict
from results.tables.robustness import CIFAR_CNN, FASHION_CNN

PAGES = {
    "a. faster": "a-learns-faster.md",
    "b. higher": "b-ends-higher.md",
    "c. soft XOR": "c-soft-xor.md",
    "d. corruptions": "d-corruptions.md",
    "e. attacks": "e-adversarial.md",
}


@table("claims")
def claims():
    """The claims, linked from their own folder."""
    return _claims("")


@table("claims-readme")
def claims_readme():
    """The claims, linked from the README."""
    return _claims("docs/claims/")


def _claims(folder):
    rows = [
        (f"[{claim}]({folder}{PAGES[claim]})", what, str(n), interval(found, digits), verdict(found, better))
        for claim, what, found, digits, better, n in _compared()
    ]
    columns = ("claim", "two_arg minus the other", "seeds", "95 % interval", "verdict")
    rows.insert(_place(rows, "[d."), _soft_xor(folder))
    return markdown(columns, rows)


def _place(rows, beginning):
    return next(i for i, row in enumerate(rows) if row[0].startswith(beginning))


def _soft_xor(folder):
    """Return the row of claim c: the change of each seed's share of saddles by training."""
    change = soft_xor.change("paper")
    what = "its own start, phi from random surfaces: share of saddles, paper's fit"
    return f"[c. soft XOR]({folder}{PAGES['c. soft XOR']})", what, str(change.number), interval(change), verdict(change)


def _compared():
    """Yield claim, what, difference, digits, which sign favours two_arg, and seeds."""
    rows = []

    def add(claim, what, found, digits=2, better=1):
        rows.append((claim, what, found, digits, better, found.number))

    for name, data in (("MNIST", MNIST), ("Fashion-MNIST", FASHION)):
        add("a. faster", f"relu, perceptron, {name}: epochs", speed.against_relu(data), 1, -1)
    for name, data in (("MNIST", MNIST), ("Fashion-MNIST", FASHION)):
        for arm in ("relu", "one_arg"):
            what = f"{arm}, perceptron, {name}: points"
            add("b. higher", what, against(accuracy(runs(data, "two_arg")), accuracy(runs(data, arm))))
    for name, data, _ in searches.SEARCHES:
        add("b. higher", f"relu, perceptron, {name}, both searched: points", searches.gap(data))
    for name, data in (("Fashion-MNIST", "fashion"), ("CIFAR-10", "cifar10")):
        for arm, ending in (("relu", ""), ("one_arg", "-glorot")):
            found = against(accuracy(cnn(data, "two_arg", "-glorot")), accuracy(cnn(data, arm, ending)))
            add("b. higher", f"{arm}, CNN, **early training**, phi from Glorot's weights, {name}: points", found)
        found = against(accuracy(cnn(data, "two_arg")), accuracy(cnn(data, "relu")))
        add("b. higher", f"relu, CNN, **early training**, phi from random surfaces, {name}: points", found)
    for name, data in (("Fashion-MNIST", FASHION_CNN), ("CIFAR-10", CIFAR_CNN)):
        found = against(corrupted(data, "two_arg"), corrupted(data, "relu"))
        add("d. corruptions", f"relu, CNN, **early training**, {name}: points", found, 1)
    add("e. attacks", "relu, perceptron, Fashion-MNIST at 0.1: points", _attacks(FASHION), 1)
    for name, data in (("Fashion-MNIST at 0.1", FASHION_CNN), ("CIFAR-10 at 8/255", CIFAR_CNN)):
        add("e. attacks", f"relu, CNN, **early training**, {name}: points", _attacks(data), 1)
    return rows


def _attacks(folder):
    return against(attacked(folder, "two_arg"), attacked(folder, "relu"))
