"""Oracles: seeds draw apart, and a kill at any moment loses no trial."""

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
kt = pytest.importorskip("keras_tuner")
from keras_twoarg.experiments.tuning import oracles  # noqa: E402


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_neighbouring_seeds_draw_other_trials(tuner, tmp_path):
    drawn = []
    for seed in (100, 101, 102):
        oracle, space = oracles.make_oracle(tuner, 8, 1, seed=seed), kt.HyperParameters()
        space.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        oracle.update_space(space)
        oracle._set_project_dir(str(tmp_path / str(seed)), "search")
        drawn.append({oracle.create_trial(f"{n}").hyperparameters.values["learning_rate"] for n in range(8)})
    assert [len(values) for values in drawn] == [8, 8, 8] and len(set.union(*drawn)) == 24


def test_every_arm_has_as_many_guided_trials(tmp_path, monkeypatch):
    drawn = []
    random = kt.oracles.BayesianOptimizationOracle._random_populate_space
    monkeypatch.setattr(
        kt.oracles.BayesianOptimizationOracle, "_random_populate_space", lambda self: drawn.append(1) or random(self)
    )
    for dimensions in (2, 8):
        oracle, space = oracles.make_oracle("bayesian", 12, 1, seed=0), kt.HyperParameters()
        for n in range(dimensions):
            space.Float(f"rate_{n}", 0.0, 1.0)
        oracle.update_space(space)
        oracle._set_project_dir(str(tmp_path / str(dimensions)), "search")
        drawn.clear()
        for n in range(12):
            trial = oracle.create_trial("one")
            oracle.update_trial(trial.trial_id, {oracles.OBJECTIVE: n / 12})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        assert len(drawn) == oracles.RANDOM_TRIALS


def with_trials(tuner, folder, trials=8):
    oracle = oracles.make_oracle(tuner, trials, 1, seed=0)
    oracle.verbose = 0
    oracle._set_project_dir(str(folder), "relu")
    return oracle


def with_rates(tuner, folder):
    oracle = with_trials(tuner, folder)
    hp = kt.HyperParameters()
    hp.Choice("rate", [1, 2, 3])
    oracle.update_space(hp)
    return oracle


def killed(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("tuner", ["random", "grid"])
def test_a_kill_while_a_trial_is_begun_or_ended_loses_none(tuner, tmp_path):
    first = with_rates(tuner, tmp_path)
    first.finished = killed  # after KerasTuner has saved the end of the trial
    trial = first.create_trial("one")
    trial.status = "COMPLETED"
    first.update_trial(trial.trial_id, {oracles.OBJECTIVE: 0.5})
    with pytest.raises(KeyboardInterrupt):
        first.end_trial(trial)
    again = with_trials(tuner, tmp_path)
    again.reload()
    again.save = killed  # after KerasTuner has saved the begun trial, before it saves that it has begun
    with pytest.raises(KeyboardInterrupt):
        again.create_trial("one")
    assert len(list(tmp_path.glob("relu/trial_*/trial.json"))) == 2
    third = with_trials(tuner, tmp_path)
    third.reload()
    second = third.create_trial("one")
    assert (second.trial_id, second.status) == ("1", "RUNNING")
    assert second.hyperparameters.values != trial.hyperparameters.values


def test_a_trial_whose_file_is_gone_is_told(tmp_path):
    with_rates("random", tmp_path).create_trial("one")
    oracles.check_files(tmp_path / "relu")
    (tmp_path / "relu" / "trial_0" / "trial.json").unlink()
    with pytest.raises(ValueError, match="trial_0/trial.json is missing.*Restore the file, or move .* away"):
        oracles.check_files(tmp_path / "relu")


def with_a_corner(tuner, folder, trials=9, rates=True):
    oracle, hp = with_trials(tuner, folder, trials), kt.HyperParameters()
    hp.Choice("depth", [1, 2, 3])
    with hp.conditional_scope("depth", [2, 3]):
        hp.Choice("taper", [1.0, 0.5])
    if rates:
        hp.Float("rate", 1e-4, 1e-2, sampling="log")
    oracle.update_space(hp)
    return oracle


def searched(oracle, score, stop_before=None):
    """Run trials until the search ends, and return their values; a score of None is a failure."""
    while (trial := oracle.create_trial("one")).status == "RUNNING" and trial.trial_id != stop_before:
        value = score(**trial.hyperparameters.values)
        trial.status = "FAILED" if value is None else "COMPLETED"
        oracle.update_trial(trial.trial_id, {oracles.OBJECTIVE: value or 0.0})
        oracle.end_trial(trial)
    return [tuple(sorted(trial.hyperparameters.values.items())) for trial in oracles.sorted_trials(oracle.trials)]


def best_in_a_corner(depth, rate=0.0, **_):
    return 0.9 - 0.1 * depth + 10 * rate


def fails_in_the_corner(depth, rate, **_):
    return None if depth == 1 and rate > 5e-3 else best_in_a_corner(depth, rate)


@pytest.fixture
def few_random(monkeypatch):
    monkeypatch.setattr(oracles, "RANDOM_TRIALS", 3)


@pytest.mark.slow
@pytest.mark.parametrize("score", [best_in_a_corner, fails_in_the_corner])
def test_no_two_trials_of_a_bayesian_search_are_equal_resumed_or_not(score, few_random, tmp_path):
    whole = searched(with_a_corner("bayesian", tmp_path / "whole"), score)
    assert len(whole) == len(set(whole)) == 9
    searched(with_a_corner("bayesian", tmp_path), score, stop_before="6")
    again = with_trials("bayesian", tmp_path, trials=9)
    again.reload()
    assert searched(again, score) == whole
    assert max(score(**dict(values)) or 0 for values in whole) > 0.84  # at most 0.85, or 0.9 where it may be reached


@pytest.mark.parametrize("tuner", ["random", "bayesian", "grid"])
def test_a_search_ends_where_there_are_no_more_values(tuner, few_random, tmp_path):
    drawn = searched(with_a_corner(tuner, tmp_path, trials=20, rates=False), best_in_a_corner)
    assert len(drawn) == len(set(drawn)) == 5  # one layer, and two or three with two tapers


def test_hyperband_begins_no_values_twice(tmp_path):
    oracle = oracles.make_oracle("hyperband", 40, 9, seed=0)
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), "relu")
    oracle.update_space(with_a_corner("random", tmp_path).get_space())
    drawn = [dict(values) for values in searched(oracle, best_in_a_corner)]
    begun = [(values["depth"], values.get("taper"), values["rate"]) for values in drawn if not values["tuner/round"]]
    assert len(begun) == len(set(begun)) < len(drawn)
