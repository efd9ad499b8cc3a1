"""A search for the best hyperparameters of each arm, with the same budget for each."""

import errno
import io
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import keras

from keras_twoarg import models
from keras_twoarg.experiments.settings import SearchSettings, check_settings, from_flat
from keras_twoarg.experiments.training import datasets, networks
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.experiments.training.stages import in_todays_words
from keras_twoarg.experiments.tuning.hypermodel import SPACE, OuterHyperModel, check_configuration, checked_space
from keras_twoarg.experiments.tuning.keras_tuner_internals import keras_tuner as kt
from keras_twoarg.experiments.tuning.oracles import OBJECTIVE, Trial, check_files, make_oracle, sorted_trials
from keras_twoarg.utils import files, subprocesses, versions
from keras_twoarg.utils.allocator import keep_freed_memory
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import Config, JsonObject, Model

OnTrial = Callable[[JsonObject], None]
PAUSE = 1.0
"""Seconds until a worker that has nothing to do asks again."""
_NOT_SEARCHED = ("epochs", "frozen_epochs", "seed")
_SEARCHED = ("arm", "equal_width", "frozen_epochs", *(set(SPACE) - {"depth", "taper"}))


@dataclass(frozen=True)
class Search(SearchSettings):
    """The settings of a search, the same for every arm. Each field declares its help and its limits.

    Attributes:
        space: Choices that replace those of `hypermodel.SPACE`.
        configuration: The settings that are not searched: architecture, epochs of each trial (10 by default; for
            Hyperband, of the longest, and shorter trials run the beginning of its schedule), seed and others. Its
            `widths` are those of the two-argument network to which all others are matched; by default the paper's.

    Raises:
        ValueError: If a field, the configuration or a choice of the space has an invalid value.
    """

    space: JsonObject | None = None
    configuration: Configuration = field(default_factory=lambda: Configuration(epochs=10, frozen_epochs=0))

    def __post_init__(self) -> None:
        check_settings(self)
        if len(set(self.arms)) != len(self.arms):
            raise ValueError(f"`arms` must name at least one arm, and each once. Received: {list(self.arms)}")
        for arm in self.arms:
            models.check_arm(arm)
        checked_space(self.space or {}, self.configuration)
        check_configuration(self.configuration)

    def to_dict(self) -> Config:
        """Return all settings in one flat dictionary, without those that a search chooses."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "configuration"}
        return {**own, **self.configuration.to_dict(*_SEARCHED)}

    def load(self, data_dir: str | None = None) -> datasets.Dataset:
        """Load the data, and draw the subset."""
        dataset = datasets.load(self.data, data_dir=data_dir)
        networks.check_data(self.configuration, dataset)
        datasets.require_classification(dataset, "A search")
        return datasets.subset(dataset, self.subset) if self.subset else dataset

    def hypermodel(self, arm: str, dataset: datasets.Dataset) -> OuterHyperModel:
        """Return an arm's hypermodel, with as many parameters as the two-argument network."""
        shape, classes, chosen = dataset.input_shape, dataset.classes, self.configuration
        reference = networks.reference_network(replace(chosen, arm="two_arg"), shape, classes)
        return OuterHyperModel(
            arm,
            shape,
            classes,
            int(reference.count_params()),
            space=self.space,
            samples=len(dataset.x_train) - datasets.validation_images(dataset),
            configuration=chosen,
        )


def search_of(settings: JsonObject, what: str = "The search") -> Search:
    """Build a search from a flat dictionary of its settings.

    Raises:
        ValueError: If a name is unknown or missing, or a value is invalid.
    """
    for name in _SEARCHED:
        if name in settings:
            raise ValueError(f"{what} sets `{name}`, which a search chooses: give choices for it in `space`")
    return from_flat(Search, settings, what)


def tune(
    search: Search,
    out: Path,
    progress: Progress,
    *,
    on_trial: OnTrial = lambda row: None,
    data_dir: str | None = None,
) -> dict[str, list[JsonObject]]:
    """Search each arm in turn, each in its own process, and resume or extend an earlier call.

    With more trials than before, the search continues where it ended, with the trials that it would have run with so
    many from the start. A search that finds no new configuration ends with fewer trials.

    Args:
        search: What to search.
        out: Folder: `search.json`, one folder for each arm, and `best-ARM.json` for `twoarg train --hparams`.
        progress: Called with an arm and trial, the epochs done, the total and a note.
        on_trial: Called with the row of each trial that has ended.
        data_dir: Folder of prepared TensorFlow Datasets.

    Returns:
        The trials of each arm, as rows of `trials.json`.

    Raises:
        ValueError: If the data cannot be loaded, an arm is unknown, the folder belongs to another search or one of more
            trials, or a file in it is damaged.
        RuntimeError: If all trials failed, or a search could not continue.
    """
    dataset = search.load(data_dir)
    check(search, dataset)
    with search_folder(search, out, dataset):
        trials = {arm: _search_arm(search, arm, out, progress, on_trial, data_dir) for arm in search.arms}
    if failed := [arm for arm, rows in trials.items() if not any(row["status"] == "COMPLETED" for row in rows)]:
        last = trials[failed[0]][-1]["message"] if trials[failed[0]] else "no trial was begun"
        raise RuntimeError(f"No trial of {', '.join(failed)} worked. The last one: {last}")
    return trials


def check(search: Search, dataset: datasets.Dataset) -> None:
    """Raise a ValueError for mistakes that would otherwise show after hours."""
    for arm in search.arms:
        hypermodel = search.hypermodel(arm, dataset)
        hypermodel.check()
        hypermodel.build(kt.HyperParameters())


def search_folder(search: Search, out: Path, dataset: datasets.Dataset) -> AbstractContextManager[None]:
    """Create or check the folder of a search, and lock it; more trials than before extend the search."""
    held_out = {"held_out_fingerprint": dataset.held_out_fingerprint}  # which older folders lack
    settings = {**search.to_dict(), "fingerprint": dataset.fingerprint, **held_out}
    del settings["arms"]  # these may change between calls
    defaults = {**Search(search.data, search.arms).to_dict(), **held_out}
    return result_folder(out, settings, "search.json", defaults=defaults, extends=partial(_extends, out))


def _extends(out: Path, there: JsonObject, here: JsonObject) -> bool:
    """Return whether a search is a folder's with more trials.

    Raises:
        ValueError: If only the number of trials differs, but they cannot be added.
    """
    before, now = there.get("trials"), here["trials"]
    if {**there, "trials": now} != here or not isinstance(before, int):
        return False
    if here["tuner"] == "hyperband":
        raise ValueError(
            f"{out} holds a search of hyperband with trials={before}, which cannot be changed: hyperband plans its "
            f"rounds from the start. Received: trials={now}. Use trials={before}, or another folder"
        )
    if now < before:
        raise ValueError(
            f"{out} holds a search with trials={before}, and none of them is taken away. Received: trials={now}. Use "
            f"trials={before} to resume it, a larger number to extend it, or another folder"
        )
    return True


def arms_behind(search: Search, out: Path) -> dict[str, int]:
    """Return the trials of each arm that the folder holds, the search does not name, and that has fewer trials."""
    found = {file.parent.name: len(files.read_json(file)) for file in sorted(out.glob("*/trials.json"))}
    return {arm: trials for arm, trials in found.items() if arm not in search.arms and trials < search.trials}


def _search_arm(
    search: Search, arm: str, out: Path, progress: Progress, on_trial: OnTrial, data_dir: str | None
) -> list[JsonObject]:
    """Search one arm in child processes; if a trial kills its process, it fails and a new process resumes."""
    running = ""

    def report(stage: str, done: int, total: int, note: str) -> None:
        nonlocal running
        if stage == "ended":
            on_trial(json.loads(note))
        else:
            running = stage
            progress(f"{arm} trial {stage}", done, total, note)

    lost: list[str] = []
    while True:
        settings = search.to_dict()
        ended = subprocesses.call(
            "keras_twoarg.experiments.tuning.search:run_arm", report, settings, arm, str(out), lost, data_dir
        )
        if ended.status == 0 and ended.result is not None:
            return list(ended.result)
        if ended.status >= 0 or not running or running in lost:
            raise RuntimeError(f"The search of {arm} stopped: {ended.reason}. The same command resumes it")
        lost.append(running)
        progress(f"{arm} trial {running}", 0, 1, "killed (out of memory?)")


def run_arm(
    progress: Progress, settings: JsonObject, arm: str, out: str, lost: list[str], data_dir: str | None
) -> list[JsonObject]:
    """Search one arm in this process; `lost` are trials that killed an earlier process."""
    keep_freed_memory()
    versions.commit()  # of the code that runs, whatever is committed meanwhile
    search = search_of(settings)
    dataset = search.load(data_dir)
    hypermodel, folder = search.hypermodel(arm, dataset), Path(out) / arm
    tuner = make_tuner(search, hypermodel, folder, progress)
    tuner.save()  # KerasTuner reads its state only if a tuner was saved: otherwise a killed first trial is lost
    for trial_id in lost:
        if tuner.oracle.trials[trial_id].status == "RUNNING":
            tuner.oracle.give_up(trial_id, "It killed its process (out of memory?)")
    tuner.oracle.finished = lambda trial: progress("ended", 1, 1, json.dumps(keep(folder, hypermodel, trial)))
    run_trials(tuner, search, dataset, folder)
    return finish(search, hypermodel, folder, tuner.oracle)


def make_tuner(search: Search, hypermodel: OuterHyperModel, folder: Path, progress: Progress) -> "_Reporting":
    """Return the tuner of one arm, with the state in its folder."""
    check_files(folder)
    kind = _Hyperband if search.tuner == "hyperband" else _Reporting
    oracle = make_oracle(search.tuner, search.trials, search.configuration.epochs, search.configuration.seed)
    oracle.verbose = 0
    with redirect_stdout(io.StringIO()):  # it prints a message when it resumes
        tuner = kind(oracle, hypermodel, directory=str(folder.parent), project_name=folder.name)
    tuner.progress, tuner.epochs = progress, search.configuration.epochs
    return tuner


def run_trials(tuner: "_Reporting", search: Search, dataset: datasets.Dataset, folder: Path) -> None:
    """Run trials until none are left; a callback fills TensorBoard's table of hyperparameters."""
    parts = datasets.split(dataset, search.configuration.seed)
    tensorflow = keras.backend.backend() == "tensorflow"
    tuner.search(
        parts.x_train,
        parts.y_train,
        validation_data=(parts.x_validation, parts.y_validation),
        epochs=search.configuration.epochs,
        verbose=0,
        callbacks=[keras.callbacks.TensorBoard(str(folder / "tensorboard"))] if tensorflow else [],
    )


def finish(search: Search, hypermodel: OuterHyperModel, folder: Path, oracle: kt.Oracle) -> list[JsonObject]:
    """Write the table of all trials, and the best hyperparameters."""
    rows = [_row(hypermodel, trial) for trial in sorted_trials(oracle.trials)]
    files.write_json(folder / "trials.json", rows)
    done = [row for row in rows if row["status"] == "COMPLETED"]
    if done:
        best = max(done, key=lambda row: row["score"])
        summary = {"arm": hypermodel.arm, "data": search.data, **best, "trials": len(rows), "commit": versions.commit()}
        files.write_json(folder.parent / f"best-{hypermodel.arm}.json", summary)
    return rows


def read_hparams(file: Path) -> Config:
    """Read the best configuration of a search, for `sessions.run_sessions`.

    Raises:
        ValueError: If a search did not write the file, or a setting in it is invalid.
    """
    best = files.read_json(file, "Expected the best-ARM.json of a `twoarg tune`")
    configuration = best.get("configuration") if isinstance(best, dict) else None
    configuration = in_todays_words(configuration) if isinstance(configuration, dict) else None
    known = {f.name for f in fields(Configuration)}
    if configuration is None or "arm" not in configuration or set(configuration) - known:
        raise ValueError(f"{file} holds no configuration written by `twoarg tune`")
    try:
        Configuration(**{"epochs": 1_000_000, "frozen_epochs": 0, **configuration})  # the file has none of its own
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return configuration


def keep(folder: Path, hypermodel: OuterHyperModel, trial: Trial) -> JsonObject:
    """Add a trial to `trials.json`."""
    row, file = _row(hypermodel, trial), folder / "trials.json"
    rows = files.read_json(file) if file.exists() else []
    files.write_json(file, [*(r for r in rows if r["trial"] != row["trial"]), row])
    return row


def _row(hypermodel: OuterHyperModel, trial: Trial) -> JsonObject:
    configuration = hypermodel.configuration(trial.hyperparameters).to_dict(*_NOT_SEARCHED)
    return {
        "trial": int(trial.trial_id),
        "status": trial.status,
        "score": None if trial.score is None else float(trial.score),
        "best_epoch": None if trial.best_step is None else int(trial.best_step) + 1,
        "seconds": trial.metrics.get_best_value("seconds") if trial.metrics.exists("seconds") else None,
        "hyperparameters": {k: v for k, v in trial.hyperparameters.values.items() if not k.startswith("tuner/")},
        "configuration": configuration,
        "message": (trial.message or "").strip().rpartition("\n")[2],
    }


class _Reporting(kt.Tuner):
    """A tuner that reports progress, and ends the search if nothing can be written."""

    progress: Progress
    epochs: int
    running: str | None = None
    waits = False

    def pre_create_trial(self) -> None:
        """Wait if there was no trial yet: KerasTuner asks again at once, and would keep the chief and a core busy."""
        if self.waits:
            time.sleep(PAUSE)
        self.waits = True

    def on_trial_begin(self, trial: Trial) -> None:
        self.waits = False
        super().on_trial_begin(trial)

    def on_epoch_end(self, trial: Trial, model: Model, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        note = f"val {(logs or {}).get(OBJECTIVE, float('nan')):.2%}"
        self.progress(trial.trial_id, epoch + 1, self.epochs, note)

    def run_trial(self, trial: Trial, *args: object, **kwargs: object) -> list[keras.callbacks.History]:
        self.progress(trial.trial_id, 0, self.epochs, "")
        self.running = trial.trial_id
        began = time.perf_counter()
        try:
            histories = super().run_trial(trial, *args, **kwargs)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise kt.errors.FatalRuntimeError(f"Nothing can be written: {error}") from error
            raise
        finally:
            self.running = None
        for history in histories:  # as one more metric, which KerasTuner keeps with the trial
            history.history["seconds"] = [time.perf_counter() - began] * len(history.epoch)
        return histories


class _Hyperband(_Reporting, kt.Hyperband):
    def __init__(self, oracle: kt.Oracle, hypermodel: OuterHyperModel, **kwargs: object) -> None:
        kt.Tuner.__init__(self, oracle, hypermodel, **kwargs)  # kt.Hyperband would make an oracle of its own
