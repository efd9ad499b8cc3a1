"""One training of one network: its record, and its weights at the epoch of lowest validation loss."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.experiments.comparison.data import Samples, as_arguments
from keras_twoarg.utils import batches, files, versions
from keras_twoarg.utils.types import JsonObject, Model

Logs = dict[str, float]
OnEpoch = Callable[[int, Logs], None]


@dataclass
class Run:
    """The result of one training.

    Attributes:
        arm: What filled the units.
        seed: Seed of the weights, the split and the batches.
        learning_rate: The optimizer's, if one was given; else `None`.
        parameters: Parameters of the network, each phi counted once.
        epochs: For each epoch `loss`, `val_loss`, the metrics of both, and `seconds`.
        best_epoch: The epoch with the lowest finite validation loss, counted from 1, or 0 if there is none.
        test: Loss and metrics on the test samples at that epoch, or `None` if it was not evaluated on them.
        computed_by: Versions, machine and commit.
    """

    arm: str
    seed: int
    learning_rate: float | None
    parameters: int
    epochs: list[JsonObject]
    best_epoch: int
    test: JsonObject | None
    computed_by: JsonObject = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name, and that of its files."""
        return name_of(self.arm, self.seed, self.learning_rate)

    @property
    def diverged(self) -> bool:
        """Whether the last loss was not finite."""
        last = self.epochs[-1]
        return last["loss"] is None or last["val_loss"] is None

    @property
    def validation(self) -> float:
        """The lowest validation loss; infinite if none was finite."""
        return float(self.epochs[self.best_epoch - 1]["val_loss"]) if self.best_epoch else float("inf")

    @property
    def seconds(self) -> float:
        """Median seconds of an epoch with its validation; the first, which compiles, counts only if alone."""
        return float(np.median([epoch["seconds"] for epoch in self.epochs[1:] or self.epochs]))


def name_of(arm: str, seed: int, learning_rate: float | None) -> str:
    """Return a run's name."""
    return f"{arm}-{seed}" if learning_rate is None else f"{arm}-{seed}-{learning_rate:g}"


def read(folder: Path, name: str) -> Run | None:
    """Return a run's record, or None if it has not ended."""
    file = folder / f"{name}.json"
    return files.read_as(Run, file, "record of `compare`") if file.exists() else None


def write(folder: Path, run: Run) -> None:
    """Write a run's record."""
    files.write_json(folder / f"{run.name}.json", asdict(run))


def weights_file(folder: Path, name: str) -> Path:
    """Return the path of a run's weights."""
    return folder / f"{name}.npz"


def load_weights(network: Model, folder: Path, name: str) -> None:
    """Load a run's weights into a network, or raise a ValueError that names their file."""
    file = weights_file(folder, name)
    try:
        with np.load(file) as arrays:
            network.set_weights([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
    except files.UNREADABLE as error:
        raise ValueError(
            f"{file} is damaged ({error}). Move it and {name}.json away to train this run again"
        ) from error


def train(
    network: Model,
    run: Run,
    train: Samples,
    validation: Samples,
    folder: Path,
    *,
    epochs: int,
    batch_size: int,
    on_epoch: OnEpoch,
) -> Run:
    """Train a compiled network, write its best weights and then its record, and return the record."""
    watch = _Watch(on_epoch)
    keras.utils.set_random_seed(run.seed)  # the batches have the same order in all arms
    network.fit(
        **batches.for_fit(**as_arguments(train), batch_size=batch_size, shuffle=True),
        validation_data=batches.for_validation(**as_arguments(validation), batch_size=batch_size),
        epochs=epochs,
        callbacks=[watch],
        verbose=0,
    )
    run.epochs, run.best_epoch = watch.epochs, watch.best_epoch
    run.computed_by = {**versions.versions(), "commit": versions.commit()}
    if watch.best_weights:
        # NumPy has no bfloat16; `set_weights` makes it of float32 again.
        arrays = [weight if weight.dtype.kind in "fiub" else weight.astype("float32") for weight in watch.best_weights]
        files.write_whole(weights_file(folder, run.name), lambda file: np.savez(file, *arrays))
    write(folder, run)
    return run


class _Watch(keras.callbacks.Callback):
    """Keeps each epoch's numbers, and the weights at the lowest validation loss; stops when a loss is not finite."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self.epochs: list[dict[str, float | None]] = []
        self.best_epoch, self.best_weights = 0, list[np.ndarray]()
        self._lowest = np.inf
        self._on_epoch = on_epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the numbers, and the weights if they are the best so far."""
        numbers = {key: float(value) for key, value in (logs or {}).items()}
        numbers["seconds"] = time.perf_counter() - self._began
        finite = bool(np.isfinite([numbers["loss"], numbers["val_loss"]]).all())
        self.epochs.append({key: value if np.isfinite(value) else None for key, value in numbers.items()})
        if finite and numbers["val_loss"] < self._lowest:
            self._lowest, self.best_epoch, self.best_weights = numbers["val_loss"], epoch + 1, self.model.get_weights()
        self.model.stop_training = not finite
        self._on_epoch(epoch + 1, numbers)
