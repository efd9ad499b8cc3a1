"""A search for the best hyperparameters of each arm, with the same budget for all."""

import errno
import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.sessions import ARCHITECTURES, DEFAULT_WIDTHS, Configuration, claim_folder
from keras_twoarg.experiments.training.stages import in_todays_words
from keras_twoarg.experiments.tuning.hypermodel import OuterHyperModel
from keras_twoarg.experiments.tuning.optional import keras_tuner as kt
from keras_twoarg.experiments.tuning.oracles import OBJECTIVE, TUNERS, check_files, make_oracle, sorted_trials
from keras_twoarg.utils import files, subprocesses, versions
from keras_twoarg.utils.subprocesses import Progress

OnTrial = Callable[[dict[str, Any]], None]
_NOT_SEARCHED = ("epochs", "frozen_epochs", "seed")


@dataclass(frozen=True)
class Search:
    """What is searched: the same for every arm.

    Attributes:
        data: Name of the data set, as in `datasets.load`.
        arms: The arms.
        tuner: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`. Defaults to `"bayesian"`.
        trials: Trials for each arm. Defaults to `20`.
        epochs: Epochs of each trial. Defaults to `10`.
        architecture: `"mlp"` or `"cnn"`. Defaults to `"mlp"`.
        subset: Training images, drawn once; 0 for all. Defaults to `0`.
        space: Choices to put in the place of those in `hypermodel.SPACE`.
        pretraining_epochs: Passes over the grid in the pretrain stage. Defaults to the paper's.
        evaluation: How phi is evaluated. Defaults to `"auto"`.
        seed: Seed of the split, the weights and the search. Defaults to `0`.
    """

    data: str
    arms: tuple[str, ...]
    tuner: str = "bayesian"
    trials: int = 20
    epochs: int = 10
    architecture: str = "mlp"
    subset: int = 0
    space: dict[str, Any] | None = None
    pretraining_epochs: int | None = None
    evaluation: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("tuner", TUNERS), ("architecture", tuple(ARCHITECTURES))):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {name}={getattr(self, name)!r}")
        for name, least in (("trials", 1), ("epochs", 1), ("subset", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"`arms` must name at least one arm, and each once. Received: {list(self.arms)}")

    def load(self, data_dir: str | None = None) -> datasets.Dataset:
        """Load the data, and draw the subset."""
        found = datasets.load(self.data, data_dir=data_dir)
        return datasets.subset(found, self.subset) if self.subset else found

    def hypermodel(self, arm: str, dataset: datasets.Dataset) -> OuterHyperModel:
        """Return an arm's space, with as many parameters as the paper's two-argument network."""
        build, widths = ARCHITECTURES[self.architecture], DEFAULT_WIDTHS[self.architecture]
        return OuterHyperModel(
            arm,
            dataset.input_shape,
            dataset.classes,
            build(dataset.input_shape, dataset.classes, widths=widths).count_params(),
            architecture=self.architecture,
            space=self.space,
            pretraining_epochs=self.pretraining_epochs,
            evaluation=self.evaluation,
            seed=self.seed,
        )


def tune(
    search: Search,
    out: Path,
    progress: Progress,
    *,
    on_trial: OnTrial = lambda row: None,
    data_dir: str | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Search each arm in turn, each in a process of its own; go on where an earlier call was stopped.

    Args:
        search: What to search.
        out: Folder: `search.json`, one folder for each arm, and `best-ARM.json` for `twoarg train --hparams`.
        progress: Called with an arm and trial, the epochs done and in all, and a note.
        on_trial: Called with the row of each trial that has ended.
        data_dir: Folder of prepared TensorFlow Datasets.

    Returns:
        For each arm its trials, as rows of `trials.json`.

    Raises:
        ValueError: If the data cannot be had, an arm is unknown, the folder is another search's, or a file in it is
            damaged.
        RuntimeError: If a search ended without one trial that worked, or could not go on.
    """
    dataset = search.load(data_dir)
    for arm in search.arms:
        search.hypermodel(arm, dataset).build(kt.HyperParameters())  # a mistake should show before hours of work
    claim(search, out, dataset)
    found = {arm: _search_arm(search, arm, out, progress, on_trial, data_dir) for arm in search.arms}
    if failed := [arm for arm, rows in found.items() if not any(row["status"] == "COMPLETED" for row in rows)]:
        last = found[failed[0]][-1]["message"] if found[failed[0]] else "no trial was begun"
        raise RuntimeError(f"No trial of {', '.join(failed)} worked. The last one: {last}")
    return found


def claim(search: Search, out: Path, dataset: datasets.Dataset) -> None:
    """Make the folder this search's, or raise if it is another's."""
    settings = {**asdict(search), "fingerprint": dataset.fingerprint}
    del settings["arms"]  # more of them may come later
    claim_folder(out, settings, name="search.json")


def _search_arm(
    search: Search, arm: str, out: Path, progress: Progress, on_trial: OnTrial, data_dir: str | None
) -> list[dict[str, Any]]:
    """Search one arm in child processes: a trial that kills its process is given up, and the next process goes on."""
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
        settings = {**asdict(search), "arms": list(search.arms)}
        ended = subprocesses.call(
            "keras_twoarg.experiments.tuning.search:run_arm", report, settings, arm, str(out), lost, data_dir
        )
        if ended.status == 0:
            return list(ended.result)
        if ended.status > 0 or not running or running in lost:
            raise RuntimeError(f"The search of {arm} stopped: {ended.reason}. The same command goes on with it")
        lost.append(running)
        progress(f"{arm} trial {running}", 0, 1, "killed (out of memory?)")


def run_arm(
    progress: Progress, settings: dict[str, Any], arm: str, out: str, lost: list[str], data_dir: str | None
) -> list[dict[str, Any]]:
    """Search one arm in this process; `lost` are trials that killed an earlier one."""
    search = Search(**{**settings, "arms": tuple(settings["arms"])})
    dataset = search.load(data_dir)
    hypermodel, folder = search.hypermodel(arm, dataset), Path(out) / arm
    tuner = make_tuner(search, hypermodel, folder, progress)
    for trial_id in lost:
        if tuner.oracle.trials[trial_id].status == "RUNNING":
            tuner.oracle.give_up(trial_id, "It killed its process (out of memory?)")
    tuner.oracle.finished = lambda trial: progress("ended", 1, 1, json.dumps(keep(folder, hypermodel, trial)))
    tuner.search(*arguments(search, dataset), **keywords(search, dataset, folder))
    return finish(search, hypermodel, folder, tuner.oracle)


def make_tuner(search: Search, hypermodel: OuterHyperModel, folder: Path, progress: Progress) -> Any:
    """Return the tuner of one arm, with what is in its folder already."""
    check_files(folder)
    kind = _Hyperband if search.tuner == "hyperband" else _Tuner
    oracle = make_oracle(search.tuner, search.trials, search.epochs, search.seed)
    oracle.verbose = 0
    with redirect_stdout(io.StringIO()):  # it prints that it goes on with earlier trials
        tuner = kind(oracle, hypermodel, directory=str(folder.parent), project_name=folder.name)
    tuner.progress, tuner.epochs = progress, search.epochs
    return tuner


def arguments(search: Search, dataset: datasets.Dataset) -> tuple[Any, Any]:
    """Return the training images and labels."""
    parts = datasets.split(dataset, search.seed)
    return parts.x_train, parts.y_train


def keywords(search: Search, dataset: datasets.Dataset, folder: Path) -> dict[str, Any]:
    """Return the other arguments of `fit`; the callback fills TensorBoard's table of hyperparameters."""
    import keras

    parts = datasets.split(dataset, search.seed)
    boards = [keras.callbacks.TensorBoard(str(folder / "tensorboard"))] if _is_tensorflow() else []
    validation = (parts.x_validation, parts.y_validation)
    return {"validation_data": validation, "epochs": search.epochs, "verbose": 0, "callbacks": boards}


def finish(search: Search, hypermodel: OuterHyperModel, folder: Path, oracle: Any) -> list[dict[str, Any]]:
    """Write the table of all trials, and the best hyperparameters."""
    rows = [_row(hypermodel, trial) for trial in sorted_trials(oracle.trials)]
    files.write_json(folder / "trials.json", rows)
    done = [row for row in rows if row["status"] == "COMPLETED"]
    if done:
        best = max(done, key=lambda row: row["score"])
        found = {"arm": hypermodel.arm, "data": search.data, **best, "trials": len(rows), "commit": versions.commit()}
        files.write_json(folder.parent / f"best-{hypermodel.arm}.json", found)
    return rows


def read_hparams(file: Path) -> dict[str, Any]:
    """Read the configuration that a search found best, for `sessions.run_sessions`.

    Raises:
        ValueError: If the file is none that a search has written.
    """
    found = files.read_json(file)
    configuration = found.get("configuration") if isinstance(found, dict) else None
    known = {f.name for f in fields(Configuration)}
    if not isinstance(configuration, dict) or set(in_todays_words(configuration)) - known:
        raise ValueError(f"{file} holds no configuration that `twoarg tune` has found")
    return in_todays_words(configuration)


def keep(folder: Path, hypermodel: OuterHyperModel, trial: Any) -> dict[str, Any]:
    """Add a trial to the table on disk."""
    row, file = _row(hypermodel, trial), folder / "trials.json"
    rows = files.read_json(file) if file.exists() else []
    files.write_json(file, [*(r for r in rows if r["trial"] != row["trial"]), row])
    return row


def _row(hypermodel: OuterHyperModel, trial: Any) -> dict[str, Any]:
    configuration = asdict(hypermodel.configuration(trial.hyperparameters))
    for name in _NOT_SEARCHED:
        del configuration[name]
    return {
        "trial": int(trial.trial_id),
        "status": trial.status,
        "score": None if trial.score is None else float(trial.score),
        "best_epoch": None if trial.best_step is None else int(trial.best_step) + 1,
        "hyperparameters": {k: v for k, v in trial.hyperparameters.values.items() if not k.startswith("tuner/")},
        "configuration": configuration,
        "message": (trial.message or "").strip().rpartition("\n")[2],
    }


class _Reporting(kt.Tuner):
    """Progress of a trial; and what must end the search instead of one trial."""

    progress: Progress
    epochs: int
    running: str | None = None

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        note = f"val {(logs or {}).get(OBJECTIVE, float('nan')):.2%}"
        self.progress(trial.trial_id, epoch + 1, self.epochs, note)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        self.progress(trial.trial_id, 0, self.epochs, "")
        self.running = trial.trial_id
        try:
            return super().run_trial(trial, *args, **kwargs)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise kt.errors.FatalRuntimeError(f"Nothing can be written: {error}") from error
            raise
        finally:
            self.running = None


class _Tuner(_Reporting):
    pass


class _Hyperband(_Reporting, kt.Hyperband):
    def __init__(self, oracle: Any, hypermodel: Any, **kwargs: Any) -> None:
        kt.Tuner.__init__(self, oracle, hypermodel, **kwargs)  # kt.Hyperband would make an oracle of its own


def _is_tensorflow() -> bool:
    import keras

    return bool(keras.backend.backend() == "tensorflow")
