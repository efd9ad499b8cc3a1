"""Table, figures and report from records alone."""

import re
from itertools import pairwise

import numpy as np
import pytest

from keras_twoarg import analysis
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments import reports
from keras_twoarg.experiments.reports import learned_surfaces, learning_curves
from keras_twoarg.experiments.reports.page import write_report
from keras_twoarg.experiments.reports.run_groups import group_runs
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.reports.surface_tables import Surface
from keras_twoarg.experiments.training import sessions
from keras_twoarg.experiments.training.phi_snapshots import Trace
from tests.helpers import ROOT, RUNS, blobs, record

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def test_every_data_set_of_a_report_is_told(tmp_path):
    for name, test in (("digits", 100), ("clothes", 900)):
        (tmp_path / name).mkdir()
        record(dataset=name, splits={"train": 80, "validation": 20, "test": test}).write(tmp_path / name / "joint.json")
    page = write_report(read_runs([tmp_path]), tmp_path / "out").read_text()
    assert "digits: 80 train, 20 validation, 100 test" in page and "clothes: 80 train, 20 validation, 900 test" in page
    assert "One standard error" not in page  # of which test?
    assert "One standard error" in write_report(read_runs([tmp_path / "digits"]), tmp_path / "out").read_text()


def test_the_lead_counts_what_the_table_counts_and_curves_are_of_whole_runs(tmp_path):
    diverged = record(status="diverged", best_epoch=1, test_accuracy=0.64, accuracies=(0.3,), seed=3)
    for i, run in enumerate([*RUNS, diverged]):
        (tmp_path / str(i)).mkdir()
        run.write(tmp_path / str(i) / f"{run.stage}.json")
    page = write_report(read_runs([tmp_path]), tmp_path / "out").read_text()
    assert "relu 84.00%" in page and "84.00% ± 17.44" in page and "Without runs that diverged" in page
    relu = reports.plot_learning_curves([*RUNS, diverged]).get_lines()[-1]
    assert relu.get_label() == "relu (2 seeds)" and len(relu.get_ydata()) == 3


def test_the_curves_say_which_of_several_networks_they_are_of():
    together = learning_curves.curves_section([record("two_arg", settings={"networks": 8})])
    assert "that learn phi together" in together
    assert "together" not in learning_curves.curves_section([record("two_arg", settings={"networks": 1}), *RUNS])


def test_curves_of_folders_with_many_settings_keep_their_room(monkeypatch):
    drawn = []
    monkeypatch.setattr(learning_curves, "figure_section", lambda _title, figure, _caption: drawn.append(figure) or "")
    common = {"inner_units": [64, 64], "phi_init": "random", "batch_size": 100, "learning_rate": 0.001}
    other = {"inner_units": [8], "phi_init": "glorot", "batch_size": 5, "learning_rate": 0.5}
    learning_curves.curves_section([record("two_arg", settings=common), record("two_arg", settings=other)])
    figure = drawn[0]
    figure.canvas.draw()
    assert all(ax.get_window_extent().width > 0.3 * figure.bbox.width for ax in figure.axes)
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 2 and not any(ax.get_legend() for ax in figure.axes)
    assert legend.get_window_extent().y1 < min(ax.get_window_extent().y0 for ax in figure.axes)


@pytest.mark.parametrize("losses", [(3.0, 0.5, 0.004), (1.2, 0.6, 0.3), (0.95, 0.9, 0.88), (1.9, 0.5, 0.2)])
def test_the_loss_has_several_ticks_and_none_on_another(losses, monkeypatch):
    drawn = []
    monkeypatch.setattr(learning_curves, "figure_section", lambda _title, figure, _caption: drawn.append(figure) or "")
    run = record("relu")
    run.epochs = [{**epoch, "val_loss": loss} for epoch, loss in zip(run.epochs, losses, strict=True)]
    learning_curves.curves_section([run])
    drawn[0].draw_without_rendering()
    axis = drawn[0].axes[-1].yaxis
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    low, high = axis.get_view_interval()
    boxes = {t.label1.get_text(): t.label1.get_window_extent() for t in ticks if low <= t.get_loc() <= high}
    edges = sorted((box.y0, box.y1) for text, box in boxes.items() if text)
    assert len(edges) >= 3 and all(below[1] < above[0] for below, above in pairwise(edges))


def test_learning_curves_draw_means_and_bands():
    ax = reports.plot_learning_curves(RUNS)
    curves = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(curves["relu (2 seeds)"], [0.45, 0.85, 0.94])
    assert len(ax.collections) == len(group_runs(RUNS)) == 3
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == "validation accuracy"


def test_the_axis_of_accuracy_shows_the_lowest_seed_and_what_falls_later():
    collapsed = record("relu", accuracies=[0.9] * 4 + [0.3] * 6)
    low, _ = reports.plot_learning_curves([collapsed, record("two_arg", accuracies=[0.9] * 10)]).get_ylim()
    assert low <= 0.3
    stalled = [record("relu", seed=seed, accuracies=[a] * 10) for seed, a in ((1, 0.9), (2, 0.9), (3, 0.9), (4, 0.1))]
    low, _ = reports.plot_learning_curves(stalled).get_ylim()
    assert low <= 0.1
    risen = record("relu", accuracies=[0.1, 0.2, 0.3, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95])
    assert reports.plot_learning_curves([risen]).get_ylim()[0] == pytest.approx(0.75)  # the start may be cut off


def test_the_legend_does_not_lie_on_curves_that_stay_low():
    arms = ("two_arg", "one_arg", "relu", "gelu", "tanh", "swiglu", "maxout")
    ax = reports.plot_learning_curves([record(arm, accuracies=[0.43, 0.52] + [0.55] * 10) for arm in arms])
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    for curve in ax.get_lines():
        assert not curve.get_transform().transform_path(curve.get_path()).intersects_bbox(box, filled=False)


@pytest.mark.filterwarnings("error::UserWarning")
def test_nothing_is_drawn_of_runs_that_did_not_finish_and_a_loss_of_zero_has_no_logarithm():
    failed = record(status="failed", test_accuracy=None, epochs=[], best_epoch=None)
    assert learning_curves.curves_section([failed, record(status="diverged")]) == ""
    assert not reports.plot_learning_curves([failed]).get_legend()
    regression = record(task="regression", test_accuracy=None)
    assert "logarithmic" in learning_curves.curves_section([failed, regression])
    for epoch in regression.epochs:
        epoch["val_loss"] = 0.0
    assert "logarithmic" not in learning_curves.curves_section([regression])


def test_dollars_in_names_are_no_formula():
    names = ("a$_$ and $x^2$", "b")
    nodes = surfaces.product(surfaces.axis()[:, None], surfaces.axis()[None, :])
    density, weights = analysis.density(np.random.default_rng(0).normal(size=(500, 2))), [np.eye(6)[:, 2:3]]
    records = [record("quadratic", dataset=name) for name in names]
    shown = [Surface(r, Trace(nodes, {"layer_0": density}, nodes, {0: weights, 1: weights})) for r in records]
    for ax in (reports.plot_learning_curves(records), reports.plot_sizes(records), reports.plot_maturation(shown)):
        ax.figure.draw_without_rendering()
        assert names[0] in ax.get_legend().get_texts()[0].get_text().replace(r"\$", "$")
    learned_surfaces._surface_figure(shown)


def test_sizes_of_runs_with_other_settings_are_lines_of_their_own():
    sizes = {(1, False): 1000, (2, False): 2000, (1, True): 700, (2, True): 1400}
    runs = [
        record("one_arg", widths=[8] * depth, parameters=size, settings={"equal_width": equal, "dropout": dropout})
        for (depth, equal), size in sizes.items()
        for dropout in (0.0, 0.5)
    ]
    drawn = {bars.get_label(): list(bars.lines[0].get_xdata()) for bars in reports.plot_sizes(runs).containers}
    assert drawn == {
        f"one_arg joint{width}, dropout {dropout}": points
        for dropout in ("0", "0.5")
        for width, points in (("", [1000, 2000]), (", equal width", [700, 1400]))
    }
    depths = [record("relu", widths=[8] * n, parameters=1000 * n) for n in (1, 2, 3)]
    assert [bars.get_label() for bars in reports.plot_sizes(depths).containers] == ["relu"]


def test_sizes_draw_one_point_for_each_size():
    runs = [record("relu", parameters=p, seed=s, accuracies=(0.9 + p / 1e5,)) for p in (1000, 2000) for s in (1, 2)]
    ax = reports.plot_sizes(runs)
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(np.array(points.get_xdata(), float), [1000, 2000])
    np.testing.assert_allclose(np.array(points.get_ydata(), float), [0.91, 0.92])


@pytest.mark.slow
def test_report_is_one_file_that_needs_nothing_else(tmp_path):
    quick = {"widths": (8,), "epochs": 2, "frozen_epochs": 1, "pretraining_epochs": 1}
    sessions.run_sessions(blobs(), tmp_path / "a", **quick)
    sessions.run_sessions(blobs(), tmp_path / "b", arm="relu", widths=(200,), epochs=2)
    path = write_report(read_runs([tmp_path]), tmp_path / "out", command="twoarg <demo>", agreement="It agrees & more")
    page = path.read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.S)  # plotly's script is in the page, and loads nothing
    assert not re.search(r"""(src|href)=(?!["']?data:)""", own) and "http" not in re.sub(r"base64,[^']*", "", own)
    assert not re.search(r"<script[^>]*\bsrc=", page)
    for part in (
        "What each arm costs", "Speed and end of learning", "Learning curves", "The learned surface", "Turn it",
        "Maturation", "Angular power", "Is phi a soft XOR?", "It agrees &amp; more",
    ):  # fmt: skip
        assert part in page
    assert "twoarg &lt;demo&gt;" in page and "class='flag'" in page
    assert page.count("<img ") == 5
    beside = write_report(read_runs([tmp_path / "a"]), tmp_path / "beside", play=tmp_path / "play.html").read_text()
    assert "href='play.html'" in beside and "<script" not in beside


@pytest.mark.slow
def test_a_surface_to_turn_fits_a_narrow_screen(browser, tmp_path):
    pytest.importorskip("plotly")
    nodes = surfaces.product(surfaces.axis()[:, None], surfaces.axis()[None, :])
    density = analysis.density(np.random.default_rng(0).normal(size=(500, 2)))
    surface = Surface(record("two_arg"), Trace(nodes, {"layer_0": density}, activation="relu"))
    template = (ROOT / "keras_twoarg/experiments/reports/report.html").read_text()
    (tmp_path / "page.html").write_text(template.replace("$body", learned_surfaces._turnable([surface, surface])))
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(120_000)  # plotly is 4 MB, and draws without a graphics card
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("#phi #scene canvas")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    scene = page.locator("#phi #scene").bounding_box()
    assert scene["width"] > 340 and scene["height"] < 1.1 * scene["width"]
    page.close()


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_twoarg\[plot\]'"):
        reports.plot_learning_curves(RUNS)


def test_the_page_says_which_settings_differ_and_overwrites_no_other(tmp_path):
    for arm in ("two_arg", "relu"):
        (tmp_path / "runs" / arm).mkdir(parents=True)
    record("two_arg", settings={"dropout": 0.5}, commit="a1").write(tmp_path / "runs" / "two_arg" / "joint.json")
    record("relu", settings={"dropout": 0.1}, commit="b2").write(tmp_path / "runs" / "relu" / "joint.json")
    page = write_report(read_runs([tmp_path / "runs"]), tmp_path / "out")
    assert "two_arg joint differs: dropout 0.5." in page.read_text() and "commit b2, a1" in page.read_text()
    write_report(read_runs([tmp_path / "runs"]), tmp_path / "out")  # its own
    page.write_text(page.read_text().replace(' content="twoarg report">', ' content="twoarg">'))
    write_report(read_runs([tmp_path / "runs"]), tmp_path / "out")  # of an earlier commit
    for written in ("<html>mine", page.read_text().replace("twoarg report", "twoarg compare")):
        page.write_text(written)
        with pytest.raises(ValueError, match=r"report\.html exists, and `twoarg report` did not write it"):
            write_report(read_runs([tmp_path / "runs"]), tmp_path / "out")
        assert page.read_text() == written


def test_a_demos_page_holds_more_than_a_report_and_is_not_replaced_by_one(tmp_path):
    record("relu").write(tmp_path / "joint.json")
    runs = read_runs([tmp_path])
    for _ in range(2):
        page = write_report(runs, tmp_path, command="twoarg demo", agreement="It agrees").read_text()
    with pytest.raises(ValueError, match="`twoarg report` did not write it"):
        write_report(runs, tmp_path)
    assert (tmp_path / "report.html").read_text() == page


def test_figures_beside_a_page_are_its_own_and_overwrite_no_other(tmp_path):
    for name, widths in (("a", (8,)), ("b", (8, 8))):
        (tmp_path / name).mkdir()
        record("relu", widths=widths).write(tmp_path / name / "joint.json")
    out, figures = tmp_path / "out", tmp_path / "out" / "figures"
    page = write_report(read_runs([tmp_path / "a", tmp_path / "b"]), out).read_text()
    assert "alt='Learning curves: Mean over seeds, and the range from the lowest to the highest seed'" in page
    assert {file.name for file in figures.iterdir()} == {"learning-curves.svg", "parameters-and-accuracy.svg"}
    (figures / "learning-curves.svg").write_text("mine")
    with pytest.raises(
        ValueError, match=r"learning-curves.svg exists and is not a figure of .*report.html. Move the folder"
    ):
        write_report(read_runs([tmp_path / "a"]), out)
    assert (figures / "learning-curves.svg").read_text() == "mine" and (out / "report.html").read_text() == page
    (figures / "learning-curves.svg").rename(figures / "mine.svg")
    write_report(read_runs([tmp_path / "a"]), out)
    assert {file.name for file in figures.iterdir()} == {"learning-curves.svg", "mine.svg"}
