"""The tables of `twoarg bench`."""

from rich import box
from rich.table import Table

from keras_twoarg.experiments.benchmark.aims import reached
from keras_twoarg.utils.types import JsonObject

_USE = {
    "one_sample": ("{}, one sample", ("predict",)),
    "epoch": (
        "{}, trained from a tf.data pipeline: a step of whole epochs, of a pipeline that tunes itself, and alone",
        ("fit", "fit_tuned", "training_step"),
    ),
    "first_step": ("{}, first training step, in a process of its own", ("first_step",)),
}
"""Title of each part of this kind, and what it measures."""


def tables(measured: JsonObject) -> list[Table]:
    """Return one table for each network and part that was measured."""
    times, peaks = measured.get("networks", {}), measured.get("memory", {})
    tables = [_pairs(int(number), times) for number, times in measured.get("pairs", {}).items()]
    tables += [_network(name, times.get(name, {}), peaks.get(name, {})) for name in times | peaks]
    tables += [_exports(name, runtimes) for name, runtimes in measured.get("exports", {}).items()]
    tables += [_places(name, variants) for name, variants in measured.get("places", {}).items()]
    for part, (title, columns) in _USE.items():
        tables += [_use(title.format(name), columns, times) for name, times in measured.get(part, {}).items()]
    tables += _aims(measured)
    if tables:
        caption = ", ".join(f"{key} {value}" for key, value in measured["machine"].items() if value is not None)
        tables[-1].caption = f"Medians ± half the distance between the quartiles. {caption}"
    return tables


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def _failure(title: str, part: JsonObject) -> Table:
    table = _table(title, "failed")
    table.add_row(part["failed"])
    return table


def _milliseconds(times: JsonObject | None) -> str:
    if not times:
        return "-"
    digits = 0 if times["median"] >= 0.1 else 1
    return f"{1e3 * times['median']:.{digits}f} ±{1e3 * times['spread']:.{digits}f}"


def _ratio(times: JsonObject | None, base: JsonObject | None) -> str:
    return f"{times['median'] / base['median']:.2f}" if times and base else "-"


def _pairs(number: int, times: JsonObject) -> Table:
    if "failed" in times:
        return _failure(f"{number:,} pairs", times)
    table = _table(f"{number:,} pairs, ns for each", "units", "forward", "forward and backward")
    for variant, measured in times.items():
        if variant == "nothing":
            continue
        cells = []
        for task in ("predict", "training_step"):
            if task in measured:
                over = measured[task]["median"] - times["nothing"][task]["median"]
                cells.append(f"{1e9 * over / number:.1f}")
            else:
                cells.append("-")
        table.add_row(variant, *cells)
    return table


def _network(name: str, variants: JsonObject, peaks: JsonObject) -> Table:
    columns = ("units", "parameters", "step, ms", "× relu", "predict", "× relu", "MB", "× relu")
    table = _table(f"{name}: training step and predict in ms, peak memory", *columns)
    if "failed" in variants:
        return _failure(name, variants)
    relu = variants.get("relu", {})
    for variant in variants or peaks:
        measured, peak = variants.get(variant, {}), peaks.get(variant)
        step, predict = measured.get("training_step"), measured.get("predict")
        table.add_row(
            variant,
            f"{measured['parameters']:,}" if measured else "-",
            _milliseconds(step),
            _ratio(step, relu.get("training_step")),
            _milliseconds(predict),
            _ratio(predict, relu.get("predict")),
            f"{peak:,.0f}" if peak else "-",
            f"{peak / peaks['relu']:.2f}" if peak and peaks.get("relu") else "-",
        )
    return table


def _exports(name: str, runtimes: JsonObject) -> Table:
    if "failed" in runtimes:
        return _failure(f"{name}, exported", runtimes)
    table = _table(f"{name}, exported, one batch", "runtime", "relu, ms", "baked, ms", "× relu", "exact, ms", "× relu")
    for runtime, times in runtimes.items():
        relu, baked, exact = (times.get(variant) for variant in ("relu", "baked", "exact"))
        cells = (_milliseconds(baked), _ratio(baked, relu), _milliseconds(exact), _ratio(exact, relu))
        table.add_row(runtime, _milliseconds(relu), *cells)
    return table


def _places(name: str, variants: JsonObject) -> Table:
    """Return a table of evaluations; "auto" is to take at most 1.1 times as long as the faster of the other two."""
    if "failed" in variants:
        return _failure(f"{name}, by evaluation", variants)
    columns = ("evaluation", "step, ms", "× faster", "× fixed", "predict, ms", "× faster", "× fixed")
    table = _table(f"{name}, by evaluation", *columns)
    for variant, times in variants.items():
        cells = [variant]
        for task in ("training_step", "predict"):
            faster = min((variants[v][task] for v in ("exact", "interpolated")), key=lambda times: times["median"])
            fixed = variants["fixed, compiled" if variant.endswith(", compiled") else "fixed"][task]
            cells += [_milliseconds(times[task]), _ratio(times[task], faster), _ratio(times[task], fixed)]
        table.add_row(*cells)
    return table


def _use(title: str, tasks: tuple[str, ...], variants: JsonObject) -> Table:
    """Return a table of times, each related to that of the first variant: ReLU, or the model as it was."""
    if "failed" in variants:
        return _failure(title, variants)
    first = next(iter(variants))
    columns = [column for task in tasks for column in (f"{task.replace('_', ' ')}, ms", f"× {first}")]
    table = _table(title, "units", *columns)
    for variant, times in variants.items():
        cells = [
            cell for task in tasks for cell in (_milliseconds(times[task]), _ratio(times[task], variants[first][task]))
        ]
        table.add_row(variant, *cells)
    return table


def _aims(measured: JsonObject) -> list[Table]:
    """Return what is aimed at beside what was reached, of all that was measured."""
    table = _table("Aims: times as long as", "", "reached", "as", "aim", "", "swiglu")
    for aim, ratio, swiglu in reached(measured):
        missed = "" if ratio <= aim.most else "not reached"
        floor = f"{swiglu:.2f}" if swiglu else "-"
        table.add_row(aim.what, f"{ratio:.2f}", aim.base_name, f"{aim.most:g}", missed, floor)
    return [table] if table.row_count else []
