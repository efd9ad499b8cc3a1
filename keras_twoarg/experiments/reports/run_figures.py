"""The figures by which runs are compared, each declared once: what it is of a record, and how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_twoarg.experiments.training.run_record import Record


@dataclass(frozen=True)
class Figure:
    """A figure of a test, which tables and pages show of the records that have it.

    Attributes:
        name: Heading of its column.
        of: Its value in a record, or None.
        note: What a caption says of it.
        digits: Digits behind the point.
        unit: What stands behind a number.
        factor: What a value is multiplied by to be written; differences are in the same unit, without its sign.
        higher_is_better: Whether more is better.
    """

    name: str
    of: Callable[[Record], float | None]
    note: str
    digits: int = 3
    unit: str = ""
    factor: float = 1.0
    higher_is_better: bool = False

    def written(self, value: float, sign: str = "") -> str:
        """Return a value as it is written."""
        return f"{self.factor * value:{sign}.{self.digits}f}"


FIGURES = (
    Figure(
        "test accuracy",
        lambda record: record.test_accuracy,
        "test accuracy: at the best epoch by validation loss, mean ± standard deviation over seeds; the test samples "
        "were used once.",
        digits=2,
        unit="%",
        factor=100,
        higher_is_better=True,
    ),
    Figure(
        "bits",
        lambda record: record.bits,
        "bits: bits a character on the test text, mean ± standard deviation; lower is better.",
    ),
    Figure(
        "RMSE",
        lambda record: record.rmse,
        "RMSE: root mean squared error on the test rows at the best epoch by validation loss, in standard deviations "
        "of the training rows' target (1: as always giving their mean), mean ± standard deviation over seeds; lower is "
        "better. The test rows were used once.",
    ),
)


def figures_in(records: Sequence[Record]) -> list[Figure]:
    """Return the figures that some of the records have; where no run has been tested, its task's."""
    known = [figure for figure in FIGURES if any(figure.of(record) is not None for record in records)]
    return known or [FIGURES[-1] if any(record.task == "regression" for record in records) else FIGURES[0]]


def has_accuracy(records: Sequence[Record]) -> bool:
    """Tell whether any of the records is of a classification."""
    return FIGURES[0] in figures_in(records)
