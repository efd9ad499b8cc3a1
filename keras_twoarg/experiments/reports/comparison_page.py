"""The page of `twoarg compare`: the table of a comparison, and the curves of its runs."""

import html
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.experiments.comparison.networks import OWN
from keras_twoarg.experiments.comparison.result import Comparison
from keras_twoarg.experiments.reports.html import figure_section, write_page
from keras_twoarg.utils.figures import line_styles, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVES = (
    "Validation loss after each epoch: the mean over the seeds, and a band from the lowest to the highest. Each run is "
    "evaluated at its lowest point."
)


def write_comparison_report(comparison: Comparison, out: Path) -> Path:
    """Write `report.html`: a sentence for each arm, the tables, the curves."""
    path = out / "report.html"
    said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in comparison.sentences())
    tables = [table.html() for table in comparison.tables(own="yours, as it is")]
    seeds = len(comparison.chosen(OWN))
    lead = f"The same training for each: {comparison.recipe}; {seeds} seed{'s' * (seeds > 1)}."
    write_page(
        path, "compare", "Your model with two arguments", lead, [f"<ul>{said}</ul>", *tables, _curves(comparison)]
    )
    return path


def _curves(comparison: Comparison) -> str:
    """Return the curves as HTML, or nothing if all runs diverged."""
    ax = plot_curves(comparison)
    diverged = any(run.diverged for arm in comparison.arms for run in comparison.chosen(arm))
    caption = _CURVES + " Without runs that diverged, which are evaluated too." * diverged
    return figure_section("Learning curves", ax.figure, caption) if ax.get_lines() else ""


def plot_curves(comparison: Comparison) -> "Axes":
    """Draw the validation loss of each arm's runs over the epochs, without those that diverged: they have no scale."""
    from matplotlib.ticker import MaxNLocator

    ax = pyplot().figure(figsize=(8, 4.2)).gca()
    for arm, (colour, style) in zip(comparison.arms, line_styles(len(comparison.arms)), strict=True):
        runs = [run for run in comparison.chosen(arm) if not run.diverged]
        if not runs:
            continue
        longest = max(len(run.epochs) for run in runs)
        curves = np.full((len(runs), longest), np.nan)
        for curve, run in zip(curves, runs, strict=True):
            losses = [epoch["val_loss"] for epoch in run.epochs]
            curve[: len(losses)] = [np.nan if loss is None else loss for loss in losses]
        seen = ~np.isnan(curves).all(axis=0)
        epochs, curves = np.arange(1, longest + 1)[seen], curves[:, seen]
        name = "yours, as it is" if arm == OWN else arm
        ax.plot(epochs, np.nanmean(curves, axis=0), color=colour, linestyle=style, label=name)
        ax.fill_between(epochs, np.nanmin(curves, axis=0), np.nanmax(curves, axis=0), color=colour, alpha=0.15, lw=0)
    ax.set(xlabel="epoch", ylabel="validation loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if ax.get_lines():
        ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
