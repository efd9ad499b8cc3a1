"""The tables of `twoarg bench`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from keras_twoarg.experiments.benchmark.aims import reached
from keras_twoarg.utils.table import Table
from keras_twoarg.utils.types import JsonObject


def tables(measured: JsonObject) -> list[Table]:
    """Return one table for each part and network that was measured, and one of the aims."""
    tables = []
    for part, make in PARTS.items():
        for name, found in measured.get(part, {}).items():
            failed = Table(f"{name}: {part}", ("failed",), ((found["failed"],),)) if "failed" in found else None
            tables.append(failed or make(name, found))
    tables += _aims(measured)
    if tables:
        machine = ", ".join(f"{key} {value}" for key, value in measured["machine"].items() if value is not None)
        tables[-1] = replace(tables[-1], caption=f"Medians ± half the interquartile range. {machine}")
    return tables


def _milliseconds(times: JsonObject | None) -> str:
    if not times:
        return "-"
    digits = 0 if times["median"] >= 0.1 else 1
    return f"{1e3 * times['median']:.{digits}f} ±{1e3 * times['spread']:.{digits}f}"


def _ratio(times: JsonObject | None, base: JsonObject | None) -> str:
    return f"{times['median'] / base['median']:.2f}" if times and base else "-"


def _network(name: str, variants: JsonObject) -> Table:
    relu, rows = variants.get("relu", {}), []
    for variant, measured in variants.items():
        step, predict = measured.get("training_step"), measured.get("predict")
        ratios = _ratio(step, relu.get("training_step")), _ratio(predict, relu.get("predict"))
        times = _milliseconds(step), ratios[0], _milliseconds(predict), ratios[1]
        rows.append((variant, f"{measured['parameters']:,}", *times))
    columns = ("units", "parameters", "step, ms", "× relu", "predict, ms", "× relu")
    return Table(f"{name}: training step and predict", columns, tuple(rows))


def _memory(name: str, peaks: JsonObject) -> Table:
    relu, rows = peaks.get("relu"), []
    for variant, peak in peaks.items():
        ratio = f"{peak / relu:.2f}" if peak and relu else "-"
        rows.append((variant, f"{peak:,.0f}" if peak else "-", ratio))
    return Table(f"{name}: peak memory of a training step", ("units", "MB", "× relu"), tuple(rows))


def _exports(name: str, runtimes: JsonObject) -> Table:
    rows = []
    for runtime, times in runtimes.items():
        relu, baked, exact = (times.get(variant) for variant in ("relu", "baked", "exact"))
        cells = (_milliseconds(baked), _ratio(baked, relu), _milliseconds(exact), _ratio(exact, relu))
        rows.append((runtime, _milliseconds(relu), *cells))
    columns = ("runtime", "relu, ms", "baked, ms", "× relu", "exact, ms", "× relu")
    return Table(f"{name}, exported, one batch", columns, tuple(rows))


def _places(name: str, variants: JsonObject) -> Table:
    """Return a table of evaluations; "auto" should take at most 1.1 times as long as the faster of the other two."""
    rows = []
    for variant, times in variants.items():
        cells = [variant]
        for task in ("training_step", "predict"):
            faster = min((variants[v][task] for v in ("exact", "interpolated")), key=lambda times: times["median"])
            fixed = variants["fixed, compiled" if variant.endswith(", compiled") else "fixed"][task]
            cells += [_milliseconds(times[task]), _ratio(times[task], faster), _ratio(times[task], fixed)]
        rows.append(tuple(cells))
    columns = ("evaluation", "step, ms", "× faster", "× fixed", "predict, ms", "× faster", "× fixed")
    return Table(f"{name}, by evaluation", columns, tuple(rows))


def _use(name: str, variants: JsonObject, *, title: str, tasks: tuple[str, ...]) -> Table:
    """Return a table of times, each relative to that of the first variant: ReLU, or the model before conversion."""
    first = next(iter(variants))
    rows = []
    for variant, times in variants.items():
        pairs = [(_milliseconds(times[task]), _ratio(times[task], variants[first][task])) for task in tasks]
        rows.append((variant, *(cell for pair in pairs for cell in pair)))
    columns = [column for task in tasks for column in (f"{task.replace('_', ' ')}, ms", f"× {first}")]
    return Table(title.format(name), ("units", *columns), tuple(rows))


PARTS: dict[str, Callable[[str, JsonObject], Table]] = {
    "networks": _network,
    "memory": _memory,
    "exports": _exports,
    "places": _places,
    "one_sample": partial(_use, title="{}, one sample", tasks=("predict",)),
    "epoch": partial(
        _use,
        title="{}, trained from a tf.data pipeline: a step in whole epochs (fit; fit tuned: the pipeline tunes "
        "itself) and alone",
        tasks=("fit", "fit_tuned", "training_step"),
    ),
    "first_step": partial(_use, title="{}, first training step, each in a process of its own", tasks=("first_step",)),
}
"""Every part, and what makes a table of it."""


def _aims(measured: JsonObject) -> list[Table]:
    """Return what was aimed at and what was reached, where both were measured."""
    rows = tuple(
        (
            aim.what,
            f"{ratio:.2f}",
            aim.base_name,
            f"{aim.most:g}",
            "" if ratio <= aim.most else "not reached",
            f"{swiglu:.2f}" if swiglu else "-",
        )
        for aim, ratio, swiglu in reached(measured)
    )
    columns = ("what", "times", "that of", "aim", "", "swiglu")
    return [Table("Aims", columns, rows)] if rows else []
