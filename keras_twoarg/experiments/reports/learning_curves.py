"""Learning curves, and accuracy against size."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.experiments.reports.html import figure_section
from keras_twoarg.experiments.reports.run_figures import has_accuracy
from keras_twoarg.experiments.reports.run_groups import finished, group_runs
from keras_twoarg.experiments.training.run_record import Quantity, Record
from keras_twoarg.utils.figures import line_styles, plain, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_NAME = 45
"""Characters up to which a name is put into a legend inside the axes."""
_CHARACTERS_AN_INCH = 11
_LINE = 0.2
"""Height of a legend's line, in inches."""


def plot_learning_curves(
    records: Sequence[Record], *, key: Quantity = "val_accuracy", ax: "Axes | None" = None
) -> "Axes":
    """Draw a quantity over the epochs: for each arm and stage the mean over seeds, and a band from lowest to highest.

    Args:
        records: Records of runs; only finished ones are drawn. Regressions have no accuracy, and are left out of its
            curves.
        key: A quantity of `Record.epochs`. Defaults to `"val_accuracy"`.
        ax: Axes to draw on. Defaults to new ones.

    Returns:
        The axes.
    """
    ax = pyplot().figure(figsize=(7, 4)).gca() if ax is None else ax
    lowest = []
    of_accuracy = key.endswith("accuracy")
    groups = group_runs([r for r in finished(records) if r.epochs and not (of_accuracy and r.task == "regression")])
    for group, (color, style) in zip(groups, line_styles(len(groups)), strict=True):
        length = min(len(record.epochs) for record in group.records)
        curves = np.array([record.curve(key)[:length] for record in group.records], float)
        epochs = np.arange(1, length + 1)
        ax.plot(
            epochs,
            curves.mean(0),
            color=color,
            linestyle=style,
            label=f"{plain(group.name)} ({len(curves)} seeds)",
            linewidth=1.8,
        )
        ax.fill_between(epochs, curves.min(0), curves.max(0), color=color, alpha=0.12, linewidth=0)
        lowest.append(curves[:, length // 3 :].min())
    ax.set_xlabel("epoch")
    ax.locator_params(axis="x", integer=True)
    ax.set_ylabel({"val_accuracy": "validation accuracy", "val_loss": "validation loss"}.get(key, key))
    if of_accuracy:
        ax.set_ylim(max(0.0, min(lowest, default=0.0) - 0.15), 1.0)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if groups:
        ax.legend(frameon=False, loc="best", fontsize="small" if len(groups) > 5 else None)
    return ax


def curves_section(records: Sequence[Record]) -> str:
    """Return the curves as HTML: validation loss and, for classifiers, accuracy; nothing if no run finished."""
    if not any(record.epochs for record in finished(records)):
        return ""
    keys: tuple[Quantity, ...] = ("val_accuracy", "val_loss") if has_accuracy(records) else ("val_loss",)
    figure, axes = pyplot().subplots(1, len(keys), figsize=(5.5 * len(keys), 4), layout="constrained", squeeze=False)
    for ax, key in zip(axes[0], keys, strict=True):
        plot_learning_curves(records, key=key, ax=ax)
    _move_long_legends(figure, axes[0])
    right = axes[0][-1]
    caption = "Mean over seeds, and the range from the lowest to the highest seed."
    if np.isfinite(right.dataLim.minposy):  # not all losses are 0
        caption += " The loss is on a logarithmic axis."
        low, high = right.get_ylim()
        right.set_yscale("log", subs=range(2, 10) if high < 10 * low else (2, 5))  # few enough to label them all
        for axis_format in (right.yaxis.set_major_formatter, right.yaxis.set_minor_formatter):
            axis_format(lambda value, _: f"{value:g}")
    if any(record.status == "diverged" for record in records):
        caption += " Without runs that diverged, whose curves end early."
    if any((record.settings.get("networks") or 1) > 1 for record in records):
        caption += " Of networks that learn phi together, the first one's validation is drawn."
    return figure_section("Learning curves", figure, caption)


def _move_long_legends(figure: "Figure", axes: Sequence["Axes"]) -> None:
    """Put one legend below all axes if a name is so long that it would cover the curves."""
    handles, names = axes[0].get_legend_handles_labels()
    if max(map(len, names), default=0) <= _LONGEST_NAME:
        return
    for ax in axes:
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    width, height = figure.get_size_inches()
    lines = [textwrap.fill(name, int(_CHARACTERS_AN_INCH * width)) for name in names]
    figure.set_size_inches(width, height + _LINE * sum(line.count("\n") + 1 for line in lines))
    figure.legend(handles, lines, loc="outside lower left", frameon=False, fontsize="small")


def plot_sizes(records: Sequence[Record], *, ax: "Axes | None" = None) -> "Axes":
    """Draw test accuracy against parameters: a line for each arm, stage and settings, a point for each size.

    Args:
        records: Records of networks of several sizes (in Fig. 6 of the paper: one to four hidden layers).
        ax: Axes to draw on. Defaults to new ones.

    Returns:
        The axes.
    """
    ax = pyplot().figure(figsize=(7, 4)).gca() if ax is None else ax
    lines: dict[str, list[Record]] = {}
    for group in group_runs([r for r in records if r.test_accuracy is not None]):
        alike = {key: value for key, value in group.differences.items() if key not in ("hidden layers", "widths")}
        lines.setdefault(replace(group, differences=alike).name, []).extend(group.records)
    for (name, own), (color, style) in zip(lines.items(), line_styles(len(lines)), strict=True):
        label = textwrap.fill(plain(name), _LONGEST_NAME)
        sizes = sorted({r.parameters for r in own})
        accuracies = [[float(r.test_accuracy or 0) for r in own if r.parameters == size] for size in sizes]
        means = [float(np.mean(a)) for a in accuracies]
        spread = [float(np.std(a, ddof=1)) if len(a) > 1 else 0.0 for a in accuracies]
        ax.errorbar(sizes, means, spread, color=color, linestyle=style, marker="o", capsize=3, label=label)
    ax.set(xlabel="parameters", ylabel="test accuracy")
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def size_section(records: Sequence[Record]) -> str:
    """Return accuracy against parameters as HTML, or nothing if all networks have the same depth."""
    tested = [r for r in records if r.test_accuracy is not None]
    if len({len(r.widths) for r in tested}) < 2 or len({(r.dataset, r.architecture) for r in tested}) > 1:
        return ""
    ax = plot_sizes(tested)
    return figure_section("Parameters and accuracy", ax.figure, "Mean over seeds ± standard deviation.")
