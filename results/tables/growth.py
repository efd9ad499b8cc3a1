"""The cost of one place as its work grows, and whether exact phi or a table is faster."""

import hashlib

import numpy as np

from keras_twoarg.utils import files
from keras_twoarg.utils.figures import COLORS, pyplot
from results.tables.costs import milliseconds
from results.tables.documents import markdown
from results.tables.records import ROOT, shortened, table

RECORD = ROOT / "benchmarks" / "two-cores-growth.json"
FIGURE = ROOT / "docs" / "growth.svg"
PASSES = {"forward": "forward", "both": "forward and backward"}
CORES = {"pairs": "two cores", "one_core": "one core"}
LABELS = {
    "exact": "exact phi",
    "table_81": "table, 81 x 81",
    "table_41": "table, 41 x 41",
    "baked": "baked",
    "swiglu": "SwiGLU",
    "relu": "ReLU",
}
STYLES = dict(zip(LABELS, zip(COLORS, ("-", "-", "--", ":", "-.", "-"), "os^Dvx", strict=False), strict=True))


def seconds(part, way, what):
    """Return the sizes of the work and the times of one variant, in the same order."""
    measured = {int(number): ways[way][what] for number, ways in part.items() if what in ways.get(way, {})}
    return np.array(sorted(measured)), [measured[number] for number in sorted(measured)]


def crossover(part, one, other, what):
    """Return the number of pairs above which `other` is faster, interpolated between sizes on logarithmic axes.

    Returns:
        A number of pairs; 0.0 if it is faster at all sizes, infinity if at none.
    """
    pairs, first = seconds(part, one, what)
    _, second = seconds(part, other, what)
    slower = np.log([b["median"] / a["median"] for a, b in zip(first, second, strict=True)])
    above = np.flatnonzero(slower > 0)
    if not len(above):
        return 0.0
    last = above[-1]
    if last == len(pairs) - 1:
        return float("inf")
    share = slower[last] / (slower[last] - slower[last + 1])
    return float(np.exp(np.log(pairs[last]) + share * np.log(pairs[last + 1] / pairs[last])))


def _pairs(number):
    """Format a number of pairs with two significant digits."""
    if not 0 < number < float("inf"):
        return "all" if number else "none"
    digits = 10 ** (int(np.log10(number)) - 1)
    return f"{round(number / digits) * digits:,}"


@table("growth-wins")
def wins():
    """The number of pairs up to which exact phi is faster, and how much faster a table is at the largest size."""
    record, rows = files.read_json(RECORD), []
    for part, cores in CORES.items():
        most = max(record[part], key=int)
        for what, label in PASSES.items():
            times = {way: each[what] for way, each in record[part][most].items() if what in each}
            limits = [_pairs(crossover(record[part], "exact", f"table_{nodes}", what)) for nodes in (41, 81)]
            ratio = times["exact"]["median"] / times["table_81"]["median"]
            rows.append([f"{label}, {cores}", *limits, f"{ratio:.0f} times, at {int(most):,}"])
    columns = ["", "exact is faster than 41 x 41 up to, pairs", "than 81 x 81 up to", "81 x 81 is faster than exact"]
    return markdown(columns, rows)


@table("growth-places")
def places():
    """The same number of pairs in one place, or in several that share phi."""
    part = files.read_json(RECORD)["places"]
    ways = [way for way in LABELS if way != "baked"]
    rows = [
        [number, *(milliseconds(_spread(measured[way]["both"])) for way in ways)] for number, measured in part.items()
    ]
    return markdown(["places", *(f"{LABELS[way]}, ms" for way in ways)], rows)


@table("growth-machine")
def machine():
    """The conditions of the record."""
    kept = files.read_json(RECORD)["machine"]
    return f"commit {shortened(kept['commit'])}, TensorFlow {kept['tensorflow'][:4]}, Keras {kept['keras'][:4]}"


def _spread(times):
    low, high = times["quartiles"]
    return {"median": times["median"], "spread": (high - low) / 2}


def digest():
    """Return a digest of the record, which the figure stores."""
    return f"{RECORD.name} {hashlib.sha256(RECORD.read_bytes()).hexdigest()[:16]}"


def outdated():
    """Return a line if the figure was not drawn from the record."""
    there = FIGURE.exists() and digest() in FIGURE.read_text()
    return [] if there else [f"{FIGURE.relative_to(ROOT)}: it is not drawn from {RECORD.relative_to(ROOT)}"]


def refresh():
    """Draw the figure if it is outdated, with its panels below one another for narrow screens."""
    if not outdated():
        return
    plt, record = pyplot(), files.read_json(RECORD)
    with plt.rc_context({"svg.hashsalt": "keras_twoarg", "font.size": 10}):
        figure, axes = plt.subplots(3, 1, figsize=(4.6, 11.2), height_ratios=(3, 3, 2), layout="constrained")
        for axis, (what, label) in zip(axes, PASSES.items(), strict=False):
            draw(axis, record["pairs"], what)
            axis.set(title=f"One place, {label}", xlabel="pairs")
        draw(axes[2], record["places"], "both")
        numbers = [int(number) for number in record["places"]]
        axes[2].set(title="As many pairs in several places,\nforward and backward", xlabel="places that share phi")
        axes[2].set_xticks(numbers, map(str, numbers))
        axes[2].minorticks_off()
        axes[0].legend(frameon=False)
        metadata = {"Date": None, "Description": digest()}
        figure.savefig(FIGURE, format="svg", metadata=metadata)
        plt.close(figure)
    print(f"Drawn: {FIGURE.relative_to(ROOT)}")


def draw(axis, part, what):
    """Draw the fastest round against the work on logarithmic axes, with a band up to the upper quartile.

    Other load on the machine slows down single sizes, for all variants alike; it affects the fastest rounds least.
    """
    for way, label in LABELS.items():
        work, times = seconds(part, way, what)
        if not len(work):
            continue
        color, style, marker = STYLES[way]
        fastest, upper = [each["fastest"] for each in times], [each["quartiles"][1] for each in times]
        axis.plot(work, fastest, style, color=color, marker=marker, ms=4, label=label)
        axis.fill_between(work, fastest, upper, color=color, alpha=0.15, lw=0)
    axis.set(xscale="log", yscale="log", ylabel="seconds")
    axis.grid(alpha=0.3)
