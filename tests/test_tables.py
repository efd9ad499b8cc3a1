"""The statistics behind the tables of documents, on records made by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("scipy")
from results.tables import pays, records, searches
from results.tables.records import accuracy, against, interval, verdict
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
    for module in (records, pays, searches):
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
    assert pays.minus(task, "relu", "relu", " steps") == "+0 (+0 to +0) steps"


def test_searches_are_compared_by_the_means_of_their_seeds(stored):
    planned = searches.Planned(FOLDER, (200, 201))
    for search, shift in (("200", 0.0), ("201", 0.02)):
        for seed in (1, 2):
            stored(record("relu", seed=seed, accuracies=(0.5, 0.7, 0.8), test_accuracy=0.8 + shift), search=search)
            stored(record("two_arg", seed=seed, accuracies=(0.7, 0.8, 0.9), test_accuracy=0.9), search=search)
    assert searches.means_of_searches(planned, "relu") == {200: pytest.approx(80), 201: pytest.approx(82)}
    reached, sooner = searches.sooner_than(planned, 200, "relu")
    assert reached == pytest.approx(0.8) and sooner.difference == 2 - 3
