"""The report of a comparison: one self-contained HTML file, made only from the records and arrays of its runs."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from keras_twoarg.experiments.reports.html import write_page_and_figures
from keras_twoarg.experiments.reports.learned_surfaces import learned_section
from keras_twoarg.experiments.reports.learning_curves import curves_section, size_section
from keras_twoarg.experiments.reports.robustness_tables import robustness_table
from keras_twoarg.experiments.reports.run_figures import Figure, figures_in
from keras_twoarg.experiments.reports.run_groups import group_runs
from keras_twoarg.experiments.reports.run_tables import fairness_table, paired_table, runs_table
from keras_twoarg.experiments.reports.runs import Runs
from keras_twoarg.experiments.training.run_record import Record


def write_report(
    runs: Runs,
    out: Path,
    *,
    command: str | None = None,
    agreement: str | None = None,
    play: Path | None = None,
) -> Path:
    """Write `report.html`: tables, learning curves, surfaces, verdicts, and how the runs were made.

    The figures are also written to separate files such as `figures/learning-curves.svg`; those of a report that is
    replaced are deleted.

    Args:
        runs: The runs to report, from `read_runs`.
        out: Folder of the report.
        command: The command of the demo that made the runs, to show to the reader. Defaults to `None`.
        agreement: A sentence that compares the served model with the model. Defaults to `None`.
        play: An interactive page in the report's folder to link to; the report then has no interactive surfaces.
            Defaults to `None`.

    Returns:
        The path of the report.

    Raises:
        ValueError: If the page or a figure would overwrite another file.
    """
    records = runs.records
    tables = (fairness_table(records), runs_table(records, "Speed and end of learning"), paired_table(records))
    parts = [_play_link(play)] if play else []
    parts += [table.html() for table in tables if table is not None]
    parts += [
        _test_error(records),
        curves_section(records),
        size_section(records),
        learned_section(runs.surfaces, turnable=play is None),
    ]
    if (robust := robustness_table(runs.robustness)) is not None:
        parts.append(robust.html())
    if agreement:
        parts.append(f"<h2>The served model</h2><p>{html.escape(agreement)}.</p>")
    parts.append(_origin(records, command))
    data = ", ".join(dict.fromkeys(r.dataset for r in records))
    path = out / "report.html"
    lead = " ".join(_lead(figure, records) for figure in figures_in(records))
    maker = "demo" if command else "report"  # which could not rebuild all of the demo's page
    write_page_and_figures(path, maker, f"Two-argument units on {data}", lead, parts)
    return path


def _play_link(play: Path) -> str:
    return (
        f"<p><a href='{html.escape(quote(play.name))}'>Play with phi in your browser</a>: draw an image, paint phi, "
        "replace it with another function, watch it develop.</p>"
    )


def _lead(figure: Figure, runs: Sequence[Record]) -> str:
    means = {
        group.name: float(np.mean(tested))
        for group in group_runs(runs)
        if (tested := [value for r in group.tested if (value := figure.of(r)) is not None])
    }
    ordered = sorted(means.items(), key=lambda item: item[1], reverse=figure.higher_is_better)
    numbers = "; ".join(f"{name} {figure.written(mean)}{figure.unit}" for name, mean in ordered)
    return f"{figure.name[0].upper()}{figure.name[1:]}, mean over seeds: {numbers}."


def _test_error(runs: Sequence[Record]) -> str:
    """Return the standard error of a test accuracy, a limit for what the table can show."""
    accuracies = [r.test_accuracy for r in runs if r.test_accuracy is not None]
    number = next((r.splits["test"] for r in runs if r.splits), 0)
    if not (number and accuracies) or any(r.bits is not None for r in runs):  # characters in a row are not independent
        return ""
    if len({r.dataset for r in runs}) > 1:
        return ""
    accuracy = float(np.mean(accuracies))
    error = 100 * (accuracy * (1 - accuracy) / number) ** 0.5
    return f"<p class=note>One standard error of an accuracy on {number:,} test samples is {error:.1f} points.</p>"


def _origin(runs: Sequence[Record], command: str | None) -> str:
    first = runs[0]
    data = {r.dataset: ", ".join(f"{number:,} {part}" for part, number in r.splits.items()) for r in runs if r.splits}
    settings = _told(first.settings)
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items() if name != "backend")
    widths = "; ".join(dict.fromkeys(f"{r.arm} {'-'.join(map(str, r.widths))}" for r in runs))
    shown = f"<pre>{html.escape(command)}</pre>" if command else ""
    architectures = ", ".join(dict.fromkeys(r.architecture for r in runs))
    commits = dict.fromkeys(commit or "unknown" for r in runs for commit in r.commits)
    lines = [
        *(f"Data: {name}: {splits} samples." for name, splits in data.items()),
        f"Outer networks: {architectures}, units in each hidden layer: {widths}.",
        f"Settings: {settings}.",
        *_other_settings(runs),
        f"Seeds: {', '.join(str(s) for s in dict.fromkeys(r.seed for r in runs))}.",
        f"Computed with {versions}; commit {', '.join(commits)}.",
    ]
    return f"<h2>How this was made</h2>{shown}" + "".join(f"<p class=note>{html.escape(line)}</p>" for line in lines)


_NO_SETTINGS = ("multiply_adds", "pre_activations", "failure")


def _told(settings: Mapping[str, object]) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in settings.items()
        if value is not None and key not in _NO_SETTINGS
    )


def _other_settings(runs: Sequence[Record]) -> list[str]:
    """Return a sentence for each arm and stage whose settings differ from those of the first run."""
    first, sentences = runs[0], []
    for name in dict.fromkeys((r.arm, r.stage) for r in runs):
        others = [r.settings for r in runs if (r.arm, r.stage) == name]
        keys = dict.fromkeys(key for settings in others for key in settings if key not in _NO_SETTINGS)
        differing = {
            key: " or ".join(values)
            for key in keys
            if (values := list(dict.fromkeys(str(settings.get(key)) for settings in others)))
            != [str(first.settings.get(key))]
        }
        if differing:
            sentences.append(f"{name[0]} {name[1]} differs: {_told(differing)}.")
    return sentences
