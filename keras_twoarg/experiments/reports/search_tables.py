"""What a search has found."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_twoarg.utils.table import Table
from keras_twoarg.utils.types import JsonObject


def trials_table(arm: str, rows: Sequence[JsonObject]) -> Table:
    """Return the trials of one arm, the best first, those that failed last and with their reason."""
    names = list(dict.fromkeys(name for row in rows for name in row["hyperparameters"]))
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


def search_table(rows: Mapping[str, Sequence[JsonObject]]) -> Table:
    """Return the best, the median and the number of trials of each arm."""
    cells = []
    for arm, trials in rows.items():
        scores = [row["score"] for row in trials if row["status"] == "COMPLETED"]
        best = f"{max(scores):.2%}" if scores else "-"
        median = f"{np.median(scores):.2%}" if scores else "-"
        failed = sum(row["status"] != "COMPLETED" for row in trials)
        cells.append((arm, best, median, str(len(trials)), str(failed)))
    caption = (
        "Validation accuracy of the best epoch. The best of many trials is too good: train it again with fresh seeds, "
        "and test that."
    )
    return Table("Search", ("arm", "best trial", "median trial", "trials", "failed"), tuple(cells), caption)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
