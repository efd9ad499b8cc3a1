"""The plan (docs/claims/plan.md), line by line: the answer, or what is missing and what it would cost."""

from collections import Counter
from itertools import product

from keras_twoarg.utils import files
from results.tables import cell, converged, convert, long, pays, population, resnet, searches, soft_xor
from results.tables.documents import markdown
from results.tables.records import ROOT, against, attacked, clean, interval, runs, stored, table, times, verdict

STALLED = 0.12
"""Validation accuracy up to which a CNN for ten classes counts as stalled."""
AGAIN = 203
"""The first seed of the test of the added start."""
FIRST_UNITS = ("tanh", "relu", "gru", "lstm")
"""The fixed units of the recurrent cell's first plan."""
CLOCKS = ("MNIST", "one_arg")
"""Their runs measured seconds with another clock than two_arg's: between them a wait at the end of epochs went."""
REBORN = "; networks that began anew took steps several times the planned rate"
"""Of populations: the optimizer's correction for its first steps counted those of the whole run."""


@table("plan-answers")
def answers():
    """A row for each line of the plan."""
    rows = [*_soft_xor(), *_perceptrons(), *_networks_of_images(), *_populations(), *_beyond_the_paper(), *_converted()]
    return markdown(("line of the plan", "answer", "by what, or what is missing"), rows)


def _soft_xor():
    starts = {"random surfaces": "random", "Glorot's weights": "glorot"}
    for line, (label, start) in zip(("c1", "c2"), starts.items(), strict=True):
        word, _, number = soft_xor.verdicts(start)
        yield line, word, f"phi from {label}, {number} seeds, end against start"
    for label, start in starts.items():
        yield "c3", soft_xor.verdicts(start)[1], f"phi from {label}: share of saddles against chance"


def _perceptrons():
    for line, compared, digits, better, unit in (
        ("a-MLP", long.faster, 1, -1, "epochs"),
        ("b-MLP", long.higher, 2, 1, "points"),
    ):
        for (data, folder), arm in product(long.PERCEPTRONS.items(), ("relu", "one_arg")):
            comparison = compared(arm, folder)
            numbers = f"{data}, two_arg minus {arm}: {interval(comparison, digits)} {unit}, {comparison.number} seeds"
            yield line, verdict(comparison, better), numbers
    for (data, folder), arm in product(long.PERCEPTRONS.items(), ("relu", "one_arg")):
        if (data, arm) == CLOCKS:
            yield "a-MLP", "not answered", f"{data}, two_arg's seconds over {arm}'s: measured with different clocks"
            continue
        ratio = long.relative_seconds(arm, folder)
        numbers = f"{times(ratio)}, by the runs' own clocks, {ratio.number} seeds"
        yield "a-MLP", verdict(ratio, -1), f"{data}, two_arg's seconds over {arm}'s: {numbers}"


def _networks_of_images():
    hours = "60 epochs at half the paper's width: 1.5 hours a run on one core, 25 runs per data set"
    yield "a-CNN, b-CNN", "not run", hours
    for arm in ("relu", "swiglu", "product", "one_arg"):
        faster, higher = (compared(arm, long.SCHEDULE) for compared in (long.faster, long.higher))
        numbers = f"{interval(faster, 1)} epochs, {faster.number} seeds"
        yield "a-CNN, with a schedule", verdict(faster, -1), f"CIFAR-10, two_arg minus {arm}: {numbers}"
        if arm in ("relu", "one_arg"):  # the others ran on another machine
            sooner = long.sooner(arm, long.SCHEDULE)
            numbers = f"{interval(sooner, 0)} seconds, by the runs' own clocks, {sooner.number} seeds"
            yield "a-CNN, with a schedule", verdict(sooner, -1), f"CIFAR-10, two_arg minus {arm}: {numbers}"
        numbers = f"{interval(higher)} points, {higher.number} seeds"
        yield "b-CNN, with a schedule", verdict(higher), f"CIFAR-10, two_arg minus {arm}: {numbers}"
    yield from _searched()
    yield "d, e", "not run", "CNNs trained for 60 epochs; the 12-epoch CNNs with a schedule were measured instead"
    yield from _robustness()
    yield "stalls", *_stalls()
    yield "stalls, the cause", *_cause_of_stalls()
    yield "stalls", "not run", "Glorot's weights and relu"
    yield from _stalls_again()


def _searched():
    yield from _searches_of("ab-tuned, perceptron", searches.AGAIN)
    yield from _searches_of("ab-tuned, perceptron, no trial repeated", searches.UNREPEATED)
    yield "ab-tuned, perceptron, no trial repeated", "not run", "Fashion-MNIST"
    yield "ab-tuned", "not run", "the CNN"


def _searches_of(line, planned):
    for data, own, arm in searches.others(planned):
        counts = [
            f"{one} {', '.join(str(searches.number_of_distinct(own, search, one)) for search in own.seeds)}"
            for one in ("two_arg", arm)
        ]
        unit = f"{len(own.seeds)} searches of 40 trials, of which distinct: {'; '.join(counts)}"
        for compared, digits, better, figure in (
            (searches.gap_of_searches, 2, 1, "points"),
            (searches.sooner_of_searches, 1, -1, "epochs"),
        ):
            comparison = compared(own, arm)
            numbers = f"{data}, two_arg minus {arm}: {interval(comparison, digits)} {figure}, {unit}"
            yield line, verdict(comparison, better), numbers


def _robustness():
    labels = {"two_arg": "two_arg", "two_arg-at-equal-accuracy": "two_arg at relu's validation accuracy"}
    for network, label in labels.items():
        comparison = converged.mce(network)
        numbers = f"{interval(comparison, 1)}, {comparison.number} seeds"
        yield "d, CNNs with a schedule", verdict(comparison, -1), f"CIFAR-10, mCE of {label} minus 100 %: {numbers}"
        numbers = f"{interval(converged.drop(network), 0)}, {comparison.number} seeds"
        yield "d, CNNs with a schedule", "reported", f"CIFAR-10, relative drop of {label} minus 100 %: {numbers}"
    for network, label in labels.items():
        comparison = converged.more_robust(network)
        numbers = f"{label} minus relu: {interval(comparison, 1)} points, {comparison.number} seeds"
        yield "e, CNNs with a schedule", verdict(comparison), f"CIFAR-10 at 8/255, {numbers}"
    folder = long.PERCEPTRONS["Fashion-MNIST"]
    for p_norm, condition in (("Linf", "at 0.1"), ("L2", "at 0.5 in L2")):
        comparison = against(attacked(folder, "two_arg", p_norm), attacked(folder, "relu", p_norm))
        numbers = f"{interval(comparison, 1)} points, {comparison.number} seeds"
        what = f"Fashion-MNIST {condition}, 200 epochs, two_arg minus relu"
        yield "e, perceptrons", verdict(comparison), f"{what}: {numbers}"
    some = interval(against(clean(folder, "two_arg"), clean(folder, "relu")))
    not_equal = f"{some} points on the attacked images, {interval(long.higher('relu', folder))} on all test images"
    epoch = "the epoch of two_arg whose validation accuracy is nearest relu's was not attacked"
    what = f"{epoch}; clean, two_arg minus relu is {not_equal}"
    yield "e, perceptrons, at equal clean accuracy", "not run", what


def _accuracies():
    """Return the validation accuracies after a few steps by start and seed."""
    starts = {}
    for run in files.read_json(ROOT / "results" / "stalls.json"):
        starts.setdefault(run["start"], {})[run["seed"]] = run["val_accuracy"]
    return starts


def _stalls():
    """By the plan the proposed start holds if it never stalls, so one stall decides."""
    starts = {start: [reached <= STALLED for reached in own.values()] for start, own in _accuracies().items()}
    stalls = [f"{start} in {sum(starts[start])} of {len(starts[start])} seeds" for start in ("critical", "small")]
    proposed = starts["unscaled"]
    counts = f"{sum(proposed)} of {len(proposed)} seeds; the plan allowed none ({', '.join(stalls)})"
    planned = sum(len(stalled) for start, stalled in starts.items() if start != "critical")
    missing = f"run so far: {planned} of the 100 planned, and {len(starts['critical'])} with the start added later"
    return "does not hold" if any(
        proposed
    ) else "begun", f"the proposed start (unscaled) stalled in {counts}; {missing}"


def _cause_of_stalls():
    """By the plan the cause is shown if small stalls in more of the seeds that both have."""
    starts = _accuracies()
    seeds = sorted(starts["small"].keys() & starts["small-zero-biases"].keys())
    small, without = (sum(starts[start][seed] <= STALLED for seed in seeds) for start in ("small", "small-zero-biases"))
    direction = "; the plan expected the opposite" if without > small else ""
    counts = f"small stalled in {small} of {len(seeds)} shared seeds, small without biases in {without}{direction}"
    return "begun", f"{counts}; {len(seeds)} of 20 seeds"


def _stalls_again():
    """The added start, on seeds that were not used to choose it; one stall decides here too."""
    starts = {
        start: {seed: 100 * reached for seed, reached in own.items() if seed >= AGAIN}
        for start, own in _accuracies().items()
    }
    critical = starts["critical"]
    stalled, so_far = sum(reached <= 100 * STALLED for reached in critical.values()), f"{len(critical)} of 17 seeds"
    counts = f"critical stalled in {stalled} of {len(critical)} seeds; the plan allowed none of 17"
    yield "stalls, a second time", "does not hold" if stalled else "begun", counts
    for other in ("small", "unscaled"):
        numbers = f"{interval(against(critical, starts[other]))} points of validation accuracy, {so_far}"
        yield "stalls, a second time", "begun", f"critical minus {other}: {numbers}"


def _populations():
    times = (("population", population.FIRST, REBORN), ("population, a second time", population.AGAIN, ""))
    for (line, series, note), (label, start) in product(times, population.STARTS.items()):
        comparison = against(*(population.reached(start, networks, "frozen", series) for networks in (8, 1)))
        numbers = f"{interval(comparison)} points, {comparison.number} seeds"
        what = f"perceptron, phi from {label}, learned by 8 networks minus by 1"
        yield line, verdict(comparison), f"{what}: {numbers}{note}"
    yield "population", "not run", "CNN"


def _beyond_the_paper():
    for task in (*pays.NEW_TASKS, cell.CELL_SECONDS):
        for arm in (pays.best_fixed(task), *({"one_arg"} & pays.arms_of(task))):
            figure = pays.FIGURES[task.figure]
            comparison = against(pays.of(task, "two_arg", figure), pays.of(task, arm, figure))
            unit = task.figure.replace("accuracy", "points of accuracy")
            numbers = f"{pays.minus(task, 'two_arg', arm, f' {unit}')}, {comparison.number} seeds"
            if task is cell.CELL_SECONDS:
                ratio = cell.seconds_of_steps("two_arg") / cell.seconds_of_steps(arm)
                numbers += f"; all of two_arg's steps take {ratio:.2f} times as long as {arm}'s"
            yield task.label, pays.said(comparison, task.figure), f"two_arg minus {arm}: {numbers}"
    yield pays.RESNET.label, *resnet.curve_answer()
    yield pays.RESNET.label, "not run", "two_arg with `--places both`"
    yield from _cell_at_first()
    yield from _text_again()
    yield from _mixed_arguments()
    yield from _smooth()


def _cell_at_first():
    """The recurrent cell against the units of its first plan, before fixed functions of two arguments were planned."""
    bits, validation = pays.FIGURES["bits"], pays.VALIDATION["bits"]
    fixed = min(FIRST_UNITS, key=lambda arm: pays.mean(pays.CELL, arm, validation))
    comparison = against(pays.of(pays.CELL, "two_arg", bits), pays.of(pays.CELL, fixed, bits))
    numbers = f"{interval(comparison, pays.DIGITS['bits'])} bits, {comparison.number} seeds"
    word = pays.said(comparison, "bits")
    yield f"{pays.CELL.label}, as first planned", word, f"two_arg minus {fixed}: {numbers}"


def _text_again():
    bits, task = pays.FIGURES["bits"], pays.TEXT_AGAIN
    for arm in sorted({run.record.arm for run in stored(task.folder)} - {"two_arg"}, reverse=True):
        comparison = against(pays.of(task, "two_arg", bits), pays.of(task, arm, bits))
        word = pays.said(comparison, "bits")
        numbers = f"{interval(comparison, 3)} bits, {comparison.number} seeds"
        yield "King James text, a second time", word, f"two_arg minus {arm}: {numbers}"


def _mixed_arguments():
    bits = pays.FIGURES["bits"]
    mixed, label = pays.of(cell.CELL_MIXED, "two_arg", bits), cell.CELL_MIXED.label
    separate = against(mixed, pays.of(pays.CELL, "two_arg", bits))
    word = {"holds": "better", "does not hold": "worse"}.get(verdict(separate, -1), "not shown")
    yield label, word, f"mixed two_arg minus separate two_arg: {interval(separate, 3)} bits, {separate.number} seeds"
    for task, arm in (_best_fixed_beside_mixed(), (pays.CELL, "one_arg")):
        comparison = against(mixed, pays.of(task, arm, bits))
        word = pays.said(comparison, "bits")
        yield label, word, f"mixed two_arg minus {arm}: {interval(comparison, 3)} bits, {comparison.number} seeds"
    started = pays.of(cell.CELL_PRODUCT, "two_arg", bits)
    finished = {r.seed: r.bits for r in runs(cell.CELL_PRODUCT.folder, "two_arg") if r.status == "finished"}
    for arm in ("product", "two_arg"):
        comparison, some = (against(own, pays.of(pays.CELL, arm, bits)) for own in (started, finished))
        numbers = f"{interval(comparison, 3)} bits, {comparison.number} seeds"
        beside = f"without the {comparison.number - some.number} that diverged {interval(some, 3)}"
        word = pays.said(comparison, "bits")
        yield cell.CELL_PRODUCT.label, word, f"phi from a product minus {arm}: {numbers}; {beside}"


def _best_fixed_beside_mixed():
    """The best fixed unit in validation: a mixed one, or one of the first plan's cell, as planned."""
    units = [(cell.CELL_MIXED, pays.best_fixed(cell.CELL_MIXED)), *((pays.CELL, arm) for arm in FIRST_UNITS)]
    return min(units, key=lambda unit: pays.mean(*unit, pays.VALIDATION["bits"]))


def _smooth():
    cells = {name: {r.seed: r.bits for r in records} for name, records in cell.smooth_cells().items()}
    first, *others = cells
    for other in others:
        comparison = against(cells[first], cells[other])
        word = {"holds": "better", "does not hold": "worse"}.get(verdict(comparison, -1), "not shown")
        numbers = f"{interval(comparison, 3)} bits, {comparison.number} seeds"
        yield "a smooth phi that starts as a product", word, f"{first} minus {other}: {numbers}"


def _converted():
    """Converted networks; of the CNN the second comparison, as planned: the first is reported, not pooled."""
    labels = {"cnn": "a converted CNN, Fashion-MNIST", "mobilenet": "a converted MobileNetV3Small, CIFAR-10"}
    last = {one["runs"][0]["network"]: one for one in files.read_json(ROOT / "results" / "convert.json")}
    for network, label in labels.items():
        if "test" not in last[network]:
            whole = Counter(run["seed"] for run in last[network]["runs"])
            number = sum(trained == len(convert.ARMS) * convert.RATES for trained in whole.values())
            yield label, "begun", f"{number} of up to 5 seeds, an hour each on one core; no test image was read"
            continue
        test = {arm: convert.percent(accuracies) for arm, accuracies in last[network]["test"].items()}
        for other in ("as it is", "widened"):
            comparison = against(test["converted"], test[other])
            name = other.replace("as it is", "unconverted")
            numbers = f"converted minus {name}: {interval(comparison)} points, {comparison.number} fresh seeds"
            yield label, verdict(comparison), numbers
