"""compare: a user's own model as it is and with other units, each trained alike."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keras_twoarg.experiments.comparison import data, metrics, networks, runs
from keras_twoarg.experiments.comparison.data import Samples
from keras_twoarg.experiments.comparison.networks import OWN, Compile
from keras_twoarg.experiments.comparison.result import Comparison
from keras_twoarg.experiments.comparison.runs import Logs, OnEpoch, Run
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.models.convert import ARMS as UNITS
from keras_twoarg.models.convert import KEEP
from keras_twoarg.utils import batches, model_files, versions
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.progress import Progress, no_progress, warning_to
from keras_twoarg.utils.types import Config, Model

ARMS = {"parameters": ("two_arg", "one_arg", "swiglu"), "function": ("two_arg", "one_arg")}
"""What a model is compared with by default."""


def compare(
    model: Model,
    train: Samples,
    test: Samples,
    out: str | os.PathLike[str],
    progress: Progress = no_progress,
    *,
    validation: Samples | None = None,
    arms: Sequence[str] | None = None,
    keep: str = "parameters",
    where: str | Sequence[str] | None = None,
    hidden_units: Sequence[int] | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    learning_rates: Sequence[float] = (),
    seeds: int = 3,
    first_seed: int = 0,
    compile: Compile | None = None,
) -> Comparison:
    """Train your model as it is and with other units, over several seeds, and tell which is better.

    The networks of a seed see the same data, split and order of batches, and are all compiled as the model is. Each run
    counts at its epoch of lowest validation loss. The test samples are looked at once, by the networks so chosen.

    Args:
        model: A built Sequential or functional model. It is not changed.
        train: Inputs, targets and, if they differ, weights of the samples: arrays, or lists or dicts of arrays, as
            `fit` takes them. Weights of classes become weights of samples by `class_weight[labels]`.
        test: The same for the test.
        out: Folder for records, weights and `best-ARM.keras`. Runs that it already holds are not trained again.
        progress: Called with the name of the run, the epochs done, the epochs in all, and a note.
        validation: Samples for validation, for data that must not be split at random, such as series or several samples
            of one person. Defaults to `None`: a fifth of the training samples, drawn anew for each seed.
        arms: What the units become, as in `convert`. Defaults to `"two_arg"`, `"one_arg"` and, with
            `keep="parameters"`, `"swiglu"`.
        keep: `"parameters"`: all start from new weights and have as many parameters as the model; only frozen layers,
            and what `adapt` has computed, stay as they are. `"function"`: all start from the model's weights and are
            trained further; those that are converted then have more parameters. If the model was trained on `train`,
            it has seen the validation samples drawn from it: pass `validation` then.
        where: As in `convert`.
        hidden_units: Widths of phi's hidden layers. The default, `(64, 64)`, takes 4,417 parameters; a small model
            needs smaller ones.
        epochs: Epochs of each run.
        batch_size: Samples in a step.
        learning_rates: Learning rates to try; each arm gets the one with its lowest mean validation loss. Defaults to
            the optimizer's own, which is where a callback such as `ReduceLROnPlateau` has left it.
        seeds: Number of seeds; an interval needs two.
        first_seed: The first seed.
        compile: Called with each network to compile it, instead of compiling it as the model is.

    Returns:
        A `Comparison`; printing it gives tables and a sentence for each arm.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 8)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("float32")
        >>> layers = [keras.layers.Dense(80, activation="relu"), keras.layers.Dense(80, activation="relu")]
        >>> model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1, activation="sigmoid")])
        >>> model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        >>> compared = compare(model, (x, y), (x, y), "compared", arms=["two_arg"], epochs=2, seeds=2)
        >>> [run.arm for run in compared.runs]
        ['own', 'two_arg', 'own', 'two_arg']

    Raises:
        ValueError: If the model is not compiled or cannot be converted, the data do not fit, a setting is wrong, or the
            folder holds another comparison.
    """
    versions.commit()  # of the code that runs, whatever is committed meanwhile
    arms = (OWN, *(ARMS[one_of("keep", keep, KEEP)] if arms is None else arms))
    _check(arms, keep, epochs, batch_size, seeds, first_seed, learning_rates)
    if compile is None:
        networks.check_compiled(model)
    parts = {"train": data.checked("train", train, 2 if validation else 10), "test": data.checked("test", test, 1)}
    if validation is not None:
        parts["validation"] = data.checked("validation", validation, 1)
    job = _Job(model, keep, where, hidden_units, compile, epochs, batch_size, Path(out) / "runs")
    known = _try(job, arms, parts, learning_rates)
    _tell(parts, progress)
    settings: Config = {
        "model": networks.fingerprint(model, weights=keep == "function"),
        "data": data.fingerprint(*parts.values()),
        "keep": keep,
        "where": [where] if isinstance(where, str) else where and list(where),
        "epochs": epochs,
        "batch_size": batch_size,
    }
    if compile is not None:
        settings["compile"] = known.compile
    if hidden_units is not None:
        settings["hidden_units"] = list(hidden_units)
    out = Path(out)
    with _quiet_tracing(), result_folder(out, settings, "compare.json"):
        job.folder.mkdir(exist_ok=True)
        done: list[Run] = []
        for seed in range(first_seed, first_seed + seeds):
            own = (parts["train"], parts["validation"]) if validation else data.split(parts["train"], seed)
            done += [job.run(arm, seed, rate, *own, progress) for arm in arms for rate in learning_rates or (None,)]
        recipe = f"{epochs} epoch{'s' * (epochs != 1)}, batches of {batch_size}, {known.optimizer}"
        comparison = Comparison(tuple(done), keep, known.metrics, recipe)
        for arm in arms:
            job.look_at_test(comparison.chosen(arm), parts["test"], out / f"best-{arm}.keras")
    return comparison


@dataclass(frozen=True)
class _Known:
    """What the model's own network told when it was tried: its metrics, and how it is optimized and compiled."""

    metrics: dict[str, bool]
    optimizer: str
    compile: str


@dataclass(frozen=True)
class _Job:
    """What all runs have in common."""

    model: Model
    keep: str
    where: str | Sequence[str] | None
    hidden_units: Sequence[int] | None
    compile: Compile | None
    epochs: int
    batch_size: int
    folder: Path

    def network(self, arm: str, seed: int, rate: float | None) -> Model:
        network = networks.make(self.model, arm, seed, self.keep, self.where, self.hidden_units)
        networks.compile_as(network, self.model, rate, self.compile)
        return network

    def run(
        self, arm: str, seed: int, rate: float | None, train: Samples, validation: Samples, progress: Progress
    ) -> Run:
        """Return a run's record; train it if there is none yet."""
        name = runs.name_of(arm, seed, rate)
        if (run := runs.read(self.folder, name)) is not None:
            return run
        network = self.network(arm, seed, rate)
        run = Run(arm, seed, rate, int(network.count_params()), [], 0, None)
        told, sizes = _teller(progress, name, self.epochs), {"epochs": self.epochs, "batch_size": self.batch_size}
        return runs.train(network, run, train, validation, self.folder, on_epoch=told, **sizes)

    def look_at_test(self, chosen: Sequence[Run], test: Samples, file: Path) -> None:
        """Evaluate the runs that were not yet on the test, and save the network that was best in validation."""
        best = min(chosen, key=lambda run: run.validation)
        for run in chosen:
            if not run.best_epoch or (run.test is not None and run is not best):
                continue
            network = self.network(run.arm, run.seed, run.learning_rate)
            runs.load_weights(network, self.folder, run.name)
            if run.test is None:
                values = network.evaluate(
                    **data.as_arguments(test), batch_size=self.batch_size, verbose=0, return_dict=True
                )
                run.test = {key: float(value) for key, value in values.items()}
                runs.write(self.folder, run)
            if run is best:
                model_files.save(network, file)


def _teller(progress: Progress, name: str, epochs: int) -> OnEpoch:
    def told(epoch: int, logs: Logs) -> None:
        progress(name, epoch, epochs, f"val loss {logs['val_loss']:.4g}, {logs['seconds']:.1f} s an epoch")

    return told


def _check(
    arms: Sequence[str], keep: str, epochs: int, batch_size: int, seeds: int, first_seed: int, rates: Sequence[float]
) -> None:
    for arm in arms[1:]:
        one_of("arms", arm, UNITS)
    if len(set(arms)) < len(arms) or len(arms) < 2:
        raise ValueError(f"`arms` must be at least one, each named once. Received: arms={list(arms[1:])}")
    for name, value, least in (("epochs", epochs, 1), ("batch_size", batch_size, 1), ("seeds", seeds, 1),
                               ("first_seed", first_seed, 0)):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}")
    if not all(isinstance(rate, int | float) and 0 < rate < float("inf") for rate in rates):
        raise ValueError(f"`learning_rates` must be positive numbers. Received: learning_rates={list(rates)}")


def _try(job: _Job, arms: Sequence[str], parts: Mapping[str, Samples], rates: Sequence[float]) -> _Known:
    """Make each network once and evaluate two samples of each part: what is wrong shows before hours of training."""
    network, model = job.network(OWN, 0, None), job.model
    for arm in arms[1:]:
        networks.make(model, arm, 0, job.keep, job.where, job.hidden_units)
    for name, samples in parts.items():
        data.check_labels(network, name, samples[1])
        try:
            network.evaluate(**data.as_arguments(batches.taken(samples, slice(2))), verbose=0)
        except Exception as error:  # of any kind, by backend and layer
            raise ValueError(
                f"The model {model.name!r} cannot be evaluated on the first two samples of `{name}`: "
                f"{_point_of(error)}. Inputs and targets must be what its `fit` takes"
            ) from error
        comparable = metrics.comparable(network)
    optimizer = networks.optimizer_of(network, rate_too=not rates)
    return _Known(comparable, optimizer, networks.fingerprint_of_compile(network))


@contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Drop TensorFlow's warnings of retracing: each network that is trained is traced, and rightly so."""

    def is_other(record: logging.LogRecord) -> bool:
        return "retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _tell(parts: Mapping[str, Samples], progress: Progress) -> None:
    """Warn of numbers that are not finite: some layers swallow them, and nothing else would tell."""
    tell = warnings.warn if progress is no_progress else warning_to(progress, "data")
    for name, samples in parts.items():
        if number := data.not_finite(samples):
            tell(f"{number:,} of the samples of `{name}` hold numbers that are NaN or infinite")


def _point_of(error: Exception) -> str:
    """Return the line of an error that says most: TensorFlow's begin with stacks and end with a node."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = [line for line in lines if re.search(r"ncompatible|must|xpected|shape|rank|dimension", line)]
    return (told or lines)[-1][:300].rstrip(".")
