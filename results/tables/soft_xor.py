"""Claim c: whether phi becomes a soft XOR. The unit is a seed, and each seed's start is paired with its end."""

from collections import Counter

import numpy as np

from keras_twoarg.analysis import mean_interval, paired, saddle_test
from keras_twoarg.utils import files
from results.tables.documents import markdown
from results.tables.pays import NEW_TASKS
from results.tables.records import EARLY, ROOT, interval, mean_of, stored, table
from results.tables.surfaces import analysed

CLAIM_C = "results/claim-c"
PLANNED = 80
"""Number of planned seeds."""
RANDOM = [
    ("perceptron, MNIST", "results/mlp-mnist", ""),
    ("perceptron, Fashion-MNIST", "results/mlp-fashion", ""),
    *(
        (f"perceptron of {n} x 64, Fashion-MNIST, 20,000 images", "results/mlp-fashion-depths", f"{n}/")
        for n in range(1, 5)
    ),
    ("perceptron, MNIST, 10,000 images", "results/mlp-mnist-starts", "random/"),
    ("CNN, Fashion-MNIST, early training", f"{EARLY}/cnn-fashion", ""),
    ("CNN, CIFAR-10, early training", f"{EARLY}/cnn-cifar10", ""),
    ("CNN, CIFAR-10, full width, early training", f"{EARLY}/cnn-cifar10-full", ""),
]
"""Runs whose phi started from random surfaces: label, comparison, and prefix of their names."""
OTHERS = [
    ("Glorot: perceptron, MNIST, 10,000 images", "results/mlp-mnist-starts", "glorot/"),
    ("Glorot: CNN, CIFAR-10, 12 epochs with a schedule", "results/cnn-cifar10-cosine", ""),
    ("Glorot: CNN, Fashion-MNIST, early training", f"{EARLY}/cnn-fashion-glorot", ""),
    ("Glorot: CNN, CIFAR-10, early training", f"{EARLY}/cnn-cifar10-glorot", ""),
    ("product: perceptron, MNIST, 10,000 images", "results/mlp-mnist-starts", "product/"),
    ("swiglu: perceptron, MNIST, 10,000 images", "results/mlp-mnist-starts", "swiglu/"),
]
FITS = {"the paper's fit": "paper", "weighted by the density": "weighted"}


def phis(folder, begin="", arm="two_arg"):
    """Return the analyses of a comparison's phis by seed."""
    seeds = {
        run.location.relative_to((ROOT / folder).resolve()).as_posix(): run.record.seed
        for run in stored(folder)
        if run.record.arm == arm and run.record.stage == "joint"
    }
    return {
        seeds[name]: run for name, run in analysed()[folder]["runs"].items() if name in seeds and name.startswith(begin)
    }


def test(members, fit):
    """Return the saddle test of some seeds' phis."""
    return saddle_test([m[f"{fit}_at_start"] for m in members.values()], [m[fit] for m in members.values()])


@table("saddles")
def saddles():
    """Saddles at the start and learned, task by task."""
    rows = []
    for label, folder, begin in RANDOM + OTHERS:
        members = phis(folder, begin)
        paper, weighted = test(members, "paper"), test(members, "weighted")
        rows.append((
            label, str(paper.number), str(paper.start), str(paper.learned), str(weighted.start), str(weighted.learned),
        ))  # fmt: skip
        if (label, folder, begin) == RANDOM[-1]:
            sums = [str(sum(int(row[column]) for row in rows)) for column in range(1, 6)]
            rows.append(("**all from random surfaces** (five starts, counted many times)", *sums))
    columns = ("runs", "seeds", "start, paper's fit", "learned", "start, weighted fit", "learned")
    return markdown(columns, rows)


def by_seed(fit):
    """Return each seed's share of saddles at the start and learned, over all its tasks from random surfaces."""
    start, learned = {}, {}
    for _, folder, begin in RANDOM:
        for seed, phi in phis(folder, begin).items():
            start.setdefault(seed, []).append(phi[f"{fit}_at_start"] > 0)
            learned.setdefault(seed, []).append(phi[fit] > 0)
    return {seed: (float(np.mean(start[seed])), float(np.mean(learned[seed]))) for seed in sorted(start)}


def change(fit):
    """Return the change of each seed's share of saddles by training."""
    start, learned = zip(*by_seed(fit).values(), strict=True)
    return paired(learned, start)


@table("saddles-by-seed")
def saddles_by_seed():
    """The same runs with the seed as the unit."""
    rows = []
    for label, fit in FITS.items():
        shares = by_seed(fit)
        start, learned = zip(*shares.values(), strict=True)
        rows.append((label, str(len(shares)), mean_of(start), mean_of(learned), interval(change(fit))))
    return markdown(("fit", "seeds", "share of saddles at the start", "learned", "change"), rows)


@table("claim-c")
def claim_c():
    """The planned runs."""
    rows = []
    for start in ("random", "glorot"):
        members = phis(CLAIM_C, f"mlp-mnist-{start}/")
        chance = analysed()[CLAIM_C]["chance"][start]
        for label, fit in FITS.items():
            result = test(members, fit)
            share = f"{result.learned / result.number:.0%} ({result.low:.0%} to {result.high:.0%})"
            rows.append((
                start, label, str(result.number), str(result.start), str(result.learned), str(result.became),
                str(result.ceased), f"{result.p:.2g}", share, f"{chance[fit]:.0%}",
            ))  # fmt: skip
    columns = (
        "phi starts from", "fit", "seeds", "saddles at the start", "learned", "became", "ceased", "McNemar p",
        "share learned", "chance",
    )  # fmt: skip
    return markdown(columns, rows)


@table("claim-c-verdicts")
def claim_c_verdicts():
    """The verdicts of these runs on claims c1 to c3, by the paper's fit."""
    rows, words = [], {name: verdicts(start) for name, start in (("c1, random", "random"), ("c2, Glorot", "glorot"))}
    for name, (training, against_chance, number) in words.items():
        rows.append((name, "training makes saddles", training, f"{number} of {PLANNED}"))
        rows.append((name.replace("c1", "c3").replace("c2", "c3"), "more than chance", against_chance, rows[-1][3]))
    return markdown(("claim", "what", "verdict", "seeds"), sorted(rows))


def verdicts(start):
    """Return the verdicts on training and against chance, and the number of seeds."""
    result = test(phis(CLAIM_C, f"mlp-mnist-{start}/"), "paper")
    more = "holds" if result.became > result.ceased else "does not hold"
    chance = analysed()[CLAIM_C]["chance"][start]["paper"]
    above = "holds" if result.low > chance else "does not hold" if result.high < chance else "not shown"
    words = (more if result.p < 0.05 else "not shown", above)
    if result.number < PLANNED:  # the verdict is that of all planned seeds
        words = tuple(f"interim: {word}" for word in words)
    return *words, result.number


@table("claim-c-headline")
def claim_c_headline():
    """The verdicts in one sentence."""
    random, glorot = verdicts("random"), verdicts("glorot")
    told = f"From the paper's random surfaces: {random[0]}. From Glorot's weights: {glorot[0]}. One perceptron."
    number = min(random[2], glorot[2])
    return f"**{told}**" + (
        f" {number} of {PLANNED} planned seeds so far; an interim look, not yet a verdict." if number < PLANNED else ""
    )


@table("chance")
def chance():
    """How often untrained surfaces are saddles."""
    rows = []
    for label, folder in (
        ("perceptron, MNIST", "results/mlp-mnist"),
        ("perceptron, Fashion-MNIST", "results/mlp-fashion"),
        ("CNN, Fashion-MNIST", f"{EARLY}/cnn-fashion"),
        ("CNN, CIFAR-10", f"{EARLY}/cnn-cifar10"),
        ("CNN, Fashion-MNIST, from Glorot's weights", f"{EARLY}/cnn-fashion-glorot"),
        ("CNN, CIFAR-10, from Glorot's weights", f"{EARLY}/cnn-cifar10-glorot"),
    ):
        (shares,) = analysed()[folder]["chance"].values()
        rows.append((label, f"{shares['paper']:.0%}", f"{shares['weighted']:.0%}"))
    return markdown(("where phi's arguments fell in", "paper's fit", "weighted fit"), rows)


@table("null-by-pretraining")
def null_by_pretraining():
    """Whether pretraining changes how often a random surface is a saddle."""
    nulls, rows = files.read_json(ROOT / "results" / "null_by_pretraining.json"), []
    for run in nulls[0]["surface"]:
        surface, phi = ([r[what][run] > 0 for r in nulls] for what in ("surface", "phi"))
        same = sum(a == b for a, b in zip(surface, phi, strict=True))
        rows.append((run, str(len(nulls)), str(sum(surface)), str(sum(phi)), str(same)))
    return markdown(("arguments of", "surfaces", "saddles", "phi fitted to them", "the same verdict"), rows)


@table("deleted-runs")
def deleted_runs():
    """The later runs of the seeds whose first runs were deleted."""
    members = phis("results/mlp-mnist-starts", "random/")
    signs = [members[seed]["weighted"] > 0 for seed in range(4)]
    return f"{sum(signs)} of {len(signs)}"


@table("phi-shapes")
def phi_shapes():
    """Score, quadrupole, nearest function and maturation."""
    rows = []
    for label, folder, begin, arm in (
        *((label, folder, begin, "two_arg") for label, folder, begin in RANDOM + OTHERS),
        ("quadratic: perceptron, MNIST", "results/mlp-mnist", "", "quadratic"),
        ("quadratic: perceptron, Fashion-MNIST", "results/mlp-fashion", "", "quadratic"),
    ):
        members = phis(folder, begin, arm).values()
        mean, low, high = mean_interval([m["weighted"] for m in members])
        quadrupoles = (f"{np.mean([m[key] for m in members]):.0%}" for key in ("quadrupole_at_start", "quadrupole"))
        nearest = Counter(m["nearest"] for m in members).most_common()
        settled = sorted(m["settled"] for m in members if m["settled"] is not None)
        rows.append((
            label, str(len(members)), f"{mean:+.2f} ({low:+.2f} to {high:+.2f})", *quadrupoles,
            ", ".join(f"{name} {count}" for name, count in nearest),
            (f"{settled[0]} to {settled[-1]}" if settled[0] != settled[-1] else str(settled[0])) if settled else "",
        ))  # fmt: skip
    columns = (
        "runs",
        "seeds",
        "score",
        "quadrupole at the start",
        "learned",
        "nearest function",
        "settled after epochs",
    )
    return markdown(columns, rows)


@table("pays-shapes")
def pays_shapes():
    """The learned phis of text, tables and synthetic tasks."""
    rows = []
    for task in NEW_TASKS:
        members = list(phis(task.folder).values())
        start, end = (np.array([member[key] for member in members]) for key in ("paper_at_start", "paper"))
        named = Counter(str(member["nearest"]) for member in members).most_common()
        shares = [np.mean([member[key] for member in members]) for key in ("quadrupole_at_start", "quadrupole")]
        rows.append((
            task.label, str(len(members)), f"{np.sum(start > 0)} → {np.sum(end > 0)}",
            ", ".join(f"{a:+.2f} → {b:+.2f}" for a, b in zip(start, end, strict=True)),
            f"{shares[0]:.0%} → {shares[1]:.0%}", ", ".join(f"{name} {number}" for name, number in named),
        ))  # fmt: skip
    columns = ("task", "seeds", "saddles", "score of each seed", "quadrupole, mean", "nearest named function")
    return markdown(columns, rows)
