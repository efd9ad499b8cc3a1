"""Claims d and e: accuracy under corruptions and attacks."""

from functools import partial

import numpy as np

from keras_twoarg.utils import files
from results.tables import long
from results.tables.documents import markdown
from results.tables.records import (
    EARLY,
    FASHION,
    MNIST,
    ROOT,
    attacked,
    clean,
    corrupted,
    difference,
    each,
    robustness,
    spread,
    table,
)

ARMS = ("two_arg", "one_arg", "relu", "maxout", "swiglu")
"""The arms that were attacked, of the nine of the perceptrons."""
FASHION_CNN, CIFAR_CNN = f"{EARLY}/cnn-fashion", f"{EARLY}/cnn-cifar10"


def bold(arm):
    """Format an arm's name, in bold if the claim is about it."""
    return f"**{arm}**" if arm in ("two_arg", "relu") else arm


def corruptions(folder):
    """Return a table of the 15 corruptions."""
    columns = ("arm", "clean", "corrupted", "mCE", "relative mCE", "relative drop", "two_arg minus it, corrupted")
    rows, two_arg = [], corrupted(folder, "two_arg")
    for arm in ARMS:
        errors = errors_of(folder, arm)
        relative = {seed: 100 * e.relative_mce for seed, e in errors.items()}
        whole = np.isfinite(list(relative.values())).all()
        own = corrupted(folder, arm)
        rows.append((
            bold(arm),
            spread(clean(folder, arm), 1),
            spread(own, 1),
            spread({seed: 100 * e.mce for seed, e in errors.items()}, 1),
            spread(relative, 1) if whole else "left out",
            spread({seed: 100 * e.relative_drop for seed, e in errors.items()}, 0),
            "" if arm == "two_arg" else difference(two_arg, own, 1),
        ))  # fmt: skip
    return markdown(columns, rows)


def errors_of(folder, arm):
    """Return an arm's errors under corruption against relu's, by seed."""
    own, relu = robustness(folder, arm), robustness(folder, "relu")
    return {seed: own[seed].against(relu[seed]) for seed in own}


@table("corruptions-unusable")
def corruptions_unusable():
    """The corruptions under which relu's error hardly rises, so that it cannot be a denominator."""
    seeds = {}
    for seed, error in errors_of(FASHION_CNN, "two_arg").items():
        for name in error.unusable:
            seeds.setdefault(name.replace("_", " "), []).append(str(seed))
    number = len(robustness(FASHION_CNN, "relu"))
    told = [
        f"{name} ({'every seed' if len(own) == number else 'seed ' + ', '.join(own)})" for name, own in seeds.items()
    ]
    return " and ".join(told)


@table("corruptions-seeds")
def corruptions_seeds():
    """two_arg and relu, seed by seed."""
    rows = []
    for name, folder in (("Fashion-MNIST", FASHION_CNN), ("CIFAR-10", CIFAR_CNN)):
        errors, base = errors_of(folder, "two_arg"), (clean(folder, "relu"), corrupted(folder, "relu"))
        own = clean(folder, "two_arg"), corrupted(folder, "two_arg")
        for seed in sorted(errors):
            gaps = (f"{mine[seed] - theirs[seed]:+.1f}" for mine, theirs in zip(own, base, strict=True))
            rows.append((name, str(seed), *gaps, f"{100 * errors[seed].mce:.1f} %"))
    return markdown(("data", "seed", "two_arg minus relu, clean", "corrupted", "mCE"), rows)


@table("attacks-perceptrons")
def attacks_perceptrons():
    """AutoAttack on the perceptrons."""
    rows, two_arg = [], attacked(FASHION, "two_arg")
    for arm in ARMS:
        own = attacked(FASHION, arm)
        minus = "" if arm == "two_arg" else difference(two_arg, own, 1)
        rows.append((
            bold(arm), spread(attacked(MNIST, arm), 1), spread(clean(FASHION, arm), 1), spread(own, 1), minus,
        ))  # fmt: skip
    columns = ("arm", "MNIST, eps 0.3", "Fashion-MNIST, clean", "eps 0.1", "two_arg minus it")
    return markdown(columns, rows)


@table("attacks-long-clean")
def attacks_long_clean():
    """two_arg minus relu on the same images without an attack."""
    folder = long.PERCEPTRONS["Fashion-MNIST"]
    return difference(clean(folder, "two_arg"), clean(folder, "relu"), 1)


def attacks(folder, p_norm="Linf"):
    """Return a table of AutoAttack, with a row for each attacked arm."""
    rows, two_arg = [], attacked(folder, "two_arg", p_norm)
    for arm in (arm for arm in ARMS if attacked(folder, arm, p_norm)):
        own = attacked(folder, arm, p_norm)
        minus = "" if arm == "two_arg" else difference(two_arg, own, 1)
        rows.append((bold(arm), each(clean(folder, arm), 1), each(own, 1), spread(own, 1), minus))
    return markdown(("arm", "clean, each seed", "attacked, each seed", "attacked", "two_arg minus it"), rows)


for name_, folder_ in {"fashion": FASHION_CNN, "cifar10": CIFAR_CNN}.items():
    table(f"corruptions-{name_}")(partial(corruptions, folder_))
    table(f"attacks-{name_}")(partial(attacks, folder_))
table("attacks-long")(partial(attacks, long.PERCEPTRONS["Fashion-MNIST"]))
table("attacks-long-L2")(partial(attacks, long.PERCEPTRONS["Fashion-MNIST"], "L2"))


@table("attacks-equal-clean")
def attacks_equal_clean():
    """The two networks of two_arg and relu that are nearest in clean accuracy."""
    own, relu = clean(FASHION_CNN, "two_arg"), clean(FASHION_CNN, "relu")
    first, second = min(((a, b) for a in own for b in relu), key=lambda pair: abs(own[pair[0]] - relu[pair[1]]))
    rows = [
        (arm, str(seed), f"{clean(FASHION_CNN, arm)[seed]:.1f} %", f"{attacked(FASHION_CNN, arm)[seed]:.1f} %")
        for arm, seed in (("two_arg", first), ("relu", second))
    ]
    return markdown(("arm", "seed", "clean", "after AutoAttack"), rows)


@table("attacks-L2")
def attacks_l2():
    """AutoAttack in L2 on two_arg's and relu's CNNs of Fashion-MNIST."""
    folder, rows = f"{EARLY}/cnn-fashion-L2", []
    for arm in ("two_arg", "relu"):
        own, settings = attacked(folder, arm, "L2"), next(iter(robustness(folder, arm, "L2").values())).settings
        minus = "" if arm == "two_arg" else difference(attacked(folder, "two_arg", "L2"), own, 1)
        condition = f"{settings['p_norm']}, eps {settings['eps']:g}, {settings['points']:,} images"
        rows.append((arm, condition, each(own, 1), spread(own, 1), minus))
    return markdown(("arm", "attack", "attacked, each seed", "attacked", "two_arg minus it"), rows)


@table("smooth-phi")
def smooth_phi():
    """Coarser tables and a penalty on curvature, under AutoAttack."""
    records = files.read_json(ROOT / "results" / "smooth_phi.json")

    def values(nodes, penalty, key):
        return {r["seed"]: 100 * r[key] for r in records if (r["nodes"], r["penalty"]) == (nodes, penalty)}

    rows, usual = [], {key: values(81, 0.0, key) for key in ("test_accuracy", "square")}
    for label, nodes, penalty in (
        ("81 nodes (the default)", 81, 0.0),
        ("9 nodes", 9, 0.0),
        ("5 nodes", 5, 0.0),
        ("3 nodes: bilinear in each quadrant", 3, 0.0),
        ("81 nodes, penalty 0.1", 81, 0.1),
        ("81 nodes, penalty 1", 81, 1.0),
    ):
        row = [label]
        for key in ("test_accuracy", "square"):
            own = values(nodes, penalty, key)
            row += [each(own, 1), "" if (nodes, penalty) == (81, 0.0) else difference(own, usual[key], 1)]
        rows.append(row)
    columns = ("phi", "clean, each seed", "minus the default", "after AutoAttack, each seed", "minus the default")
    return markdown(columns, rows)
