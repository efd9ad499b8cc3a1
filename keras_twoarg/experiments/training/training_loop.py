"""The training loop: a checkpoint after each epoch, and the best weights by validation loss.

A run that was killed resumes after its last complete epoch and, on a CPU, ends with the same numbers: the checkpoint
holds the state of the optimizer and of dropout, and the order of the batches depends only on the seed and the epoch.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.experiments.pretraining import steps_a_call
from keras_twoarg.experiments.training.datasets import Split
from keras_twoarg.experiments.training.population import Population
from keras_twoarg.experiments.training.run_record import Epoch
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils import batches, versions
from keras_twoarg.utils.files import UNREADABLE, write_whole
from keras_twoarg.utils.types import JsonObject, Model, Variable

_EVALUATION_BATCH = 1000
_UNKNOWN: JsonObject = {"first_epoch": 1, "commit": None, "versions": {}}  # what older checkpoints were trained with

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
OnEpoch = Callable[[int, Epoch], None]


@dataclass
class Fit:
    """The state of a run after some epochs.

    Attributes:
        epochs: The results of each epoch so far.
        best_epoch: The epoch with the lowest finite validation loss, from 1, or 0.
        best_weights: The model's weights at that epoch.
        snapshots: phi's weights by epoch; epoch 0 is the start.
        software: The commit and the versions that trained, each with its first epoch; the last are this process's.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: list[np.ndarray] = field(default_factory=list)
    snapshots: dict[int, list[np.ndarray]] = field(default_factory=dict)
    software: list[JsonObject] = field(default_factory=list)

    def __post_init__(self) -> None:
        here = {"commit": versions.commit(), "versions": versions.versions()}
        if not self.software or {**self.software[-1], **here} != self.software[-1]:
            self.software.append({"first_epoch": len(self.epochs) + 1, **here})

    @property
    def diverged(self) -> bool:
        """Whether the last loss was not finite."""
        return bool(self.epochs) and not np.isfinite([self.epochs[-1]["loss"], self.epochs[-1]["val_loss"]]).all()


def compile_network(model: Model, optimizer: keras.optimizers.Optimizer, task: str = "classification") -> None:
    """Compile with an optimizer and a task's loss, with several steps per call, since steps are short.

    Args:
        model: The network.
        optimizer: Its optimizer.
        task: `"classification"` for the cross-entropy of logits, `"regression"` for the mean squared error of one
            output. Defaults to `"classification"`.
    """
    regression = task == "regression"
    model.compile(
        optimizer,
        keras.losses.MeanSquaredError() if regression else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[] if regression else ["accuracy"],
        steps_per_execution=steps_a_call(8),
    )


def fit(
    model: Model,
    split: Split,
    checkpoint: Path,
    *,
    epochs: int,
    batch_size: int,
    seed: tuple[int, ...],
    epoch_samples: int | None = None,
    augment: Augment | None = None,
    population: Population | None = None,
    inner: InnerNetwork | None = None,
    on_epoch: OnEpoch | None = None,
) -> Fit:
    """Train a compiled model, resuming from `checkpoint` if it exists, and set its best weights.

    Args:
        model: A compiled network.
        split: The data.
        checkpoint: File that is rewritten after each epoch.
        epochs: Total number of epochs.
        batch_size: Samples in each step.
        seed: Seed of the order of the batches, together with the epoch.
        epoch_samples: Samples in an epoch, drawn anew for each. Defaults to all.
        augment: Function that augments the samples of each epoch. Defaults to none.
        population: Networks that are trained together; the model is the first. Defaults to only the model.
        inner: A network whose weights are kept over the epochs, if any.
        on_epoch: Called with the number of each epoch, from 1, and its results.

    Returns:
        The state after the last epoch.
    """
    trainer, together = (population.trainer, len(population.networks)) if population else (model, 1)
    for each in (model, trainer):
        each.optimizer.build(each.trainable_variables)
    state = _read(checkpoint, trainer, len(model.weights), inner) if checkpoint.exists() else Fit()
    if inner is not None and not state.snapshots:
        state.snapshots[0] = inner.get_weights()
    for number, logs in enumerate(state.epochs, start=1):
        if on_epoch:
            on_epoch(number, logs)
    for number in range(len(state.epochs) + 1, epochs + 1):
        if state.diverged:
            break
        rng = np.random.default_rng((*seed, number))
        draws = [_draw(split, epoch_samples, augment, rng) for _ in range(together)]
        if population:
            population.begin_anew(number, epochs)
        state.epochs.append(_epoch(trainer, model, split, draws, batch_size))
        best = state.epochs[state.best_epoch - 1]["val_loss"] if state.best_epoch else np.inf
        if not state.diverged and state.epochs[-1]["val_loss"] < best:
            state.best_epoch, state.best_weights = number, model.get_weights()
        if inner is not None and is_kept(number, epochs):
            state.snapshots[number] = inner.get_weights()
        _write(checkpoint, state, trainer)
        if on_epoch:
            on_epoch(number, state.epochs[-1])
    if state.best_weights:
        model.set_weights(state.best_weights)
    return state


def is_kept(number: int, epochs: int) -> bool:
    """Return whether phi's weights are kept after an epoch; it changes mostly in early ones.

    Examples:
        >>> [number for number in range(18, 61) if is_kept(number, 60)]
        [18, 19, 20, 25, 50, 60]
    """
    return number <= 20 or number % 25 == 0 or number == epochs


def evaluate(model: Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return `loss` and, of a classifier, `accuracy`."""
    data = batches.for_evaluate(x, y, _EVALUATION_BATCH)
    return {key: float(value) for key, value in model.evaluate(**data, verbose=0, return_dict=True).items()}


def _draw(
    split: Split, number: int | None, augment: Augment | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples and labels of an epoch, in a new order."""
    order = rng.permutation(len(split.x_train))[:number]
    samples = split.x_train[order]
    return samples if augment is None else augment(samples, rng), split.y_train[order]


def _epoch(
    trainer: Model, model: Model, split: Split, draws: Sequence[tuple[np.ndarray, np.ndarray]], batch_size: int
) -> Epoch:
    """Train for an epoch, with a draw of samples for each network, and validate the model."""
    start = time.perf_counter()
    x, y = zip(*draws, strict=True)
    data = (
        batches.for_fit(x, np.stack(y, axis=-1), batch_size)
        if len(draws) > 1
        else batches.for_fit(x[0], y[0], batch_size)
    )
    history = trainer.fit(**data, verbose=0)
    seconds = time.perf_counter() - start
    validation = evaluate(model, split.x_validation, split.y_validation)
    return {
        "loss": float(history.history["loss"][-1]),
        "accuracy": float(history.history["accuracy"][-1]) if "accuracy" in validation else None,
        "val_loss": validation["loss"],
        "val_accuracy": validation.get("accuracy"),
        "seconds": seconds,
    }


def _variables(model: Model) -> list[Variable]:
    """Return all variables that training changes: weights, and the state of dropout and of the optimizer."""
    return [*model.variables, *model.optimizer.variables]


def _write(file: Path, state: Fit, model: Model) -> None:
    arrays = {f"variable_{i}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(_variables(model))}
    arrays |= {f"best_{i}": w for i, w in enumerate(state.best_weights)}
    arrays |= {f"snapshot_{n}_{i}": w for n, ws in state.snapshots.items() for i, w in enumerate(ws)}
    summary = {"epochs": state.epochs, "best_epoch": state.best_epoch, "snapshots": list(state.snapshots)}
    summary["software"] = state.software
    write_whole(file, lambda opened: np.savez(opened, summary=np.array(json.dumps(summary)), **arrays))


def _read(file: Path, model: Model, weights: int, inner: InnerNetwork | None) -> Fit:
    variables = _variables(model)
    try:
        with np.load(file) as arrays:
            summary = json.loads(str(arrays["summary"]))
            values = [arrays[f"variable_{i}"] for i in range(len(variables))]
            best = [arrays[f"best_{i}"] for i in range(weights)] if summary["best_epoch"] else []
            parts = range(len(inner.weights) if inner else 0)
            snapshots = {n: [arrays[f"snapshot_{n}_{i}"] for i in parts] for n in summary["snapshots"]}
            if any(value.shape != tuple(v.shape) for value, v in zip(values, variables, strict=True)):
                raise ValueError("the shapes of its arrays differ from those of the model's variables")
    except UNREADABLE as error:
        raise ValueError(
            f"The checkpoint {file} is damaged or of another version ({error}). Delete it to restart this stage"
        ) from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return Fit(summary["epochs"], summary["best_epoch"], best, snapshots, summary.get("software", [_UNKNOWN]))
