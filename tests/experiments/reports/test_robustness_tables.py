"""Accuracy under corruptions and attacks, arm by arm."""

import keras
import numpy as np
import pytest

from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.reports import robustness_page
from keras_twoarg.experiments.reports.robustness_tables import robustness_table, single_table
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.utils import files
from tests.helpers import record

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("scipy")


def test_arms_are_compared_over_seeds(tmp_path):
    for arm, lift in (("two_arg", 0.1), ("relu", 0.0)):
        for seed in (0, 1, 2):
            folder = tmp_path / f"{arm}-{seed}"
            (folder / "joint-robustness").mkdir(parents=True)
            record(arm, seed=seed).write(folder / "joint.json")
            settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1}
            corrupted = dict.fromkeys(robustness.NAMES, [0.5 + lift + seed / 100] * 5)
            attacked = Robustness(settings, 0.9, corrupted, dict.fromkeys(robustness.AUTOATTACK, 0.2 + lift))
            if (arm, seed) == ("two_arg", 2):  # killed halfway: it must not count as if it were done
                corrupted.pop("fog"), attacked.attacked.pop("square")
            files.write_json(folder / "joint-robustness" / "robustness.json", vars(attacked))
    table = robustness_table(read_runs([tmp_path]).robustness)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["relu"]["robust"] == "20.0% ± 0.0" and rows["relu"]["two_arg minus it"] == "+10.0"
    assert rows["two_arg joint"]["robust"].endswith(", 2 of 3") and rows["two_arg joint"]["mCE"].endswith(", 2 of 3")
    assert rows["relu"]["mCE"].startswith("100.0%") and rows["two_arg joint"]["mCE"].startswith("79.8%")
    assert rows["relu"]["two_arg minus it, corrupted"].startswith("+10.0")


def test_networks_that_were_attacked_in_two_ways_are_compared_within_each(tmp_path):
    for arm, lift in (("two_arg", 0.1), ("relu", 0.0)):
        for seed in (0, 1):
            folder = tmp_path / f"{arm}-{seed}"
            folder.mkdir()
            record(arm, seed=seed).write(folder / "joint.json")
            for eps, robust in ((0.1, 0.2), (0.01, 0.7)):
                settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": eps}
                attacked = dict.fromkeys(robustness.AUTOATTACK, robust + lift)
                measured = vars(Robustness(settings, 0.9, {}, attacked))
                (folder / f"eps-{eps}").mkdir()
                files.write_json(folder / f"eps-{eps}" / "robustness.json", measured)
    table = robustness_table(read_runs([tmp_path]).robustness)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert len(rows) == 4 and rows["relu, Linf 0.1, 10 images"]["robust"] == "20.0% ± 0.0"
    for label in ("Linf 0.1", "Linf 0.01"):
        assert rows[f"relu, {label}, 10 images"]["two_arg minus it"].startswith("+10.0")


def test_a_reference_in_a_runs_folder_is_not_taken_for_its_network(tmp_path):
    def write(name, model, clean):
        settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1, "model": model}
        (tmp_path / name).mkdir()
        files.write_json(tmp_path / name / "robustness.json", vars(Robustness(settings, clean)))

    record("two_arg").write(tmp_path / "joint.json")
    write("model", "11", 0.9), write("reference", "22", 0.8)  # as `twoarg robustness --reference` does
    assert [measured.clean for _, measured in read_runs([tmp_path]).robustness] == [0.9]
    write("joint-robustness", "11", 0.9)
    assert len(read_runs([tmp_path]).robustness) == 2
    write("mine", "33", 0.7)
    with pytest.raises(ValueError, match="mine/robustness.json .*different networks.* Move the folder"):
        read_runs([tmp_path])


def test_the_runs_that_others_are_compared_with_are_named_if_there_are_several():
    def measured(arm, stage="joint", seed=0, **settings):
        attacked = dict.fromkeys(robustness.AUTOATTACK, 0.3)
        corrupted = dict.fromkeys(robustness.NAMES, [0.5] * 5)
        alike = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1}
        return record(arm, stage, seed, settings=settings), Robustness(alike, 0.9, corrupted, attacked)

    one = [measured("two_arg"), measured("relu")]
    assert "Compared with each arm" not in robustness_table(one).caption
    frozen = robustness_table([*one, measured("two_arg", "frozen")])
    assert frozen.caption.endswith(" Compared with each arm: two_arg joint.")
    starts = [measured("two_arg", phi_init=start) for start in ("random", "product")]
    both = robustness_table([*starts, measured("relu"), measured("relu", dropout=0.2)])
    assert both.caption.endswith(" Compared with each arm: two_arg joint, phi init product; relu, dropout 0.2.")


def test_a_corruption_without_errors_leaves_the_other_figures():
    settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1}
    corrupted = dict.fromkeys(robustness.NAMES, [0.5] * 5)
    own, relu = Robustness(settings, 0.9, corrupted), Robustness(settings, 1.0, {**corrupted, "brightness": [1.0] * 5})
    table = robustness_table([(record("two_arg"), own), (record("relu"), relu)])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["corrupted"] == "50.0%" and row["mCE"] == row["relative mCE"] == "-" and row["relative drop"] == "85.7%"
    assert "no mCE if relu makes no error under a corruption (brightness)." in table.caption
    (alone,) = single_table(own, relu)
    cells = {row[0]: row[-2:] for row in alone.rows}
    assert cells["brightness"] == cells["all"] == ("-", "-") and cells["fog"] == ("100.0%", "80.0%")
    assert "makes no error under brightness: no CE or mCE." in alone.caption


@pytest.mark.parametrize("published", [True, False])
def test_a_page_shows_how_images_were_corrupted_unless_that_was_done_elsewhere(published, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    made = []
    original = robustness_page.corrupt
    monkeypatch.setattr(robustness_page, "corrupt", lambda *args: made.append(args[1]) or original(*args))
    settings = {"model": "11", "data": "cifar10", "points": 10, "p_norm": "Linf", "eps": 0.1, "seed": 0}
    settings |= {"corrupted": "cifar10_corrupted"} if published else {}
    measured = Robustness(settings, 0.9, {"brightness": [0.5] * 5})
    pixels = np.zeros((10, 32, 32, 3), "uint8")
    page = robustness_page.write_robustness_report(measured, None, tmp_path, pixels).read_text()
    assert "50.0%" in page and len(made) == ("What the corruptions look like" in page) * 5 == (not published) * 5


def _settings(**changes):
    return {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1, "bounds": [-1.0, 1.0], "seed": 0, **changes}


def test_attacks_and_corruptions_of_one_network_that_were_measured_apart_share_a_row():
    whole, part = dict.fromkeys(robustness.AUTOATTACK, 0.3), {"clean": 0.9, "apgd-ce": 0.4, "square": 0.2}
    corrupted = dict.fromkeys(robustness.NAMES, [0.5] * 5)
    halves = Robustness(_settings(model="11"), 0.9, {}, whole), Robustness(_settings(model="11"), 0.9, corrupted, part)
    for apart in (halves, halves[::-1]):
        table = robustness_table([(record("relu"), measured) for measured in apart])
        (row,) = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
        assert (row["seeds"], row["robust"], row["corrupted"]) == ("1", "30.0%", "50.0%")  # square followed nothing
    another = Robustness(_settings(model="22"), 0.8, corrupted)
    table = robustness_table([(record("relu"), halves[0]), (record("relu"), another)])
    assert table.rows[0][2:4] == ("80.0%", "-")  # of another network of that seed: the last one counts


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"seed": 1}, "images of seed 1"),
        ({"bounds": [0.0, 1.0]}, "bounds 0 and 1"),
        ({"corrupted": "cifar10_corrupted"}, "published corruptions"),
        ({"data": "letters"}, "on letters"),
    ],
)
def test_measurements_of_different_images_are_not_compared(changes, label):
    corrupted, attacked = dict.fromkeys(robustness.NAMES, [0.5] * 5), dict.fromkeys(robustness.AUTOATTACK, 0.3)
    measured = [
        (record(arm, seed=seed), Robustness(_settings(**other), 0.9, corrupted, attacked))
        for arm, other in (("two_arg", changes), ("relu", {}))
        for seed in (0, 1)
    ]
    table = robustness_table(measured)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert f"two_arg joint, {label}" in rows and len(rows) == 2
    (relu,) = (row for name, row in rows.items() if name.startswith("relu"))
    assert relu["two_arg minus it"] == relu["two_arg minus it, corrupted"] == "" and relu["mCE"] == "100.0% ± 0.0"


def test_corruptions_that_the_reference_lacks_have_no_ce():
    own = Robustness(_settings(), 0.9, {"brightness": [0.5] * 5, "contrast": [0.7] * 5})
    (table,) = single_table(own, Robustness(_settings(), 0.9, {"brightness": [0.5] * 5, "fog": [0.1] * 5}))
    assert [row[-3:] for row in table.rows] == [
        ("50.0%", "100.0%", "100.0%"),
        ("70.0%", "-", "-"),
        ("60.0%", "100.0%", "100.0%"),
    ]
    assert "not measured under contrast: mCE and relative mCE are of the others." in table.caption
