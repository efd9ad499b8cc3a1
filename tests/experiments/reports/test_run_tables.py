"""The tables that compare arms, and how records are read and grouped for them."""

import io

import pytest
from rich.console import Console

from keras_twoarg.experiments.reports.run_groups import common_threshold, group_runs
from keras_twoarg.experiments.reports.run_tables import fairness_table, paired_table, runs_table
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.utils import files
from tests.helpers import RUNS, record


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
    assert "<td class='flag'>! 1,006 (+0.60%)</td>" in table.html()


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


def test_runs_on_subsets_of_one_file_are_rows_of_their_own():
    names = ["mnist.npz", "mnist.npz, 1,000 training images", "mnist.npz, 10,000 training images"]
    runs = [record(arm, seed=s, dataset=name) for arm in ("two_arg", "relu") for name in names for s in (1, 2)]
    table = runs_table(runs)
    assert [row[0] for row in table.rows if row[0].startswith("relu")] == [f"relu, {name}" for name in names]
    assert "more than once" not in table.caption
    assert {row[0] for row in paired_table(runs).rows} == {f"relu, {name}" for name in names}


@pytest.mark.parametrize("arm", ["relu", "swiglu", "one_arg", "two_arg"])
@pytest.mark.parametrize(
    ("name", "values", "arms"),
    [
        ("pairing", ("adjacent", "halves"), ("swiglu", "two_arg")),
        ("arguments", ("separate", "mixed"), ("swiglu", "two_arg")),
        ("phi_learning_rate", (None, 1e-3), ("one_arg", "two_arg")),
        ("phi_without_decay", (False, True), ("one_arg", "two_arg")),
        ("table_resolution", (None, 33), ("one_arg", "two_arg")),
    ],
)
def test_runs_are_told_apart_by_the_settings_that_their_arm_uses(arm, name, values, arms):
    runs = [record(arm, seed=s, settings={name: value}) for s, value in enumerate(values)]
    assert len(group_runs(runs)) == (2 if arm in arms else 1)


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


def test_seeds_that_differ_by_the_same_show_no_certainty():
    runs = [
        record(arm, seed=s, accuracies=(0.5, accuracy - worse))
        for arm, worse in (("two_arg", 0.0), ("relu", 0.01))
        for s, accuracy in enumerate((0.9712, 0.9623, 0.9811))
    ]
    rows = {row[1]: row[2:] for row in paired_table(runs).rows}
    assert rows["test accuracy"] == ("+1.00", "-", "0.250", "-", "3")


def test_runs_that_failed_stay_in_the_table():
    diverged = record(status="diverged", test_accuracy=None, best_epoch=None, accuracies=(0.1,), seed=3)
    table = runs_table([*RUNS, diverged])
    assert table.rows[2][1:] == ("2", "74.67%", "94.00% ± 2.83", "3")
    assert "Counted as seeds but in no figure: relu joint seed 3 (diverged)." in table.caption
    alone = runs_table([RUNS[2], record(status="failed", test_accuracy=None, epochs=[])])
    assert alone.rows[1] == ("relu", "-", "-", "-", "1")


def test_a_run_that_was_tested_counts_although_it_diverged_later():
    def unstable(seed, accuracies, **changes):
        return record("swiglu", seed=seed, accuracies=accuracies, **changes)

    lost = unstable(3, (0.2, 0.36), status="diverged", best_epoch=2)
    runs = [record("two_arg", seed=s, accuracies=(0.5, 0.7 + s / 100)) for s in (1, 2, 3)]
    runs += [unstable(1, (0.5, 0.7)), unstable(2, (0.5, 0.69)), lost]
    table = runs_table(runs)
    row = dict(zip(table.columns, table.rows[1], strict=True))
    assert row["test accuracy"] == "58.33% ± 19.35" and row["to 60%"] == "1 never" and row["curve"] == "59.75%"
    assert "Diverged, and counted" in table.caption and "swiglu joint seed 3 (diverged)." in table.caption
    seeds = {row[1]: row[-1] for row in paired_table(runs).rows}
    assert seeds == {"test accuracy": "3", "curve": "2"}


def test_threshold_is_one_that_every_run_reached():
    assert common_threshold(RUNS) == 0.9
    assert common_threshold([record(accuracies=(0.1,))]) == 0.3


def test_reading_filters_by_seed_and_names_empty_folders(tmp_path):
    for i, run in enumerate(RUNS):
        (tmp_path / str(i)).mkdir()
        run.write(tmp_path / str(i) / f"{run.stage}.json")
    assert len(read_runs([tmp_path]).records) == 4
    assert [r.seed for r in read_runs([tmp_path], seed=2).records] == [2]
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
        ("absent", "task earlier"),  # records were written before there was one
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
    assert len(read_runs([tmp_path / "a"]).records) == 1


def test_one_text_in_contexts_of_two_lengths_is_the_same_data(tmp_path):
    for context in (16, 32):
        folder = tmp_path / str(context)
        folder.mkdir()
        record(seed=1, settings={"context": context}).write(folder / "joint.json")
        files.write_json(folder / "run.json", {"dataset_fingerprint": f"1111-{context}"})
    names = [group.name for group in group_runs(read_runs([tmp_path]).records)]
    assert names == ["relu, context 16", "relu, context 32"]
