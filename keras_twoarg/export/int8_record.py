"""The record of an export in int8, whose outputs differ from the model's by more than rounding."""

import math
import os
from pathlib import Path

import numpy as np

from keras_twoarg.export import formats
from keras_twoarg.export.calibration import outputs
from keras_twoarg.export.changed_predictions import Changes, count_changes, tasks_of
from keras_twoarg.utils.files import write_whole
from keras_twoarg.utils.types import ArrayLike, Config, Model

RECORDED = 256
"""Samples recorded for `twoarg serve-check`."""


def record(
    model: Model,
    path: str | os.PathLike[str],
    x: np.ndarray,
    most_changed: float,
    task: str = "auto",
    labels: ArrayLike | None = None,
) -> Changes:
    """Count changed predictions like `formats.changes`, and write the first samples and how much they may change.

    They may change as much as all samples may, or as they did if that is more: a few vary more than many, and
    `twoarg serve-check` must accept a file that is accepted here.

    Args:
        model: The model.
        path: The export, beside which the record is written.
        x: Inputs.
        most_changed: The fraction of predictions that may differ; for a regression, of the outputs' deviation.
        task: The meaning of the outputs, as in `bake`. Defaults to `"auto"`.
        labels: Labels of the inputs, if known, which help to judge it. Defaults to `None`.

    Raises:
        ImportError: If LiteRT is not installed. The record is written nevertheless.
    """
    before = outputs(model, x)
    tasks = tasks_of(model, before, labels, task)
    ((found, threshold),) = tasks
    own: Config = {"task": found, "threshold": threshold, "tolerance": formats.tolerance_of(model)}
    own |= {"inputs": x[:RECORDED], "outputs": before[0][:RECORDED]}
    _write(path, {**own, "most_changed": most_changed})
    after = formats.int8_outputs(path, x)
    first = count_changes([own["outputs"]], [after[0][:RECORDED]], tasks)
    if not first.within(most_changed, most_changed):
        _write(path, {**own, "most_changed": _rounded_up(max(first.share or 0.0, first.relative or 0.0))})
    return count_changes(before, after, tasks)


def _write(path: str | os.PathLike[str], arrays: Config) -> None:
    write_whole(formats.record_of(Path(path)), lambda file: np.savez_compressed(file, **arrays))


def _rounded_up(share: float) -> float:
    """Return a share in whole hundredths of a percent, as it is printed."""
    return math.ceil(1e4 * share) / 1e4 if math.isfinite(share) else share
