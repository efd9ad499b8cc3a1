"""The page on the robustness of one model, with examples of corrupted and adversarial images."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.experiments.reports.html import figure_section, write_page
from keras_twoarg.experiments.reports.robustness_tables import single_table
from keras_twoarg.experiments.robustness.corruptions import corrupt
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.utils.figures import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 8


def write_robustness_report(record: Robustness, reference: Robustness | None, out: Path, pixels: np.ndarray) -> Path:
    """Write `report.html` into a folder that `robustness.measure.evaluate` has filled.

    Args:
        record: The measurement.
        reference: The reference for mCE, or None.
        out: The folder; adversarial images are read from it.
        pixels: The test images, uint8, in the order of the measurement.
    """
    parts = [table.html() for table in single_table(record, reference)]
    if record.corrupted and "corrupted" not in record.settings:  # published ones are not made here
        parts.append(_corruptions(record, pixels))
    file = out / "adversarial.npz"
    if record.attacked and file.exists():
        with np.load(file) as arrays:
            parts.append(_adversarial(pixels / 255, arrays["images"], ~arrays["robust"]))
    lead = f"Model {record.settings['model']}, {record.settings['points']:,} test images; clean {record.clean:.1%}."
    path = out / "report.html"
    write_page(path, "robustness", f"Robustness on {record.settings['data']}", lead, parts)
    return path


def _corruptions(record: Robustness, pixels: np.ndarray) -> str:
    names, seed = list(record.corrupted), record.settings["seed"]
    figure, axes = pyplot().subplots(
        len(names), 6, figsize=(7.5, 1.25 * len(names)), layout="constrained", squeeze=False
    )
    for row, name in zip(axes, names, strict=True):
        _show(row[0], pixels[0] / 255)
        row[0].set_ylabel(name.replace("_", " "), rotation=0, ha="right", fontsize=9)
        for severity, ax in enumerate(row[1:], start=1):
            _show(ax, corrupt(pixels[:1], name, severity, seed)[0] / 255)
            ax.set_title(f"{record.corrupted[name][severity - 1]:.0%}", fontsize=8, pad=2)
    caption = "Left: the image; then severities 1 to 5, with the accuracy at each."
    return figure_section("What the corruptions look like", figure, caption)


def _adversarial(pixels: np.ndarray, moved: np.ndarray, broken: np.ndarray) -> str:
    far = np.abs(moved - pixels).reshape(len(pixels), -1).max(-1)
    chosen = np.flatnonzero(broken & (far > 0))[:_SHOWN]
    if not len(chosen):
        return ""
    figure, axes = pyplot().subplots(
        3, len(chosen), figsize=(1.2 * len(chosen), 3.8), layout="constrained", squeeze=False
    )
    for column, i in zip(axes.T, chosen, strict=True):
        _show(column[0], pixels[i])
        _show(column[1], moved[i])
        _show(column[2], 0.5 + (moved[i] - pixels[i]) / (2 * far[i]))
    for ax, label in zip(axes[:, 0], ("image", "adversarial", "difference"), strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", fontsize=9)
    caption = "The first images for which an attack succeeded; the difference is scaled to the full range."
    return figure_section("Adversarial images", figure, caption)


def _show(ax: "Axes", image: np.ndarray) -> None:
    ax.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
