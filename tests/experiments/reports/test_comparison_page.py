"""The curves of a comparison, from the records of its runs alone."""

import pytest

from keras_twoarg.experiments.comparison import Comparison, Run
from keras_twoarg.experiments.comparison.networks import OWN
from keras_twoarg.experiments.reports.comparison_page import plot_curves, write_comparison_report

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def run(arm, seed, *losses):
    epochs = [{"loss": loss, "val_loss": loss, "seconds": 1.0} for loss in losses]
    return Run(arm, seed, None, 1000, epochs, 1, {"loss": 0.5, "accuracy": 0.9 + seed / 100})


@pytest.mark.filterwarnings("error")
def test_a_run_that_diverged_does_not_press_the_other_curves_flat(tmp_path):
    runs = [run(OWN, seed, 0.5, 0.4) for seed in (0, 1)]
    lost = [run("two_arg", seed, 0.5, 1e6, None) for seed in (0, 1)]
    ax = plot_curves(Comparison((*runs, lost[0], run("two_arg", 1, 0.5, 0.3)), "parameters"))
    assert ax.dataLim.ymax == 0.5 and [list(line.get_ydata()) for line in ax.get_lines()] == [[0.5, 0.4], [0.5, 0.3]]
    ax = plot_curves(Comparison((*runs, *lost), "parameters"))
    assert [line.get_label() for line in ax.get_lines()] == ["yours, as it is"]
    page = write_comparison_report(Comparison((*runs, *lost), "parameters"), tmp_path).read_text()
    assert "Without runs that diverged" in page
    own = [run(OWN, seed, 0.5, None) for seed in (0, 1)]
    assert (
        "Learning curves" not in write_comparison_report(Comparison((*own, *lost), "parameters"), tmp_path).read_text()
    )
