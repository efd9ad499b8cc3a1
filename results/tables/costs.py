"""The cost of two arguments: the committed measurements of `twoarg bench`."""

from functools import partial
from itertools import product

from keras_twoarg.experiments.benchmark.aims import AIMS, reached
from keras_twoarg.experiments.benchmark.places import COMPILED, FIXED, VARIANTS
from keras_twoarg.utils import files
from results.tables import pays
from results.tables.documents import markdown
from results.tables.records import ROOT, shortened, table

NETWORKS, EXPORTS, ONNX = "two-cores.json", "two-cores-exports.json", "two-cores-onnx.json"
XLA, FIRST_BLOCK = "two-cores-xla.json", "two-cores-first-block.json"
USE, BEFORE = "two-cores-use.json", "two-cores-use-before.json"
"""Measured with today's look-up, and before on a slower machine."""
PAIRS = 128 * 76_320
"""Pairs of a batch in the paper's CNN on 32x32x3."""
INT8, INT8_WAYS = "one-core-int8.json", ("float", "converter", "int8")
PLACES = {"tensorflow": "two-cores-places.json", "jax": "two-cores-places-jax.json"}
BACKENDS = {"TensorFlow": USE, "JAX": "two-cores-jax.json", "torch": "two-cores-torch.json"}
AIMED = (NETWORKS, EXPORTS, *BACKENDS.values(), BEFORE)
"""Measurements in which aims are looked up; the first one with an aim counts."""
LABELS = {
    "relu_keras_norm": "relu after Keras' LayerNormalization",
    "interpolated": "**two_arg, interpolated**",
    "interpolated_41": "two_arg, a table of 41 x 41 nodes",
    "interpolated_81": "two_arg, a table of 81 x 81 nodes",
    "baked": "two_arg, baked, in Keras",
    "exact": "two_arg, exact",
    "plain": "two_arg, plain (reshape and Dense)",
}
MODELS = {
    "transformer": "character Transformer, 3 blocks, 32 x 64 tokens; fixed: gelu",
    "subclassed": "subclassed perceptron, 6 layers of 64 units, batch 128; fixed: relu",
    "recurrent": "cell of 64 units, 50 steps, batch 64; fixed: tanh",
    "mobilenet": "MobileNetV3Small, converted, 64x64x3, batch 32; fixed: its own",
}
TASKS = ("training_step", "predict")
SERVED = "cnn32, served"
SHORT = {"mlp28": "MLP 28x28x1", "cnn32-half": "CNN 32x32x3, half width"}


def measured(file, part):
    """Return one part of a committed measurement."""
    return files.read_json(ROOT / "benchmarks" / file)[part]


def milliseconds(times):
    """Format a median and half the interquartile range."""
    median, spread = 1e3 * times["median"], 1e3 * times["spread"]
    digits = 0 if median >= 100 else 1
    return f"{median:,.{digits}f} ± {spread:.{digits}f}"


def over(times, base):
    """Format the ratio of two medians."""
    return f"{times['median'] / base['median']:.2f}"


def network(name):
    """Return a training step, `predict` and the peak memory of one of the paper's networks, against relu."""
    variants, peaks = measured(NETWORKS, "networks")[name], measured(NETWORKS, "memory")[name]
    rows = []
    for variant, times in variants.items():
        row = [LABELS.get(variant, variant), f"{times['parameters']:,}"]
        for task in TASKS:
            there = task in times
            row += [milliseconds(times[task]), over(times[task], variants["relu"][task])] if there else ["", ""]
        if "cnn" in name:
            peak = peaks.get(variant)
            row += [f"{peak:,.0f}", f"{peak / peaks['relu']:.2f}"] if peak else ["", ""]
        rows.append(row)
    columns = ["units", "parameters", "training step, ms", "× relu", "predict, ms", "× relu"]
    return markdown(columns + ["peak, MB", "× relu"] * ("cnn" in name), rows)


for name_ in ("cnn32", "cnn28", "mlp28", "mlp32"):
    table(f"cost-{name_}")(partial(network, name_))


def backends(records):
    """Return a training step and `predict` on each backend, against relu's."""
    rows = []
    for backend, file in records.items():
        for name, variants in measured(file, "networks").items():
            row = [backend, SHORT[name]]
            for task in TASKS:
                relu = variants["relu"][task]
                row += [milliseconds(relu), *(over(variants[v][task], relu) for v in ("swiglu", "interpolated"))]
            rows.append(row)
    columns = ["backend", "network", "step: relu, ms", "swiglu, × relu", "two_arg, × relu"]
    return markdown([*columns, "predict: relu, ms", "swiglu, × relu", "two_arg, × relu"], rows)


table("cost-backends")(partial(backends, BACKENDS))
table("cost-before")(partial(backends, {"TensorFlow": BEFORE}))


@table("cost-exports")
def exports():
    """Exports, each in its own runtime, against relu's."""
    rows = []
    for runtime, times in measured(EXPORTS, "exports")["cnn32"].items():
        perceptron = measured(EXPORTS, "exports")["mlp28"][runtime]
        row = [runtime, milliseconds(times["relu"]), milliseconds(times["baked"]), over(times["baked"], times["relu"])]
        longer = 1e9 * (times["baked"]["median"] - times["relu"]["median"]) / PAIRS
        exact = over(times["exact"], times["relu"]) if "exact" in times else ""  # not in int8
        rows.append([*row, f"{longer:.0f}", exact, over(perceptron["baked"], perceptron["relu"])])
    columns = ["runtime", "relu, ms", "baked, ms", "× relu", "extra, ns a pair", "exact, × relu"]
    return markdown([*columns, "the MLP, baked, × relu"], rows)


@table("cost-onnx")
def onnx():
    """Baked look-ups in ONNX Runtime: as Keras exports them, and as `formats.export` does."""
    names = {"rows": "a cell's coefficients as a row (`model.export`)", "planes": "one by one (`formats.export`)"}
    times, rows = files.read_json(ROOT / "benchmarks" / ONNX), []
    for way, label in names.items():
        row = [label]
        for name in ("cnn32", "mlp28"):
            row += [over(times[name][way][kind], times[name]["relu"][kind]) for kind in ("wall", "processor")]
        rows.append(row)
    return markdown(["fetched", "the CNN, × relu", "processor time", "the MLP, × relu", "processor time"], rows)


@table("cost-xla")
def xla():
    """How XLA fetches coefficients, with each instruction set: nanoseconds a pair."""
    rows, record = [], files.read_json(ROOT / "benchmarks" / XLA)
    labels = {"own": "AVX-512", "AVX2": "AVX2"}
    for isa, number in product(labels, record["isas"]["own"]):
        times = {way: 1e9 * each["median"] / int(number) for way, each in record["isas"][isa][number].items()}
        ratio = times["one by one"] / times["rows"]
        rows.append((labels[isa], f"{int(number):,}", *(f"{time:.2f}" for time in times.values()), f"{ratio:.2f}"))
    columns = ("instructions", "pairs", "rows, ns a pair", "one by one", "swiglu", "one by one, × rows")
    return markdown(columns, rows)


@table("cost-first-block")
def first_block():
    """The layers of the CNN's first block, one by one: medians, and the fastest round in brackets."""
    record = files.read_json(ROOT / "benchmarks" / FIRST_BLOCK)
    rows = []
    for name, times in record["layers"].items():
        row = [f"{1e3 * each['median']:.1f} ({1e3 * min(each['seconds']):.1f})" for each in times.values()]
        pair = [f"{1e9 * each['median'] / record['pairs']:.1f}" for each in times.values()]
        rows.append([name, *row, *pair])
    columns = ["layer", "forward, ms", "and backward, ms", "forward, ns a pair", "and backward, ns a pair"]
    return markdown(columns, rows)


@table("int8-machine")
def int8_machine():
    """The conditions of the int8 record."""
    kept = files.read_json(ROOT / "benchmarks" / INT8)["machine"]
    return f"commit {shortened(kept['commit'])}, TensorFlow {kept['tensorflow'][:4]}, LiteRT, {kept['cores']} core"


@table("cost-int8")
def int8():
    """LiteRT in float and in int8: times, accuracies and changed predictions, of ReLU and of phi."""
    names = {"mlp28": "MLP 28x28x1", "cnn28-half": "CNN 28x28x1, half width", "cnn32": "CNN 32x32x3"}
    record, rows, predictions = files.read_json(ROOT / "benchmarks" / INT8), [], []
    for name, label in names.items():
        arms = record["networks"][name]
        for arm in ("relu", "two_arg"):
            ways, relu = [arms[arm][way] for way in INT8_WAYS], [arms["relu"][way] for way in INT8_WAYS]
            row = [label, arm] + [milliseconds(way["processor"]) for way in ways]
            row += [over(ways[i]["processor"], relu[i]["processor"]) if arm == "two_arg" else "" for i in (0, 2)]
            rows.append(row)
            if "accuracy" in ways[0]:
                changed = [f"{way['changed']:,}" for way in ways[1:]]
                predictions.append([label, arm, *(f"{way['accuracy']:.2%}" for way in ways), *changed])
    columns = ["network", "units", "float, ms", "as converted, ms", "int8, ms", "float, × relu", "int8, × relu"]
    accuracy = ["accuracy: float", "as converted", "int8", "changed predictions: as converted", "int8"]
    return markdown(columns, rows) + "\n\n" + markdown(["network", "units", *accuracy], predictions)


@table("ridges")
def ridges():
    """The predictions of a trained perceptron that change if relu ridges replace phi's table."""
    (record,), rows = files.read_json(ROOT / "results" / "ridges.json"), []
    distilled = {row["number"]: row for row in record["rows"] if row["kind"] == "distilled"}
    for row in record["rows"]:
        if row["kind"] in ("table", "ridges"):
            number = (
                f"{row['number']} ridges" if row["kind"] == "ridges" else "a table, {0} x {0}".format(row["number"])
            )
            errors = f"{100 * min(row['errors']):.1f} to {100 * max(row['errors']):.1f} %"
            trained = distilled.get(row["number"]) if row["kind"] == "ridges" else None
            share = [f"{each['changed'] / record['samples']:.2%}" if each else "" for each in (row, trained)]
            rows.append([number, errors, *share, f"{row['accuracy']:.2%}"])
    columns = ["instead of phi", "error, of phi's std", "predictions changed", "distilled", "accuracy"]
    return markdown(columns, rows)


def places(backend):
    """Return the times of "auto", exact and interpolated phi."""
    rows = []
    for name, variants in measured(PLACES[backend], "places").items():
        for task in TASKS:
            times = {variant: each[task] for variant, each in variants.items()}
            faster = min(times["exact"], times["interpolated"], key=lambda each: each["median"])
            row = [MODELS[name], task.replace("_", " ")] + [milliseconds(times[variant]) for variant in VARIANTS]
            rows.append([*row, over(times["auto"], faster), over(times["auto"], times["fixed"])])
    columns = ("model", "", "fixed, ms", "exact, ms", "interpolated, ms", "auto, ms", "auto × the faster")
    return markdown((*columns, "auto × fixed"), rows)


@table("cost-places-compiled")
def places_compiled():
    """Models that TensorFlow compiles as a whole, compared with the default of `fit`."""
    rows = []
    for name, variants in measured(PLACES["tensorflow"], "places").items():
        if FIXED + COMPILED in variants:
            for task in TASKS:
                fixed, auto = ([variants[one + end][task] for end in ("", COMPILED)] for one in (FIXED, "auto"))
                row = [MODELS[name], task.replace("_", " "), *map(milliseconds, (*fixed, *auto))]
                rows.append([*row, over(auto[0], fixed[0]), over(auto[1], fixed[1])])
    columns = ("model", "", "fixed, ms", "compiled, ms", "auto, ms", "compiled, ms", "auto × fixed", "both compiled")
    return markdown(columns, rows)


for backend_ in PLACES:
    table(f"cost-places-{backend_}")(partial(places, backend_))


def _ratio(times, fixed, task):
    """Return the ratio of a task's time to that with the fixed activation, or None if it was not timed."""
    return times[task]["median"] / fixed[task]["median"] if task in times else None


def _on_backends():
    """Return the ratios of training step and `predict` to those of the usual activation, by model and backend."""
    ratios = {}
    for backend, file in BACKENDS.items():
        for name, variants in measured(file, "networks").items():
            ratios[name, backend] = [_ratio(variants["interpolated"], variants["relu"], task) for task in TASKS]
    for backend, file in (("TensorFlow", PLACES["tensorflow"]), ("JAX", PLACES["jax"])):
        for name, variants in measured(file, "places").items():
            ratios[name, backend] = [_ratio(variants["auto"], variants["fixed"], task) for task in TASKS]
    paper = measured(NETWORKS, "networks")["cnn32"]
    ratios["cnn32", "TensorFlow"] = [_ratio(paper["interpolated"], paper["relu"], task) for task in TASKS]
    return ratios


SHORTLY = {
    "cnn32": "the paper's CNN, 32x32x3, batch 128; relu",
    "cnn32-half": "the same at half width, batch 64; relu",
    "mlp28": "the paper's perceptron, 28x28x1, batch 200; relu",
    "transformer": "a character Transformer; gelu",
    "subclassed": "a subclassed perceptron of six layers, batch 128; relu",
    "mobilenet": "a converted MobileNetV3Small; its own",
    "recurrent": "a recurrent cell over 50 steps; tanh",
}


STEPS = (("cnn32", "cnn32-half", "mlp28", "subclassed"), ("transformer",), ("recurrent",))
"""Networks whose steps are told together."""


@table("cost-short")
def short():
    """Time over that of the usual activation, of each kind of model on each backend."""
    ratios, rows = _on_backends(), []
    for name, label in SHORTLY.items():
        row = [label]
        for backend in BACKENDS:
            row.append(" / ".join(f"{ratio:.2f}" for ratio in ratios.get((name, backend), ())))
        rows.append(row)
    return markdown(["model; its usual activation", *BACKENDS], rows)


@table("cost-step")
def step():
    """Training steps over those of the usual activation, from the cheapest backend to the dearest."""
    phrases = (
        "ReLU's in CNNs and perceptrons",
        "GELU's in Transformers",
        "tanh's in recurrent cells",
        "ReLU's in small perceptrons on one core",
    )
    return ", ".join(
        f"{low:.1f} to {high:.1f} times {words}" for (low, high), words in zip(_steps(), phrases, strict=True)
    )


@table("cost-step-short")
def step_in_short():
    """The cheapest and the dearest of these training steps."""
    low, high = zip(*_steps(), strict=True)
    kinds = ("CNNs and perceptrons", "Transformers", "recurrent cells", "small perceptrons")
    most = kinds[high.index(max(high))]
    return f"{min(low):.1f} to {max(high):.1f} times as long as with ReLU, GELU or tanh, longest in {most}"


def _steps():
    """Return the least and the greatest ratio of networks, Transformers, recurrent cells and small perceptrons."""
    ratios = _on_backends()
    own = [[steps for (name, _), (steps, _) in ratios.items() if name in names] for names in STEPS]
    own[1].append(pays.seconds_of(pays.TEXT, "two_arg") / pays.seconds_of(pays.TEXT, "gelu"))
    own[2].append(pays.seconds_of(pays.CELL, "two_arg") / pays.seconds_of(pays.CELL, "tanh"))
    small = [task for task in pays.TIMED if task.folder.startswith(pays.PACKED)]
    own.append([pays.seconds_of(task, "two_arg") / pays.seconds_of(task, "relu") for task in small])
    return [(min(each), max(each)) for each in own]


@table("cost-epochs")
def whole_epochs():
    """A step of `fit` over whole epochs, from a pipeline that tunes itself and from one that does not."""
    rows = []
    for name, variants in measured(USE, "epoch").items():
        for units, times in variants.items():
            alone, fit, tuned = (times[task] for task in ("training_step", "fit", "fit_tuned"))
            row = [SHORT[name], {"auto": "two_arg"}.get(units, units), milliseconds(alone), over(fit, alone)]
            rows.append([*row, over(tuned, alone), over(fit, variants["relu"]["fit"])])
    columns = ["network", "units", "a step alone, ms", "in `fit`, × alone", "with the tuning thread, × alone"]
    return markdown([*columns, "in `fit`, × relu"], rows)


@table("cost-memory")
def kept_memory():
    """The CNNs, in processes that keep freed memory and in others."""
    units, rows = {"interpolated": "two_arg"}, []
    for name, settings in _by_memory():
        if name == SERVED:
            continue
        before, kept = settings["given back"], settings["kept"]
        for variant, times in kept["times"].items():
            row = [SHORT.get(name, "CNN 32x32x3"), units.get(variant, variant)]
            for task in ("training_step", "predict"):
                then = before["times"][variant][task]
                row += [milliseconds(then), milliseconds(times[task]), over(then, times[task])]
            rows.append(row)
    columns = ["network", "units", "step, ms", "kept, ms", "speed-up", "predict, ms", "kept, ms", "speed-up"]
    return markdown(columns, rows)


@table("cost-memory-served")
def kept_memory_served():
    """The CNN's SavedModel, in the same processes."""
    settings = dict(_by_memory())[SERVED]
    before, kept = settings["given back"], settings["kept"]
    columns, rows = ["units", "signature", "ms", "kept, ms", "speed-up"], []
    for variant, times in kept["times"].items():
        for signature, now in times.items():
            then = before["times"][variant][signature]
            rows.append([variant, f"`{signature}`", milliseconds(then), milliseconds(now), over(then, now)])
    return markdown(columns, rows)


def _by_memory():
    return measured("two-cores-memory.json", "tensorflow")["networks"].items()


@table("cost-aims")
def aims():
    """The aims, and what the committed measurements reached."""
    there = [files.read_json(path) for name in AIMED if (path := ROOT / "benchmarks" / name).exists()]
    found = {}
    for measurement in reversed(there):
        found |= {each.aim: (each, shortened(measurement["machine"]["commit"])) for each in reached(measurement)}
    rows = []
    for aim in AIMS:
        backend = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}[aim.backend]
        row = [aim.what, backend, aim.base_name, f"{aim.most:g}"]
        if aim not in found:
            rows.append([*row, "not measured", "", ""])
            continue
        each, commit = found[aim]
        ratio = f"**{each.ratio:.2f}**" if each.ratio <= aim.most else f"{each.ratio:.2f}"
        rows.append([*row, ratio, f"{each.swiglu:.2f}" if each.swiglu else "", commit])
    return markdown(["time of", "on", "relative to", "aim, at most", "reached", "swiglu", "commit"], rows)
