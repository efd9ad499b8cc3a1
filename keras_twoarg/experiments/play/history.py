"""phi over the epochs of a run, as JSON for the page's slider."""

import shlex
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.analysis import Density
from keras_twoarg.analysis.nearest_function import STARTS
from keras_twoarg.analysis.quadratic_fit import variance
from keras_twoarg.analysis.surfaces import EXTENT
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.configuration import ARCHITECTURES, Configuration
from keras_twoarg.experiments.training.phi_snapshots import Trace, evaluate_weights
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import JsonObject

NEAREST_STARTS = 4
"""Starts of the fits for an epoch's nearest function; the best epoch has as many as a report."""
DIGITS = 4
"""Decimals of the verdicts; the page shows two."""
LEVELS = 2047
"""Steps from 0 to a snapshot's largest value; fewer than an int16 allows, to compress better."""
RESOLUTION = 41
"""Nodes along each argument of a snapshot: every second node of a trained phi's table."""


def read_trace(model: Path) -> Trace | None:
    """Return the trace of phi that the run of a model left, or None."""
    file = model.with_name(f"{model.stem}-surface.npz")
    return Trace.read(file) if file.exists() else None


def command_of(record: Record) -> str:
    """Return the command that trains a run, from its record.

    Examples:
        >>> record = Record("relu", "joint", 3, "mnist5k", "mlp", [8], 1, "LayerNorm", {}, {"epochs": 5})
        >>> command_of(record)
        'twoarg train --data mnist5k --arm relu --widths 8 --epochs 5 --seed 3'
    """
    name, part = datasets.whole(record.dataset)
    words = ["twoarg", "train", "--data", name, *(["--subset", str(part)] if part else [])]
    values = {**record.settings, **{key: getattr(record, key) for key in ("arm", "architecture", "widths", "seed")}}
    for field in fields(Configuration):
        value, default = values.get(field.name, field.default), field.default
        value = tuple(value) if isinstance(value, list) else value
        if field.name == "widths" and record.arm == "two_arg" and value == ARCHITECTURES[record.architecture].widths:
            continue
        if value != default:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{field.name.replace('_', '-')}", *([] if value is True else [shown])]
    return shlex.join(words)


def history_json(trace: Trace, record: Record, learned: Sequence[np.ndarray]) -> JsonObject | None:
    """Return phi and its verdict over the epochs of a joint stage, or None if no snapshots were kept.

    Also None for a regression, since the page shows accuracies next to it. Scores use the density of the learned phi's
    arguments: that of earlier epochs was not kept.

    Args:
        trace: phi of the stage.
        record: The record of the stage.
        learned: Weights of the learned phi, which is that of the best epoch: few epochs' weights were kept.
    """
    arity = trace.learned.ndim
    if not trace.weights or arity > 2 or record.task == "regression":
        return None
    best = {} if record.best_epoch is None else {record.best_epoch: list(learned)}
    trace = replace(trace, weights=dict(sorted((trace.weights | best).items())))
    nodes = Interpolation(EXTENT, RESOLUTION).nodes(arity)
    evaluate = partial(evaluate_weights, activation=trace.activation)
    tables = np.stack([evaluate(weights, nodes) for weights in trace.weights.values()])
    tables = tables.reshape(len(tables), -1).astype("float64")
    scale = np.abs(tables).max(axis=1)
    steps = np.rint(LEVELS * tables / np.where(scale > 0, scale, 1)[:, None]).astype("int16")
    accuracy, density = [None, *record.curve("val_accuracy")], trace.density
    return {
        "epochs": list(trace.weights),
        "best": record.best_epoch,
        "accuracy": [accuracy[epoch] if epoch < len(accuracy) else None for epoch in trace.weights],
        "extent": EXTENT,
        "scale": (scale / LEVELS).tolist(),
        "tables": pack_array(steps.reshape(-1, *(RESOLUTION,) * arity)),
        "verdicts": [
            verdict_json(trace.at(epoch), density, best=epoch == record.best_epoch) for epoch in trace.weights
        ],
    }


def verdict_json(surface: np.ndarray, density: Density, *, best: bool = True) -> JsonObject:
    """Return the analyses of phi on a density's nodes: its shape, and the nearest named function."""
    json = _surface_json(surface, density) if surface.ndim == 2 else _curve_json(surface, density)
    try:
        functions = analysis.nearest(surface, density, starts=STARTS if best else NEAREST_STARTS)
    except (ImportError, ValueError):  # without SciPy; a surface that is flat or not finite
        functions = None
    name = functions.name if functions else None
    json |= {"nearest": name, "nearest_r2": functions.r2[name] if functions and name else None}
    return {key: round(value, DIGITS) if isinstance(value, float) else value for key, value in json.items()}


def _surface_json(surface: np.ndarray, density: Density) -> JsonObject:
    """Return the soft-XOR score, the shares of the quadratic and the quadrupole, and whether the fit is unique."""
    try:
        fit = analysis.fit_quadratic(surface, density)
    except ValueError:  # too few arguments are on the grid, or phi is not finite
        return {"score": None, "r2": None, "quadrupole": None, "determined": False}
    score, quadrupole = analysis.soft_xor(fit).score, analysis.spectrum(surface, density).quadrupole
    return {"score": score, "r2": fit.r2, "quadrupole": quadrupole, "determined": fit.determined}


def _curve_json(curve: np.ndarray, density: Density) -> JsonObject:
    """Return the shares of the variance explained by a line and a parabola, and the parabola's curvature."""
    occupied = density.values > 0
    if np.count_nonzero(occupied) < 3 or not np.isfinite(curve).all():
        return {"line": None, "r2": None, "bend": None, "determined": False}
    weights = density.values / density.values.sum()
    total = variance(curve, weights)
    fits = [np.polynomial.Polynomial.fit(density.axis, curve, degree, w=np.sqrt(weights)) for degree in (1, 2)]
    rest = [float(weights @ (curve - fit(density.axis)) ** 2) for fit in fits]
    line, parabola = (1 - part / total if total > 0 else float("nan") for part in rest)
    return {"line": line, "r2": parabola, "bend": float(fits[1].convert().coef[2:].sum()), "determined": True}
