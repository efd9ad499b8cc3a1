"""One JSON record for each training run."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from keras_twoarg.experiments.training.stages import in_todays_words
from keras_twoarg.utils.files import ANEW, parse_as, read_json, write_json
from keras_twoarg.utils.types import JsonObject

Quantity = Literal["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]


class Epoch(TypedDict):
    """The results of one epoch; in the file, numbers that are not finite and accuracies of a regression are null.

    If several networks learn phi together, `loss` and `accuracy` are means over all of them, those included that began
    anew on the way; `val_loss` and `val_accuracy` are those of the first, which is trained from start to end.
    """

    loss: float
    accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    seconds: float


@dataclass
class Record:
    """The settings and results of one run.

    Attributes:
        arm: What filled the units.
        stage: `"joint"` (phi and the outer network together; also the only stage of arms without phi) or `"frozen"`
            (phi frozen, a new outer network).
        seed: Seed of the split, the initial weights and the order of the batches.
        dataset: Name of the data set.
        architecture: `"mlp"`, `"cnn"`, `"transformer"`, `"recurrent"` or `"resnet"`.
        widths: Units of each hidden layer.
        parameters: All numbers in the network's weights, including the inner network's, frozen or not, and BatchNorm's
            moving statistics.
        normalization: Normalization before the units.
        splits: Samples for training, validation and test.
        settings: Everything else that the run depends on.
        epochs: The results of each epoch, in order.
        status: `"finished"`, `"diverged"` if the loss was no longer finite, or `"failed"`.
        best_epoch: The epoch with the lowest validation loss, from 1; its weights are tested. None if there is none.
        test_accuracy: Share of test samples (for a text: characters) predicted correctly, within [0, 1]; measured once,
            after training. None for a regression.
        test_loss: Cross-entropy on the test samples, in nats; for a regression the mean squared error.
        seconds: Training time, without the time between a stop and a resumption.
        versions: Versions of the software.
        commit: Commit of this package's repository, or None outside of one.
        task: `"classification"` or `"regression"`.
        earlier: If the run was stopped and resumed with other software, `first_epoch`, `commit` and `versions` of each
            before that of `versions` and `commit`, in order.
    """

    arm: str
    stage: str
    seed: int
    dataset: str
    architecture: str
    widths: list[int]
    parameters: int
    normalization: str
    splits: dict[str, int]
    settings: JsonObject
    epochs: list[Epoch] = field(default_factory=list)
    status: str = "finished"
    best_epoch: int | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    task: str = "classification"
    earlier: list[JsonObject] = field(default_factory=list)

    @property
    def tested(self) -> bool:
        """Whether the network was tested, as it was at its best epoch; a run that diverged later may have been.

        Figures count every tested run: without those that diverged, an arm that is unstable would seem better.
        """
        return self.test_accuracy is not None or self.test_loss is not None

    @property
    def commits(self) -> list[str | None]:
        """The commits that trained the run, in order."""
        return [*(each["commit"] for each in self.earlier), self.commit]

    @property
    def bits(self) -> float | None:
        """Bits per character on the test text; None for other data."""
        text = self.architecture in ("transformer", "recurrent") and self.test_loss is not None
        return (self.test_loss or 0.0) / math.log(2) if text else None

    @property
    def rmse(self) -> float | None:
        """Root mean squared error on a regression's test rows, in standard deviations of the training rows' target.

        Predicting their mean gives 1 if test rows vary as training rows do. None for a classification.
        """
        regression = self.task == "regression" and self.test_loss is not None
        return (self.test_loss or 0.0) ** 0.5 if regression else None

    def curve(self, key: Quantity) -> list[float]:
        """Return one quantity over the epochs, such as `"val_accuracy"`; NaN if it is not finite."""
        return [math.nan if (value := epoch[key]) is None else value for epoch in self.epochs]

    def epochs_to(self, accuracy: float) -> int | None:
        """Return the first epoch whose validation accuracy reached a value, or None.

        Keras computes accuracies in float32, where 0.95 is less than in float64; so both are compared in float32.
        """
        reached = np.asarray(self.curve("val_accuracy"), "float32") >= np.float32(accuracy)
        return int(np.argmax(reached)) + 1 if reached.any() else None

    def write(self, path: Path) -> None:
        """Write the record as JSON; numbers that are not finite become null."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a record, or raise a ValueError that names the file."""
        return cls.parse(read_json(path), str(path))

    @classmethod
    def parse(cls, data: object, where: str, remedy: str = ANEW) -> "Record":
        """Return a record from JSON, or raise a ValueError that names its location and a remedy."""
        record = parse_as(cls, data, where, "record of a run", in_todays_words, remedy)
        if problem := record.problem():
            raise ValueError(f"{where} is no record of a run: {problem}. {remedy}")
        return record

    def problem(self) -> str:
        """Describe an impossible value in the record, or return nothing."""
        shares: dict[str, float | None] = {"test_accuracy": self.test_accuracy}
        for i, epoch in enumerate(self.epochs, start=1):
            shares |= {f"accuracy of epoch {i}": epoch["accuracy"], f"val_accuracy of epoch {i}": epoch["val_accuracy"]}
        for name, share in shares.items():
            if share is not None and not 0 <= share <= 1:
                return f"its `{name}` is {share!r}, expected within [0, 1]"
        if self.task not in ("classification", "regression"):
            return f"its `task` is {self.task!r}, expected 'classification' or 'regression'"
        if self.best_epoch is not None and not 1 <= self.best_epoch <= len(self.epochs):
            return f"its `best_epoch` is {self.best_epoch}, expected from 1 to {len(self.epochs)}"
        return ""
