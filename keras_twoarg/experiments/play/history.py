"""How phi grew over a run's epochs, as JSON for a slider."""

from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.analysis import Density
from keras_twoarg.analysis.surfaces import EXTENT
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.training.architectures import ARCHITECTURES
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.phi_snapshots import Trace, evaluate_weights
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.ops.table import Interpolation
from keras_twoarg.utils.types import JsonObject

_STEMS = ("joint", "frozen", "session2", "session3")  # the last two of version 0.1.0
NEAREST_EPOCHS = (0, 1, 5)
"""Epochs, beside the best and the last one, whose nearest function is sought: each takes a second or two."""
LEVELS = 2047
"""Steps from 0 to a snapshot's largest value: fewer than an int16 has compress better."""
RESOLUTION = 41
"""Nodes along each argument of a snapshot: every second one of a trained phi's table."""


def read_record(model: Path) -> Record | None:
    """Return the record beside a model that a run left, or None."""
    file = model.with_suffix(".json")
    return Record.read(file) if file.exists() and model.stem in _STEMS else None


def read_trace(model: Path) -> Trace | None:
    """Return what the run of a model left of phi, or None."""
    file = model.with_name(f"{model.stem}-surface.npz")
    return Trace.read(file) if file.exists() else None


def command_of(record: Record) -> str:
    """Return the command that trains a run, from its record.

    Examples:
        >>> record = Record("relu", "joint", 3, "mnist5k", "mlp", [8], 1, "LayerNorm", {}, {"epochs": 5})
        >>> command_of(record)
        'twoarg train --data mnist5k --arm relu --widths 8 --epochs 5 --seed 3'
    """
    name, _, part = record.dataset.partition(", ")
    words = ["twoarg train --data", name, *(["--subset", part.split()[0].replace(",", "")] if part else [])]
    values = {**record.settings, **{key: getattr(record, key) for key in ("arm", "architecture", "widths", "seed")}}
    for field in fields(Configuration):
        value, default = values.get(field.name, field.default), field.default
        value = tuple(value) if isinstance(value, list) else value
        if field.name == "widths" and record.arm == "two_arg" and value == ARCHITECTURES[record.architecture].widths:
            continue
        if value != default:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{field.name.replace('_', '-')}" + ("" if value is True else f" {shown}"))
    return " ".join(words)


def history_json(trace: Trace, record: Record) -> JsonObject | None:
    """Return phi over the epochs of a joint stage with what is said of it; None where no snapshots were kept.

    None too for a regression, since the page shows accuracies beside it. Scores are over the density of the learned
    phi's arguments: that of earlier epochs was not kept.
    """
    if not trace.weights or trace.learned.ndim != 2 or record.task == "regression":
        return None
    nodes = Interpolation(EXTENT, RESOLUTION).nodes(2)
    evaluate = partial(evaluate_weights, activation=trace.activation)
    tables = np.stack([evaluate(weights, nodes) for weights in trace.weights.values()])
    tables = tables.reshape(-1, RESOLUTION, RESOLUTION).astype("float64")
    scale = np.abs(tables).max(axis=(1, 2))
    accuracy = [None, *record.curve("val_accuracy")]
    density, sought = trace.density, {*NEAREST_EPOCHS, record.best_epoch, max(trace.weights)}
    return {
        "epochs": list(trace.weights),
        "best": record.best_epoch,
        "accuracy": [accuracy[epoch] if epoch < len(accuracy) else None for epoch in trace.weights],
        "extent": EXTENT,
        "scale": (scale / LEVELS).tolist(),
        "tables": pack_array(np.rint(LEVELS * tables / np.where(scale > 0, scale, 1)[:, None, None]).astype("int16")),
        "verdicts": [verdict_json(trace.at(epoch), density, nearest=epoch in sought) for epoch in trace.weights],
    }


def verdict_json(surface: np.ndarray, density: Density, *, nearest: bool) -> JsonObject:
    """Return what the analyses say of a surface on a density's nodes: score, quadrupole's share, nearest function."""
    fit = analysis.fit_quadratic(lambda _: surface.ravel()[density.values.ravel() > 0], density)
    verdict = analysis.soft_xor(fit)
    orders = analysis.spectrum(surface, density)
    json: JsonObject = {"score": verdict.score, "r2": verdict.r2, "quadrupole": orders.quadrupole}
    try:
        functions = analysis.nearest(surface, density) if nearest else None
    except (ImportError, ValueError):  # without SciPy; a flat surface
        functions = None
    name = functions.name if functions else None
    return json | {"nearest": name, "nearest_r2": functions.r2[name] if functions and name else None}
