"""Learning curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_twoarg.plots.style import COLORS, pyplot
from keras_twoarg.report_table import group_runs
from keras_twoarg.training.records import Record


def plot_learning_curves(records: Sequence[Record], *, key: str = "val_accuracy", ax: Any = None) -> Any:
    """Draw a quantity over the epochs: for each arm and session the mean over seeds, and a band from least to most.

    Args:
        records: Records of runs.
        key: A quantity of `Record.epochs`. Defaults to `"val_accuracy"`.
        ax: Axes to draw on. Defaults to new ones.

    Returns:
        The axes.
    """
    ax = pyplot().figure(figsize=(7, 4)).gca() if ax is None else ax
    lowest = []
    for group, color in zip(group_runs([r for r in records if r.epochs]), COLORS * len(records), strict=False):
        length = min(len(record.epochs) for record in group.records)
        curves = np.array([record.curve(key)[:length] for record in group.records], float)
        epochs = np.arange(1, length + 1)
        ax.plot(epochs, curves.mean(0), color=color, label=f"{group.name} ({len(curves)} seeds)", linewidth=1.8)
        ax.fill_between(epochs, curves.min(0), curves.max(0), color=color, alpha=0.18, linewidth=0)
        lowest.append(curves.mean(0)[length // 3])
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel({"val_accuracy": "validation accuracy", "val_loss": "validation loss"}.get(key, key))
    if key.endswith("accuracy"):
        ax.set_ylim(max(0.0, min(lowest) - 0.15), 1.0)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right" if key.endswith("accuracy") else "upper right")
    return ax
