"""The figures by which runs are compared, each declared once: its value in a record, and its format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_twoarg.experiments.training.run_record import Record


@dataclass(frozen=True)
class Figure:
    """A test figure, shown in tables and pages if any record has it.

    Attributes:
        name: Heading of its column.
        of: Its value in a record, or None.
        note: Its explanation in captions.
        digits: Digits after the decimal point.
        unit: Suffix of a number.
        factor: Factor by which a value is multiplied in print; differences have the same factor but no unit.
        higher_is_better: Whether higher values are better.
    """

    name: str
    of: Callable[[Record], float | None]
    note: str
    digits: int = 3
    unit: str = ""
    factor: float = 1.0
    higher_is_better: bool = False

    def written(self, value: float, sign: str = "") -> str:
        """Return a value as text."""
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
        "of the training rows' target (1: predicting their mean), mean ± standard deviation over seeds; lower is "
        "better. The test rows were used once.",
    ),
)


def figures_in(records: Sequence[Record]) -> list[Figure]:
    """Return the figures that some of the records have; if no run was tested, that of the task."""
    known = [figure for figure in FIGURES if any(figure.of(record) is not None for record in records)]
    return known or [FIGURES[-1] if any(record.task == "regression" for record in records) else FIGURES[0]]


def has_accuracy(records: Sequence[Record]) -> bool:
    """Return whether any of the records is of a classification."""
    return FIGURES[0] in figures_in(records)
