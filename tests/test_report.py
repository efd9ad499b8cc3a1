"""Table, figures and report from records alone."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from keras_twoarg import analysis, plots, surfaces
from keras_twoarg.plots.report import write_report
from keras_twoarg.plots.surface import SHOWN, SurfaceDisplay
from keras_twoarg.report_table import common_threshold, group_runs, read_runs, runs_table
from keras_twoarg.training import sessions
from keras_twoarg.training.records import Record
from tests.data import blobs

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def record(arm="relu", session="II", seed=1, accuracies=(0.5, 0.9, 0.96), **changes):
    epochs = [{"loss": 1.0, "accuracy": a, "val_loss": 1 - a, "val_accuracy": a, "seconds": 2.0} for a in accuracies]
    values = {
        "arm": arm, "session": session, "seed": seed, "dataset": "digits", "architecture": "mlp", "widths": [8],
        "parameters": 1000, "norm": "LayerNorm", "splits": {"train": 80, "validation": 20, "test": 100},
        "settings": {"dropout": 0.5}, "epochs": epochs, "best_epoch": 3, "test_accuracy": accuracies[-1],
        "seconds": 6.0, "versions": {"keras": "3"},
    }  # fmt: skip
    return Record(**{**values, **changes})


RUNS = [
    record("relu", seed=1),
    record("relu", seed=2, accuracies=(0.4, 0.8, 0.92)),
    record("two_arg", "II", accuracies=(0.9, 0.97, 0.98)),
    record("two_arg", "III", accuracies=(0.9, 0.91, 0.97)),
]


def text(renderable):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_table_by_hand():
    lines = text(runs_table(RUNS)).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if "LayerNorm" in line]
    assert rows == [
        ["two_arg II", "1,000", "LayerNorm", "1", "98.00%", "1", "6 s"],
        ["two_arg III", "1,000", "LayerNorm", "1", "97.00%", "1", "6 s"],
        ["relu", "1,000", "LayerNorm", "2", "94.00% ± 2.83", "2", "6 s"],
    ]
    assert any("to 90%" in line for line in lines)


def test_runs_that_failed_stay_in_the_table():
    diverged = record(status="diverged", test_accuracy=None, best_epoch=None, accuracies=(0.1,), seed=3)
    rows = text(runs_table([*RUNS, diverged]))
    assert "1 never" in rows and "Counted in seeds but in no accuracy: relu II seed 3 (diverged)." in rows


def test_threshold_is_one_that_every_run_reached():
    assert common_threshold(RUNS) == 0.9
    assert common_threshold([record(accuracies=(0.1,))]) == 0.5


def test_reading_filters_by_seed_and_names_empty_folders(tmp_path):
    for i, run in enumerate(RUNS):
        (tmp_path / str(i)).mkdir()
        run.write(tmp_path / str(i) / f"session{len(run.session)}.json")
    assert len(read_runs([tmp_path])) == 4
    assert [r.seed for r in read_runs([tmp_path], seed=2)] == [2]
    with pytest.raises(ValueError, match="no records of finished runs of seed 9"):
        read_runs([tmp_path], seed=9)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no records of finished runs in .*empty"):
        read_runs([tmp_path / "empty"])


def test_records_with_numbers_that_are_not_finite_are_valid_json(tmp_path):
    record(test_loss=float("nan")).write(tmp_path / "session2.json")
    assert "NaN" not in (tmp_path / "session2.json").read_text()
    assert Record.read(tmp_path / "session2.json").test_loss is None


def test_learning_curves_draw_means_and_bands():
    ax = plots.plot_learning_curves(RUNS)
    curves = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(curves["relu (2 seeds)"], [0.45, 0.85, 0.94])
    assert len(ax.collections) == len(group_runs(RUNS)) == 3
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == "validation accuracy"


def display(surface=surfaces.product):
    tuples = np.random.default_rng(0).normal(size=(5000, 2))
    found = analysis.density(tuples)
    return SurfaceDisplay(surface(*np.meshgrid(found.axis, found.axis, indexing="ij")), found)


def test_display_draws_the_surface_with_the_first_argument_to_the_right():
    shown = display(lambda x1, x2: x1)
    ax = shown.plot()
    mesh = ax.collections[0]
    colors = np.asarray(mesh.get_array()).reshape(61, 61)
    np.testing.assert_allclose(colors[30], np.linspace(-SHOWN, SHOWN, 61), atol=1e-9)
    assert np.ptp(colors[:, 30]) == 0
    assert ax.get_xlabel().startswith("$x_1$") and shown.figure_ is ax.figure


def test_display_knows_the_verdict_and_draws_the_fit():
    shown = display()
    assert shown.soft_xor.verdict == "soft XOR (score +1.00, quadratic R² 1.00)"
    ax = shown.plot_quadratic()
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()).reshape(61, 61)[0, 0], 9, atol=1e-6)


def test_display_of_one_argument():
    found = analysis.density(np.random.default_rng(0).normal(size=(500, 1)))
    shown = SurfaceDisplay(found.axis**2, found)
    assert shown.soft_xor is None and len(shown.plot().get_lines()) == 1
    with pytest.raises(ValueError, match="two arguments"):
        shown.plot_quadratic()
    with pytest.raises(ValueError, match="on the density's nodes"):
        SurfaceDisplay(np.zeros((3, 3)), found)


def test_report_is_one_file_that_needs_nothing_else(tmp_path):
    quick = {"widths": (8,), "epochs": 2, "frozen_epochs": 1, "pretraining_epochs": 1}
    sessions.run_sessions(blobs(), tmp_path / "a", **quick)
    sessions.run_sessions(blobs(), tmp_path / "b", arm="relu", widths=(200,), epochs=2)
    path = write_report([tmp_path], tmp_path / "out", command="twoarg <demo>", agreement="It agrees & more")
    page = path.read_text()
    assert not re.search(r"""(src|href)=(?!["']?data:)""", page) and "http" not in re.sub(r"base64,[^']*", "", page)
    for part in ("Arms side by side", "Learning curves", "The learned surface", "Maturation", "It agrees &amp; more"):
        assert part in page
    assert "twoarg &lt;demo&gt;" in page and "class=flag" in page
    assert page.count("<img ") == 3
    again = write_report([tmp_path], tmp_path / "again", command="twoarg <demo>", agreement="It agrees & more")
    assert again.read_text() == page


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_twoarg\[plot\]'"):
        plots.plot_learning_curves(RUNS)
