"""One self-contained HTML file, made from the records and arrays of finished runs alone."""

import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from keras_twoarg.plots.curves import plot_learning_curves
from keras_twoarg.plots.style import pyplot, to_svg
from keras_twoarg.plots.surface import SurfaceDisplay
from keras_twoarg.report_table import (
    PAIRED_CAPTION,
    PAIRED_COLUMNS,
    columns,
    common_threshold,
    failures,
    group_runs,
    paired_rows,
    read_runs,
    table_rows,
)
from keras_twoarg.training.records import Record, write_whole
from keras_twoarg.training.trace import Trace


def write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    seed: int | None = None,
    command: str | None = None,
    agreement: str | None = None,
) -> Path:
    """Write `report.html`: table, learning curves, surfaces, verdicts, and how all of it was made.

    Args:
        folders: Folders with finished runs, at any depth.
        out: Folder of the report.
        seed: Report this seed alone. Defaults to `None`, all.
        command: The command that made the runs, for the reader. Defaults to `None`.
        agreement: What comparing the served model with the model gave. Defaults to `None`.

    Returns:
        The path of the report.

    Raises:
        ValueError: If there are no records in the folders.
    """
    runs = read_runs(folders, seed=seed)
    surfaces = _surfaces(folders, seed)
    parts = [_table(runs), _curves(runs), _surface_figures(surfaces)]
    if agreement:
        parts.append(f"<h2>The served model</h2><p>{html.escape(agreement)}.</p>")
    parts.append(_origin(runs, command))
    data = ", ".join(dict.fromkeys(Path(r.dataset).stem for r in runs))
    template = Template(resources.files("keras_twoarg.plots").joinpath("report.html").read_text())
    text = template.substitute(
        title=f"Two-argument units on {html.escape(data)}", lead=_lead(runs), body="\n".join(parts)
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "report.html"
    write_whole(path, lambda file: file.write(text.encode()))
    return path


def _lead(runs: Sequence[Record]) -> str:
    means = {
        group.name: float(np.mean(tested))
        for group in group_runs(runs)
        if (tested := [r.test_accuracy for r in group.records if r.test_accuracy is not None])
    }
    ordered = sorted(means.items(), key=lambda item: -item[1])
    return "Test accuracy, mean over seeds: " + "; ".join(f"{html.escape(n)} {a:.2%}" for n, a in ordered) + "."


def _test_error(runs: Sequence[Record]) -> str:
    """Return how far chance alone moves a test accuracy, so that nobody reads more into the table."""
    accuracy = float(np.mean([r.test_accuracy for r in runs if r.test_accuracy is not None] or [0.5]))
    number = next((r.splits["test"] for r in runs if r.splits), 0)
    if not number:
        return ""
    error = 100 * (accuracy * (1 - accuracy) / number) ** 0.5
    return f"One standard error of an accuracy on {number:,} test images is {error:.1f} points."


def _table(runs: Sequence[Record]) -> str:
    threshold = common_threshold(runs)
    reference = next((r.parameters for group in group_runs(runs) for r in group.records if r.parameters), 1)
    rows = []
    for cells, group in zip(table_rows(runs, threshold), group_runs(runs), strict=True):
        unmatched = any(abs(r.parameters / reference - 1) > 0.005 for r in group.records if r.parameters)
        classes = ["", " class=flag" if unmatched else "", *[""] * (len(cells) - 2)]
        row = "".join(f"<td{c}>{html.escape(t)}</td>" for c, t in zip(classes, cells, strict=True))
        rows.append(f"<tr>{row}</tr>")
    head = "".join(f"<th>{heading}</th>" for heading in columns(threshold))
    note = (
        "Session II trains phi and the outer network jointly, Session III freezes phi and trains a new outer network. "
        "Test accuracy is that of the best epoch by validation loss, mean ± standard deviation over seeds; the test "
        f"images were used once. “to {threshold:.0%}” is the number of epochs until that validation accuracy, the "
        "median over seeds. Time is that of training one run. Parameters in red differ by more than 0.5 % from the "
        f"first arm's. {_test_error(runs)} {html.escape(failures(runs))}"
    )
    return (
        f"<h2>Arms side by side</h2><div class=scroll><table><tr>{head}</tr>{''.join(rows)}</table></div>"
        f"<p class=note>{note}</p>{_paired(runs)}"
    )


def _paired(runs: Sequence[Record]) -> str:
    rows = paired_rows(runs)
    if not rows:
        return ""
    head = "".join(f"<th>{heading}</th>" for heading in PAIRED_COLUMNS)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows)
    return (
        f"<h2>two_arg II minus each other arm</h2><div class=scroll><table><tr>{head}</tr>{body}</table></div>"
        f"<p class=note>Accuracies in points. {html.escape(PAIRED_CAPTION)}</p>"
    )


def _curves(runs: Sequence[Record]) -> str:
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(11, 4), layout="constrained")
    plot_learning_curves(runs, ax=left)
    plot_learning_curves(runs, key="val_loss", ax=right)
    right.set_yscale("log")
    for axis_format in (right.yaxis.set_major_formatter, right.yaxis.set_minor_formatter):
        axis_format(lambda value, _: f"{value:g}")
    caption = "Mean over seeds, and the range from the lowest to the highest seed."
    return _figure("Learning curves", figure, caption)


def _surfaces(folders: Sequence[Path], seed: int | None) -> list[tuple[Record, Path]]:
    """Return the record and surface file of each Session II that left one, by arm and seed."""
    files = sorted(file for folder in folders for file in Path(folder).rglob("session2-surface.npz"))
    found = [(Record.read(file.with_name("session2.json")), file) for file in files]
    return sorted(
        ((record, file) for record, file in found if seed is None or record.seed == seed),
        key=lambda item: (item[0].arm != "two_arg", item[0].arm, item[0].seed),
    )


def _surface_figures(surfaces: Sequence[tuple[Record, Path]]) -> str:
    planes = [(r, f) for r, f in surfaces if r.arm == "two_arg"]
    if not planes:
        return ""
    figure, axes = pyplot().subplots(
        len(planes), 3, figsize=(11, 3.4 * len(planes)), layout="constrained", squeeze=False
    )
    verdicts = []
    for row, (record, file) in zip(axes, planes, strict=True):
        learned = SurfaceDisplay.from_file(file)
        SurfaceDisplay.from_file(file, "start").plot(
            row[0], title=f"seed {record.seed}: phi at the start", with_density=False
        )
        learned.plot(row[1], title="phi learned, and where its arguments fall")
        learned.plot_quadratic(row[2], title="nearest quadratic, weighted by that density")
        if learned.soft_xor and learned.quadratic:
            c = ", ".join(f"{value:+.3f}" for value in learned.quadratic.surface.coefficients)
            verdicts.append(
                f"<li>Seed {record.seed}: <strong>{html.escape(learned.soft_xor.verdict)}</strong>. "
                f"<span class=note>c0 … c5 = {c}; {learned.density.outside:.2%} of {learned.density.number:,} "
                "pre-activation pairs lie outside of [-5, 5].</span></li>"
            )
    caption = (
        "Colours: phi over its two arguments, blue below and red above its mean. Lines hold 50, 90 and 99 % of the "
        "pre-activations of 500 validation images, all layers pooled. Soft XOR: the nearest quadratic "
        "c0 x1² + c1 x2² + c2 x1x2 + c3 x1 + c4 x2 + c5 is a saddle, that is, its principal curvatures have opposite "
        "signs; the score is −2 det H / ‖H‖² of its Hessian, +1 for a pure saddle, −1 for a bowl."
    )
    figures = _figure("The learned surface", figure, caption, f"<ul class=verdicts>{''.join(verdicts)}</ul>")
    return figures + _maturation(planes[0])


def _maturation(run: tuple[Record, Path]) -> str:
    record, file = run
    trace = Trace.read(file)
    wanted = [e for e in dict.fromkeys((0, 1, 2, 5, 10, 20, max(trace.weights))) if e in trace.weights]
    figure, axes = pyplot().subplots(
        1, len(wanted), figsize=(2.1 * len(wanted), 2.3), layout="constrained", squeeze=False
    )
    for ax, epoch in zip(axes[0], wanted, strict=True):
        SurfaceDisplay(trace.at(epoch), trace.density).plot(ax, title=f"epoch {epoch}", with_density=False)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    for ax in figure.axes[len(wanted) :]:  # each panel has its own colours; their scale is in the figure above
        ax.remove()
    return _figure(f"Maturation of phi, seed {record.seed}", figure, "phi over the first epochs of Session II.")


def _origin(runs: Sequence[Record], command: str | None) -> str:
    first = runs[0]
    splits = ", ".join(f"{number:,} {part}" for part, number in first.splits.items())
    settings = ", ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in first.settings.items()
        if value is not None and key not in ("multiply_adds", "pre_activations")
    )
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items() if name != "backend")
    widths = "; ".join(dict.fromkeys(f"{r.arm} {'-'.join(map(str, r.widths))}" for r in runs))
    shown = f"<pre>{html.escape(command)}</pre>" if command else ""
    lines = [
        f"Data: {Path(first.dataset).name}: {splits} images.",
        f"Outer networks: {first.architecture}, units in each hidden layer: {widths}.",
        f"Settings: {settings}.",
        f"Seeds: {', '.join(str(s) for s in dict.fromkeys(r.seed for r in runs))}.",
        f"Computed with {versions}; commit {first.commit or 'unknown'}.",
    ]
    return f"<h2>How this was made</h2>{shown}" + "".join(f"<p class=note>{html.escape(line)}</p>" for line in lines)


def _figure(heading: str, figure: Any, caption: str, above: str = "") -> str:
    return (
        f"<h2>{html.escape(heading)}</h2>{above}<figure><img alt='{html.escape(heading)}' src='{to_svg(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
