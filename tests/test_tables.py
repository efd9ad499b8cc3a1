"""The statistics behind the tables of documents, on records made by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("scipy")
from results.tables import answers, cell, long, pays, records, searches
from results.tables.records import accuracy, against, interval, times, verdict
from tests.helpers import record

FOLDER = "results/by-hand"


@pytest.fixture
def stored(monkeypatch):
    """Return a function that puts records where tables find them, each in the folder of its search if it has one."""

    def store(*made, search=""):
        runs = tuple(
            SimpleNamespace(record=one, location=Path(FOLDER) / search / f"{one.arm}-{one.seed}") for one in made
        )
        everything.extend(runs)

    everything = []
    for module in (records, pays, searches, long):
        monkeypatch.setattr(module, "stored", lambda folder: tuple(everything))
    return store


def test_arms_are_paired_by_seed_and_only_where_both_have_it():
    comparison = against({3: 1.0, 1: 5.0, 2: 7.0}, {1: 4.0, 2: 5.0, 3: 2.0, 4: 100.0})
    assert comparison.number == 3 and comparison.difference == pytest.approx((1 + 2 - 1) / 3)


def test_verdicts_follow_the_side_of_zero_on_which_the_interval_lies():
    above, below = ({seed: sign * (1 + seed / 10) for seed in range(5)} for sign in (1, -1))
    zero = dict.fromkeys(above, 0.0)
    around = {seed: (-1) ** seed for seed in above}
    assert [verdict(against(one, zero)) for one in (above, below, around)] == ["holds", "does not hold", "not shown"]
    assert [verdict(against(one, zero), -1) for one in (above, below)] == ["does not hold", "holds"]
    two_seeds = against({1: 1.0, 2: 1.0}, {1: 0.0, 2: 0.0})
    assert verdict(two_seeds) == "not shown" and interval(two_seeds) == "+1.00"


def test_seeds_that_all_differ_by_the_same_have_no_interval():
    same = against({1: 97.1, 2: 97.3, 3: 96.9}, {1: 96.1, 2: 96.3, 3: 95.9})
    assert verdict(same) == "not shown" and interval(same) == "+1.00"


def test_ratios_are_compared_by_their_logarithms():
    one = dict.fromkeys((1, 2, 3), 0.0)
    doubled = against({1: np.log(2), 2: np.log(4), 3: np.log(1)}, one)
    assert times(doubled) == "2.00 times (0.36 to 11.19)"
    assert times(against({1: np.log(2), 2: np.log(2.2), 3: np.log(1.8)}, one)).startswith("**1.99 times (1.")


def test_seconds_are_compared_as_ratios(stored):
    for seed, slower in ((1, 2.0), (2, 4.0), (3, 1.0)):
        two_arg, relu = (record(arm, seed=seed, accuracies=(0.5, 0.7, 0.9)) for arm in ("two_arg", "relu"))
        for epoch, other in zip(two_arg.epochs, relu.epochs, strict=True):
            epoch["seconds"], other["seconds"] = 3 * slower, 3.0
        stored(two_arg, relu)
    assert np.exp(long.relative_seconds("relu", FOLDER).difference) == pytest.approx(2)


def test_a_run_that_was_not_tested_cannot_be_left_out_unseen():
    assert accuracy([record(seed=1), record(seed=2)]) == {1: pytest.approx(96), 2: pytest.approx(96)}
    for wrong in ([record(seed=1), record(seed=2, test_accuracy=None)], [record(seed=1), record(seed=1)]):
        with pytest.raises(ValueError, match="one tested run for each seed"):
            accuracy(wrong)


def test_the_best_fixed_unit_is_that_of_validation_among_those_with_most_seeds(stored):
    task = pays.Task("by hand", FOLDER, "accuracy")
    for seed in (1, 2):
        stored(record("relu", seed=seed, accuracies=(0.5, 0.8), test_accuracy=0.99))
        stored(record("gelu", seed=seed, accuracies=(0.9, 0.7), test_accuracy=0.10))
        stored(record("two_arg", seed=seed, accuracies=(1.0, 1.0)))
    stored(record("swiglu", seed=1, accuracies=(0.99, 0.99)))
    assert pays.best_fixed(task) == "gelu"


def test_steps_to_a_solution_that_never_comes_are_a_lower_bound(stored):
    task = pays.Task("by hand", FOLDER, "steps")
    settings = {"batch_size": 80}
    for seed in (1, 2, 3):
        stored(record("relu", seed=seed, accuracies=(1.0, 1.0, 1.0, 1.0), settings=settings))
        two_arg = (0.5, 0.5, 0.5, 1.0 if seed == 1 else 0.5)
        stored(record("two_arg", seed=seed, accuracies=two_arg, settings=settings))
        stored(record("one_arg", seed=seed, accuracies=(0.5, 0.5, 0.5, 0.5), settings=settings))
    assert pays.minus(task, "two_arg", "relu", " steps") == "at least +3 steps; 1 of 3 solve it, relu 3"
    assert pays.minus(task, "two_arg", "one_arg") == "1 of 3 solve it, one_arg 0"
    assert pays.minus(task, "relu", "relu", " steps") == "+0 steps"


def test_searches_are_compared_by_the_means_of_their_seeds(stored):
    planned = searches.Planned(FOLDER, (200, 201))
    for search, shift in (("200", 0.0), ("201", 0.02)):
        for seed in (1, 2):
            stored(record("relu", seed=seed, accuracies=(0.5, 0.7, 0.8), test_accuracy=0.8 + shift), search=search)
            stored(record("two_arg", seed=seed, accuracies=(0.7, 0.8, 0.9), test_accuracy=0.9), search=search)
    assert searches.means_of_searches(planned, "relu") == {200: pytest.approx(80), 201: pytest.approx(82)}
    reached, sooner = searches.sooner_than(planned, 200, "relu")
    assert reached == pytest.approx(0.8) and sooner.difference == 2 - 3


def test_epochs_of_searches_are_compared_by_the_means_of_their_seeds(stored):
    """Two searches give two differences, however many seeds each has; a run that never gets there counts whole."""
    planned = searches.Planned(FOLDER, (200, 201))
    for seed in (1, 2):
        for search in ("200", "201"):
            stored(record("relu", seed=seed, accuracies=(0.5, 0.7, 0.8)), search=search)
        stored(record("two_arg", seed=seed, accuracies=(0.7, 0.8, 0.9)), search="200")
    stored(record("two_arg", seed=1, accuracies=(0.9, 0.9, 0.9)), search="201")
    stored(record("two_arg", seed=2, accuracies=(0.7, 0.7, 0.75)), search="201")
    two_arg, relu = searches.epochs_of_searches(planned, "relu")
    assert two_arg == {200: 2, 201: (1 + 3) / 2} and relu == {200: 3, 201: 3}
    assert against(two_arg, relu).number == 2


def test_a_trial_that_a_search_repeats_counts_once(monkeypatch):
    def trial(rate, arm="relu", search=200, score=0.9):
        return {"search": search, "arm": arm, "score": score, "hyperparameters": {"learning_rate": rate, "depth": 1}}

    made = [trial(0.01), trial(0.01), trial(0.01, score=0.8), trial(0.02)]
    made += [trial(0.03, "two_arg"), trial(0.04, search=201)]
    monkeypatch.setattr(searches, "trials", lambda folder: made)
    assert searches.number_of_distinct(searches.Planned(FOLDER, (200,)), 200, "relu") == 2


def test_the_last_searches_that_have_an_arm_decide(monkeypatch):
    old, new = searches.Planned("old", (200,)), searches.Planned("new", (300,), ("two_arg", "relu"))
    monkeypatch.setattr(searches, "AGAIN", {"MNIST": old, "Fashion-MNIST": old})
    monkeypatch.setattr(searches, "UNREPEATED", {"MNIST": new})
    decides = {(data, arm): planned.folder for data, planned, arm in searches.deciding()}
    assert decides.pop(("MNIST", "relu")) == "new"
    assert set(decides) == {("MNIST", "one_arg"), ("MNIST", "swiglu"), *(("Fashion-MNIST", a) for a in old.arms[1:])}
    assert set(decides.values()) == {"old"}


def test_searches_that_repeat_no_trial_have_forty():
    for planned in searches.UNREPEATED.values():
        numbers = {searches.number_of_distinct(planned, seed, arm) for seed in planned.seeds for arm in planned.arms}
        assert numbers == {40}


def test_the_best_fixed_unit_beside_mixed_arguments_may_be_one_of_the_first_plan(monkeypatch):
    losses = {(cell.CELL_MIXED, "glu"): 2.0, **{(pays.CELL, arm): 3.0 for arm in answers.FIRST_UNITS}}
    monkeypatch.setattr(pays, "best_fixed", lambda task: "glu")
    monkeypatch.setattr(pays, "mean", lambda task, arm, measure: losses[task, arm])
    assert answers._best_fixed_beside_mixed() == (cell.CELL_MIXED, "glu")
    losses[pays.CELL, "gru"] = 1.9
    assert answers._best_fixed_beside_mixed() == (pays.CELL, "gru")


def test_the_cause_of_stalls_is_counted_over_the_seeds_that_both_starts_have(monkeypatch):
    reached = {"small": {1: 0.1, 2: 0.4, 3: 0.1}, "small-zero-biases": {1: 0.11, 2: 0.12}}
    monkeypatch.setattr(answers, "_accuracies", lambda: reached)
    word, counts = answers._cause_of_stalls()
    assert word == "begun"
    assert counts.startswith("small stalled in 1 of 2 shared seeds, small without biases in 2; the plan expected the")
