"""The report of a search: tables, parallel coordinates, and the importance of hyperparameters."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.experiments.reports.html import figure_section, write_page
from keras_twoarg.utils.figures import COLORS, pyplot
from keras_twoarg.utils.table import Table
from keras_twoarg.utils.types import JsonObject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[JsonObject]


def write_search_report(rows: Mapping[str, Rows], out: Path) -> Path:
    """Write `report.html` of a search: tables, parallel coordinates and importance for each arm."""
    parts = [search_table(rows).html()]
    for arm, trials in rows.items():
        done = [row for row in trials if row["status"] == "COMPLETED"]
        parts.append(trials_table(arm, trials).html())
        if len(done) > 1 and any(row["hyperparameters"] for row in done):
            coordinates = plot_parallel_coordinates(done).figure
            parts.append(figure_section(f"{arm}: each line is a trial", coordinates, "Yellow: high accuracy."))
            if len(done) >= 8:
                parts.append(
                    figure_section(f"{arm}: importance of hyperparameters", plot_importance(done).figure, _CAUTION)
                )
    path = out / "report.html"
    write_page(path, "tune", f"Search of {', '.join(rows)}", "Every arm had the same budget.", parts)
    return path


_CAUTION = (
    "How much a random forest's prediction of the accuracy deteriorates if a hyperparameter is shuffled: mean and "
    "standard deviation over 20 shuffles. With few trials this is only a hint."
)


def plot_parallel_coordinates(rows: Rows) -> "Axes":
    """Draw each trial as a line through its hyperparameters to its accuracy, coloured by accuracy."""
    ax = pyplot().figure(figsize=(11, 4.2)).gca()
    names = _names(rows)
    places, labels = zip(*(_places(rows, name) for name in names), strict=True)
    scores = np.array([row["score"] for row in rows])
    low, span = scores.min(), np.ptp(scores) or 1.0
    heights = np.column_stack([*places, (scores - low) / span])
    colours = pyplot().get_cmap("viridis")((scores - low) / span)
    for i in np.argsort(scores):
        ax.plot(range(len(names) + 1), heights[i], color=colours[i], alpha=0.8, linewidth=1.4)
    for j, marks in enumerate((*labels, [(0.0, f"{low:.2%}"), (1.0, f"{scores.max():.2%}")])):
        ax.axvline(j, color="k", linewidth=0.6)
        for height, label in marks:
            ax.text(j + 0.03, height, label, fontsize=8, va="center", backgroundcolor=(1, 1, 1, 0.6))
    ax.set_xticks(range(len(names) + 1), [*(n.replace("_", " ") for n in names), "val accuracy"], fontsize=9)
    ax.set(yticks=[], xlim=(-0.1, len(names) + 0.4), ylim=(-0.08, 1.08))
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return ax


def plot_importance(rows: Rows) -> "Axes":
    """Draw how much each hyperparameter helps a random forest to predict the accuracy."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    ax = pyplot().figure(figsize=(7, 3.6)).gca()
    names = _names(rows)
    features = np.column_stack([_places(rows, name)[0] for name in names])
    scores = np.array([row["score"] for row in rows])
    forest = RandomForestRegressor(200, random_state=0).fit(features, scores)
    importance = permutation_importance(forest, features, scores, n_repeats=20, random_state=0)
    order = np.argsort(importance.importances_mean)
    mean, deviation = importance.importances_mean[order], importance.importances_std[order]
    ax.barh(range(len(names)), mean, xerr=deviation, color=COLORS[0])
    ax.set_yticks(range(len(names)), [names[i].replace("_", " ") for i in order])
    ax.set_xlabel("loss of R² when shuffled")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["hyperparameters"]))


def _places(rows: Rows, name: str) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Return each trial's position on a hyperparameter's axis, within [0, 1] or below if absent, and its labels."""
    values = [row["hyperparameters"].get(name) for row in rows]
    present = sorted({v for v in values if v is not None}, key=lambda v: (str(type(v)), v))
    if len(present) > 6 and all(isinstance(v, float) and v > 0 for v in present):
        low, high = np.log(present[0]), np.log(present[-1])
        places = [-0.05 if v is None else (np.log(v) - low) / (high - low) for v in values]
        return np.array(places), [(0.0, f"{present[0]:.2g}"), (1.0, f"{present[-1]:.2g}")]
    step = max(1, len(present) - 1)
    where = {v: i / step for i, v in enumerate(present)}
    labels = [(p, f"{v:.3g}" if isinstance(v, float) else str(v)) for v, p in where.items()]
    return np.array([-0.05 if v is None else where[v] for v in values]), labels


def trials_table(arm: str, rows: Rows) -> Table:
    """Return the trials of one arm, best first; failed ones last, with the reason."""
    names = _names(rows)
    ordered = sorted(rows, key=lambda row: -np.inf if row["score"] is None else row["score"], reverse=True)
    cells = [
        (
            str(row["trial"]),
            row["status"].lower(),
            "-" if row["score"] is None else f"{row['score']:.2%}",
            "-" if row["best_epoch"] is None else str(row["best_epoch"]),
            *(_cell(row["hyperparameters"].get(name)) for name in names),
        )
        for row in ordered
    ]
    reasons = "; ".join(f"trial {row['trial']}: {row['message']}" for row in rows if row["message"])
    columns = ("trial", "status", "val accuracy", "epoch", *(name.replace("_", " ") for name in names))
    return Table(f"Trials of {arm}", columns, tuple(cells), f"Failed: {reasons}." if reasons else "")


def search_table(rows: Mapping[str, Rows]) -> Table:
    """Return the best, the median and the number of trials of each arm.

    Hyperband trains configurations again for longer, and Bayesian searches of earlier versions repeated them.
    """
    cells = []
    for arm, trials in rows.items():
        scores = [row["score"] for row in trials if row["status"] == "COMPLETED"]
        best = f"{max(scores):.2%}" if scores else "-"
        median = f"{np.median(scores):.2%}" if scores else "-"
        failed = sum(row["status"] != "COMPLETED" for row in trials)
        different = {json.dumps(row["configuration"], sort_keys=True) for row in trials}
        cells.append((arm, best, median, str(len(trials)), str(len(different)), str(failed)))
    caption = (
        "Validation accuracy of the best epoch. That of the best of many trials is too optimistic: train it again with "
        "fresh seeds, and test that."
    )
    columns = ("arm", "best trial", "median trial", "trials", "configurations", "failed")
    return Table("Search", columns, tuple(cells), caption)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
