"""KerasTuner's oracles, changed so that no finished trial is lost and every search ends.

Problems of KerasTuner 1.4.8: it writes its state in place, so a kill or a full disk leaves a partial file and an
unusable folder; `GridSearch` cannot resume; three failed trials in a row end a search; a worker that dies keeps its
trial forever; and `BayesianOptimization` repeats trials.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from keras_twoarg.experiments.settings import TUNERS
from keras_twoarg.experiments.tuning import keras_tuner_internals as internals
from keras_twoarg.experiments.tuning.keras_tuner_internals import keras_tuner as kt
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.files import write_whole
from keras_twoarg.utils.types import Config

OBJECTIVE = "val_accuracy"
RANDOM_TRIALS = 10
"""Random trials with which a Bayesian search begins, for every arm.

KerasTuner's default is three times the number of hyperparameters: an arm with a phi, which has more of them, would
have fewer trials that are guided by the earlier ones.
"""

Trial: TypeAlias = kt.engine.trial.Trial


class _Durable(kt.Oracle):
    """A mixin for all oracles, to precede the oracle among the base classes."""

    finished: Callable[[Trial], None] | None = None  # called with each trial that has ended
    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]

    def save(self) -> None:
        """Write the state atomically."""
        _write(Path(internals.oracle_file(self)), self.get_state())

    def reload(self) -> None:
        """Read the state; what has ended is not run again.

        KerasTuner saves a trial's end while it still counts as running, and the file of a new trial before the state.
        """
        super().reload()
        queue = internals.retry_queue(self)
        queue[:] = [trial_id for trial_id in queue if trial_id not in self.end_order]
        self.trials = {t.trial_id: t for t in sorted_trials(self.trials) if t.trial_id in self.start_order}

    def _save_trial(self, trial: Trial) -> None:
        _write(Path(internals.trial_folder(self, trial.trial_id)) / "trial.json", trial.get_state())

    def create_trial(self, tuner_id: str) -> Trial:
        """Return a worker's next trial, and record its sign of life."""
        self.last_heard()[tuner_id] = time.monotonic()
        trial = super().create_trial(tuner_id)
        if trial.status == internals.STATUS.STOPPED and self.ongoing_trials:
            trial.status = internals.STATUS.IDLE  # it is needed if another worker is lost
            self.tuner_ids.add(tuner_id)
        return trial

    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial; workers ask for theirs after every epoch, as a sign of life."""
        for tuner_id, trial in list(self.ongoing_trials.items()):
            if trial.trial_id == trial_id:
                self.last_heard()[tuner_id] = time.monotonic()
        return super().get_trial(trial_id)

    def end_trial(self, trial: Trial) -> None:
        """End a trial, and call `finished`."""
        waiting = trial.trial_id in internals.retry_queue(self)
        if not waiting and trial.trial_id not in {t.trial_id for t in self.ongoing_trials.values()}:
            return  # from a lost worker whose trial another one has done
        if waiting:  # from a worker that continued while the chief restarted
            internals.retry_queue(self).remove(trial.trial_id)
        super().end_trial(trial)
        if self.finished is not None:
            self.finished(self.trials[trial.trial_id])

    def last_heard(self) -> dict[str, float]:
        """Return the time of each worker's last sign of life."""
        return self.__dict__.setdefault("_last_heard", {})

    @kt.synchronized
    def give_up(self, trial_id: str, reason: str) -> None:
        """Mark a trial that waits to be retried as failed."""
        trial = self.trials[trial_id]
        trial.status, trial.message = "FAILED", reason
        queue = internals.retry_queue(self)
        queue[:] = [queued for queued in queue if queued != trial_id]
        self.end_order.append(trial_id)
        self._save_trial(trial)
        self.save()

    @kt.synchronized
    def drop_silent(self, seconds: float) -> list[str]:
        """Release the trials of workers that have been silent for so long, and return the workers' names.

        A trial that loses two workers fails.
        """
        now, heard = time.monotonic(), self.last_heard()
        silent = [t for t in self.tuner_ids if now - heard.get(t, now) > seconds]
        for tuner_id in silent:
            if (trial := self.ongoing_trials.pop(tuner_id, None)) is not None:
                lost = self.__dict__.setdefault("_lost", Counter())
                lost[trial.trial_id] += 1
                if lost[trial.trial_id] > 1:
                    self.give_up(trial.trial_id, "Two workers were lost while they ran it (out of memory?)")
                else:
                    internals.retry_queue(self).append(trial.trial_id)
            self.tuner_ids.discard(tuner_id)
        if silent:
            self.save()
        return silent


class RandomSearch(_Durable, kt.oracles.RandomSearchOracle):
    """Random values, none twice."""


class BayesianOptimization(_Durable, kt.oracles.BayesianOptimizationOracle):
    """Random values at first, then those for which a Gaussian process predicts the best score; none twice."""

    def populate_space(self, trial_id: str) -> Config:
        """Return the values of the next trial: the best ones that are new, or new random ones."""
        if sum(trial.status == internals.STATUS.COMPLETED for trial in self.trials.values()) >= RANDOM_TRIALS:
            for values in internals.guided_values(self):
                if internals.is_new(self, values):
                    return {"status": internals.STATUS.RUNNING, "values": values}
        return internals.random_values(self)


class Hyperband(_Durable, kt.oracles.HyperbandOracle):
    """Many short trials, of which the best continue."""

    def give_up(self, trial_id: str, reason: str) -> None:
        """Mark a trial as failed, with the worst score, so that its bracket can continue."""
        self.trials[trial_id].score = 0.0
        super().give_up(trial_id, reason)


class GridSearch(_Durable, kt.oracles.GridSearchOracle):
    """All values in order, with resumption after a stop."""

    ending: str | None = None

    def end_trial(self, trial: Trial) -> None:
        """End a trial, and save the position in the grid."""
        self.ending = trial.trial_id
        super().end_trial(trial)
        self.ending = None
        self.save()

    def get_state(self) -> Config:
        """Return the state, including the order of the grid."""
        grid = internals.grid_order(self)
        if self.ending in self.end_order:  # KerasTuner saves this state before it continues the grid after the trial
            grid["next"].append(self.ending)
        return {**super().get_state(), "grid": grid}

    def set_state(self, state: Config) -> None:
        """Restore the order of the grid."""
        super().set_state(state)
        internals.restore_grid_order(self, state["grid"])


def make_oracle(tuner: str, trials: int, epochs: int, seed: int) -> _Durable:
    """Return an oracle that maximizes validation accuracy.

    Args:
        tuner: One of `TUNERS`.
        trials: Number of trials. Hyperband may end sooner, and so do others that find no more new values.
        epochs: Epochs of a trial; for Hyperband, of the longest.
        seed: Seed. The same seed gives the same trials, unless there are several workers.
    """
    common: Config = {
        "objective": kt.Objective(OBJECTIVE, "max"),
        # KerasTuner counts up from its seed, so neighbouring seeds would draw the same trials, and takes 0 for no seed.
        "seed": 1 + int(np.random.SeedSequence(seed).generate_state(1)[0]) // 4,
        "max_consecutive_failed_trials": 10**9,  # failed trials count, but do not end the search
    }
    if tuner == "hyperband":
        oracle = Hyperband(max_epochs=epochs, **common)
        oracle.max_trials = trials
        return oracle
    if tuner == "bayesian":
        return BayesianOptimization(max_trials=trials, num_initial_points=RANDOM_TRIALS, **common)
    makers = {"random": RandomSearch, "grid": GridSearch}
    return makers[one_of("tuner", tuner, TUNERS)](max_trials=trials, **common)


def check_files(folder: Path) -> None:
    """Raise a ValueError that names the first damaged or missing state file below a folder."""
    states = {}
    for file in sorted([*folder.glob("oracle.json"), *folder.glob("tuner*.json"), *folder.glob("trial_*/trial.json")]):
        try:
            states[file] = json.loads(file.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is damaged: {error}. {_remedy(folder)}") from error
    for trial_id in states.get(folder / "oracle.json", {}).get("start_order", []):
        if (file := folder / f"trial_{trial_id}" / "trial.json") not in states:
            raise ValueError(f"{file} is missing. {_remedy(folder)}")


def _remedy(folder: Path) -> str:
    return (
        f"The results of finished trials in {folder / 'trials.json'} are not affected. Restore the file, or move "
        f"{folder} away to restart the search"
    )


def sorted_trials(trials: Mapping[str, Trial]) -> Sequence[Trial]:
    """Return trials in the order in which they began."""
    return sorted(trials.values(), key=lambda trial: int(trial.trial_id))


def _write(file: Path, state: object) -> None:
    text = json.dumps(state)
    write_whole(file, lambda opened: opened.write(text.encode()))
