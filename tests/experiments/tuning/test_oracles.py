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
