"""Table, figures and report from records alone."""

import io
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_twoarg import analysis, models
from keras_twoarg.analysis import surfaces
from keras_twoarg.analysis.surface_callback import SurfaceCallback
from keras_twoarg.analysis.surface_display import SHOWN, SurfaceDisplay
from keras_twoarg.experiments import reports
from keras_twoarg.experiments.reports import learning_curves
from keras_twoarg.experiments.reports.page import write_report
from keras_twoarg.experiments.reports.run_groups import common_threshold, group_runs, read_runs
from keras_twoarg.experiments.reports.run_tables import fairness_table, paired_table, runs_table
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training import sessions
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.utils import files
from tests.helpers import blobs, record

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


RUNS = [
    record("relu", seed=1),
    record("relu", seed=2, accuracies=(0.4, 0.8, 0.92)),
    record("two_arg", "joint", accuracies=(0.9, 0.97, 0.98)),
    record("two_arg", "frozen", accuracies=(0.9, 0.91, 0.97)),
]


def text(renderable):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_table_by_hand():
    table = runs_table(RUNS)
    assert table.columns[1] == "to 90%"
    assert table.rows == (
        ("two_arg joint", "1", "95.00%", "98.00%", "1"),
        ("two_arg frozen", "1", "92.67%", "97.00%", "1"),
        ("relu", "2", "74.67%", "94.00% ± 2.83", "2"),
    )
    assert max(map(len, text(table).splitlines())) <= 80


def test_what_is_unfair_is_red():
    costs = {"pre_activations": 16, "multiply_adds": 1_234_000}
    runs = [
        record("two_arg", settings=costs),
        record("maxout", parameters=1004, seconds=7.0, settings=costs),
        record(
            "relu", parameters=1006, normalization="none", seconds=6.1, settings={**costs, "multiply_adds": 500_000}
        ),
        record("relu", seed=2, parameters=1006, accuracies=(0.5,), seconds=6.1, settings=costs),
    ]
    table = fairness_table(runs)
    assert table.rows[1] == ("maxout", "1,004 (+0.40%)", "8", "LayerNorm", "3", "1.23", "7 (×1.17)")
    red = {(table.rows[i][0], table.columns[j]) for i, j in table.flagged}
    assert red == {
        ("maxout", "seconds"), ("relu", "parameters"), ("relu", "normalization"), ("relu", "multiply-adds, M"),
    }  # fmt: skip
    assert "<td class='flag'>1,006 (+0.60%)</td>" in table.html()


def test_the_seconds_of_a_run_that_stopped_early_are_no_cost():
    early = record("relu", seed=2, status="diverged", seconds=1.0, accuracies=(0.1,))
    table = fairness_table([record("two_arg", seconds=6.0), record("relu", seconds=6.0), early])
    assert table.rows[1][-1] == "6" and not table.flagged
    never = fairness_table([record("two_arg", seconds=6.0), early])
    assert never.rows[1][-1] == "-"
    first = fairness_table([record("two_arg", seconds=1.0, status="diverged"), record("relu", seconds=6.0)])
    assert [row[-1] for row in first.rows] == ["-", "6"]


def test_runs_of_several_plans_are_told_apart_by_what_differs():
    runs = [
        record("two_arg", settings={"phi_init": "random", "dropout": 0.5}),
        record("two_arg", settings={"phi_init": "product", "dropout": 0.5}),
        record("relu", settings={"phi_init": "random"}),
        record("relu", seed=2, settings={"phi_init": "product"}),
    ]
    names = ["two_arg joint, phi init product", "two_arg joint, phi init random", "relu"]
    assert [g.name for g in group_runs(runs)] == names
    older = [record("two_arg"), record("two_arg", seed=2, settings={"inner_units": [64, 64]})]
    assert [g.name for g in group_runs(older)] == ["two_arg joint"]  # it was the same before records said so
    deeper = [record("two_arg", widths=[8, 8]), record("two_arg"), record("relu", widths=[9, 9])]
    assert [g.task[2] for g in group_runs(deeper)] == [1, 2, 2]


def test_arms_are_compared_on_the_same_data_and_depth_only():
    def runs(arm, dataset, better=0.0, **changes):
        return [
            record(arm, seed=s, dataset=dataset, accuracies=(0.9, 0.95 + better + s / 1000), **changes) for s in (1, 2)
        ]

    table = paired_table([*runs("two_arg", "a", 0.01), *runs("relu", "a"), *runs("two_arg", "b"), *runs("gelu", "b")])
    rows = {row[0]: row for row in table.rows if row[1] == "test accuracy"}
    assert set(rows) == {"relu, a", "gelu, b"}
    assert rows["relu, a"][2] == "+1.00" and rows["gelu, b"][2] == "+0.00"


def test_epochs_are_compared_only_where_every_run_got_there():
    slow = [record("relu", seed=s, accuracies=(0.1, a)) for s, a in ((1, 0.31), (2, 0.32), (3, 0.2))]
    fast = [record("two_arg", seed=s, accuracies=(0.35, 0.4)) for s in (1, 2, 3)]
    assert common_threshold([*fast, *slow]) == 0.3
    assert [row[1] for row in paired_table([*fast, *slow]).rows] == ["test accuracy", "curve"]
    assert "epochs to 30%" in [row[1] for row in paired_table([*fast, *slow[:2]]).rows]


def test_the_two_arg_that_is_compared_is_named_where_there_are_several():
    runs = [
        record(arm, seed=s, settings={"phi_init": start})
        for arm, start in (("two_arg", "random"), ("two_arg", "product"), ("relu", "random"))
        for s in (1, 2)
    ]
    assert "two_arg joint, phi init product" in paired_table(runs).caption
    assert "phi init" not in paired_table([*runs[:2], *runs[4:]]).caption


def test_a_small_p_value_is_not_written_as_zero():
    runs = [
        record(arm, seed=s, accuracies=(0.5, 0.9 + better + s / 1000))
        for arm, better in (("two_arg", 0.05), ("relu", 0.0))
        for s in range(14)
    ]
    p = {row[1]: row[4] for row in paired_table(runs).rows}
    assert p["test accuracy"] == "<0.001"


def test_every_data_set_of_a_report_is_told(tmp_path):
    for name, test in (("digits", 100), ("clothes", 900)):
        (tmp_path / name).mkdir()
        record(dataset=name, splits={"train": 80, "validation": 20, "test": test}).write(tmp_path / name / "joint.json")
    page = write_report([tmp_path], tmp_path / "out").read_text()
    assert "digits: 80 train, 20 validation, 100 test" in page and "clothes: 80 train, 20 validation, 900 test" in page
    assert "One standard error" not in page  # of which test?
    assert "One standard error" in write_report([tmp_path / "digits"], tmp_path / "out").read_text()


def test_runs_that_failed_stay_in_the_table():
    diverged = record(status="diverged", test_accuracy=None, best_epoch=None, accuracies=(0.1,), seed=3)
    table = runs_table([*RUNS, diverged])
    assert table.rows[2][1:] == ("2", "74.67%", "94.00% ± 2.83", "3")
    assert "Counted as seeds but in no figure: relu joint seed 3 (diverged)." in table.caption
    alone = runs_table([RUNS[2], record(status="failed", test_accuracy=None, epochs=[])])
    assert alone.rows[1] == ("relu", "-", "-", "-", "1")


def test_the_lead_and_the_curves_leave_out_what_the_table_leaves_out(tmp_path):
    diverged = record(status="diverged", best_epoch=1, test_accuracy=0.1, accuracies=(0.3,), seed=3)
    for i, run in enumerate([*RUNS, diverged]):
        (tmp_path / str(i)).mkdir()
        run.write(tmp_path / str(i) / f"{run.stage}.json")
    page = write_report([tmp_path], tmp_path / "out").read_text()
    assert "relu 94.00%" in page and "94.00% ± 2.83" in page
    relu = reports.plot_learning_curves([*RUNS, diverged]).get_lines()[-1]
    assert relu.get_label() == "relu (2 seeds)" and len(relu.get_ydata()) == 3


def test_threshold_is_one_that_every_run_reached():
    assert common_threshold(RUNS) == 0.9
    assert common_threshold([record(accuracies=(0.1,))]) == 0.3


def test_reading_filters_by_seed_and_names_empty_folders(tmp_path):
    for i, run in enumerate(RUNS):
        (tmp_path / str(i)).mkdir()
        run.write(tmp_path / str(i) / f"{run.stage}.json")
    assert len(read_runs([tmp_path])) == 4
    assert [r.seed for r in read_runs([tmp_path], seed=2)] == [2]
    with pytest.raises(ValueError, match="no records of finished runs of seed 9"):
        read_runs([tmp_path], seed=9)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no records of finished runs in .*empty"):
        read_runs([tmp_path / "empty"])


def test_records_with_numbers_that_are_not_finite_are_valid_json(tmp_path):
    record(test_loss=float("nan")).write(tmp_path / "joint.json")
    assert "NaN" not in (tmp_path / "joint.json").read_text()
    assert Record.read(tmp_path / "joint.json").test_loss is None


@pytest.mark.parametrize(
    ("wrong", "suits"),
    [
        (None, "best_epoch test_accuracy test_loss commit clean"),
        ("oops", "arm stage dataset architecture normalization status commit"),
        (-1.5, "test_accuracy test_loss seconds clean"),
        (True, ""),
        ([1], "widths"),
        ({"a": "b"}, "settings versions"),
        ("absent", "task"),  # records were written before there was one
    ],
)
@pytest.mark.parametrize("whole", [record(), Robustness({}, 0.9, {"fog": [0.5] * 5}, {"square": 0.1})])
def test_one_wrong_value_in_a_record_is_an_error_that_names_file_and_key(whole, wrong, suits, tmp_path):
    for key, value in vars(whole).items():
        if key in suits.split() and not (key == "seconds" and isinstance(value, dict)):
            continue
        data = {**vars(whole), key: wrong}
        if wrong == "absent":
            del data[key]
        files.write_json(tmp_path / "kept.json", data)
        with pytest.raises(ValueError, match=f"kept.json is no record.*{key}"):
            type(whole).read(tmp_path / "kept.json")


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


def test_learning_curves_draw_means_and_bands():
    ax = reports.plot_learning_curves(RUNS)
    curves = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(curves["relu (2 seeds)"], [0.45, 0.85, 0.94])
    assert len(ax.collections) == len(group_runs(RUNS)) == 3
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() == "validation accuracy"


def display(surface=surfaces.product):
    tuples = np.random.default_rng(0).normal(size=(5000, 2))
    measured = analysis.density(tuples)
    return SurfaceDisplay(surface(*np.meshgrid(measured.axis, measured.axis, indexing="ij")), measured)


def test_the_legend_does_not_lie_on_curves_that_stay_low():
    arms = ("two_arg", "one_arg", "relu", "gelu", "tanh", "swiglu", "maxout")
    ax = reports.plot_learning_curves([record(arm, accuracies=[0.43, 0.52] + [0.55] * 10) for arm in arms])
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    for curve in ax.get_lines():
        assert not curve.get_transform().transform_path(curve.get_path()).intersects_bbox(box, filled=False)


def test_sizes_draw_one_point_for_each_size():
    runs = [record("relu", parameters=p, seed=s, accuracies=(0.9 + p / 1e5,)) for p in (1000, 2000) for s in (1, 2)]
    ax = reports.plot_sizes(runs)
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(np.array(points.get_xdata(), float), [1000, 2000])
    np.testing.assert_allclose(np.array(points.get_ydata(), float), [0.91, 0.92])


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
    measured = analysis.density(np.random.default_rng(0).normal(size=(500, 1)))
    shown = SurfaceDisplay(measured.axis**2, measured)
    assert shown.soft_xor is None and len(shown.plot().get_lines()) == 1
    assert len(shown.figure_.axes) == 2 and len(shown.plot(with_density=False).figure.axes) == 1
    with pytest.raises(ValueError, match="two arguments"):
        shown.plot_quadratic()
    with pytest.raises(ValueError, match="on the density's nodes"):
        SurfaceDisplay(np.zeros((3, 3)), measured)


@pytest.mark.slow
def test_report_is_one_file_that_needs_nothing_else(tmp_path):
    quick = {"widths": (8,), "epochs": 2, "frozen_epochs": 1, "pretraining_epochs": 1}
    sessions.run_sessions(blobs(), tmp_path / "a", **quick)
    sessions.run_sessions(blobs(), tmp_path / "b", arm="relu", widths=(200,), epochs=2)
    path = write_report([tmp_path], tmp_path / "out", command="twoarg <demo>", agreement="It agrees & more")
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
    beside = write_report([tmp_path / "a"], tmp_path / "out", play=tmp_path / "out" / "play.html").read_text()
    assert "href='play.html'" in beside and "<script" not in beside


@pytest.mark.slow
def test_a_monitor_keeps_phi_over_training_and_tells_tensorboard(tmp_path):
    tf = pytest.importorskip("tensorflow")
    data = blobs()
    model = models.mlp(data.input_shape, data.classes, widths=(8,))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    monitor = SurfaceCallback(data.x_train[:50], str(tmp_path), every=2)
    model.fit(data.x_train, data.y_train, epochs=4, verbose=0, callbacks=[monitor])
    assert list(monitor.displays) == [0, 1, 2, 4]
    now = SurfaceDisplay.from_model(model, data.x_train[:50])
    np.testing.assert_array_equal(monitor.displays[4].surface, now.surface)
    assert not np.array_equal(monitor.displays[0].surface, now.surface)
    written = {}
    for file in tmp_path.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                written.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
    np.testing.assert_allclose(list(written["phi/soft_xor"].values()), list(monitor.scores().values()), rtol=1e-5)
    assert list(written["phi/surface"]) == [0, 1, 2, 4]
    model.fit(data.x_train, data.y_train, epochs=2, verbose=0, callbacks=[monitor])
    assert list(monitor.displays) == [0, 1, 2, 4, 6]
    with pytest.raises(ValueError, match="`every` must be a positive integer"):
        SurfaceCallback(data.x_train, every=0)


def test_a_monitor_does_not_end_the_training_of_a_model_that_diverges():
    model = models.mlp((4, 4, 1), 2, widths=(8,), normalization="none")
    model.compile(keras.optimizers.SGD(1e30), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.default_rng(0).normal(size=(40, 4, 4, 1)).astype("float32"), np.arange(40) % 2
    monitor = SurfaceCallback(x)
    with pytest.warns(UserWarning, match="phi after epoch [12] cannot be measured: .* not finite"):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor])
    assert 0 in monitor.displays and 2 not in monitor.displays
    with pytest.raises(ValueError, match="expected shape|incompatible|compatible"):  # mistakes show before training
        model.fit(x, y, epochs=1, verbose=0, callbacks=[SurfaceCallback(x[:, :2])])


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_twoarg\[plot\]'"):
        reports.plot_learning_curves(RUNS)


def test_widths_that_were_chosen_stand_in_rows_of_their_own():
    runs = [record(seed=1), record(seed=2), record(seed=1, widths=[64], accuracies=(0.2, 0.3, 0.4))]
    assert [row[0] for row in runs_table(runs).rows] == ["relu, widths 64", "relu, widths 8"]


def test_a_seed_that_was_run_twice_is_told():
    again = record(seed=1, seconds=7.0)
    assert "relu seed 1 (2 runs)" in runs_table([record(seed=1), again, record(seed=2)]).caption
    assert "more than once" not in runs_table([record(seed=1), record(seed=2)]).caption


def test_different_data_of_one_name_are_refused(tmp_path):
    for seed, (name, fingerprint) in enumerate((("a", "1111"), ("b", "2222"))):
        (tmp_path / name).mkdir()
        record(seed=seed).write(tmp_path / name / "joint.json")
        files.write_json(tmp_path / name / "run.json", {"dataset_fingerprint": fingerprint})
    with pytest.raises(ValueError, match="Different data have the name digits"):
        read_runs([tmp_path])
    assert len(read_runs([tmp_path / "a"])) == 1


def test_one_text_in_contexts_of_two_lengths_is_the_same_data(tmp_path):
    for context in (16, 32):
        folder = tmp_path / str(context)
        folder.mkdir()
        record(seed=1, settings={"context": context}).write(folder / "joint.json")
        files.write_json(folder / "run.json", {"dataset_fingerprint": f"1111-{context}"})
    assert [group.name for group in group_runs(read_runs([tmp_path]))] == ["relu, context 16", "relu, context 32"]


def test_the_page_says_which_settings_differ_and_overwrites_no_other(tmp_path):
    for arm in ("two_arg", "relu"):
        (tmp_path / "runs" / arm).mkdir(parents=True)
    record("two_arg", settings={"dropout": 0.5}, commit="a1").write(tmp_path / "runs" / "two_arg" / "joint.json")
    record("relu", settings={"dropout": 0.1}, commit="b2").write(tmp_path / "runs" / "relu" / "joint.json")
    page = write_report([tmp_path / "runs"], tmp_path / "out")
    assert "two_arg joint differs: dropout 0.5." in page.read_text() and "commit b2, a1" in page.read_text()
    write_report([tmp_path / "runs"], tmp_path / "out")  # its own
    page.write_text("<html>mine")
    with pytest.raises(ValueError, match=r"report\.html exists and is not a report"):
        write_report([tmp_path / "runs"], tmp_path / "out")
    assert page.read_text() == "<html>mine"
