"""Changed predictions: what counts as one, how many there are, and a confidence bound for other samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_twoarg.analysis.statistics import upper_bound
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.keras_internals import producer
from keras_twoarg.utils.types import ArrayLike, Model, Tensor

TASKS = ("auto", "classes", "binary", "regression")
_PASSED_BY = ("Average", "Cast", "Concatenate", "Dropout", "ExpandDims", "Flatten", "Identity", "Reshape", "Squeeze")
"""Layers, and operations of keras.ops, behind which probabilities remain probabilities."""


@dataclass(frozen=True)
class Changes:
    """How two models' outputs for the same samples differ.

    Attributes:
        task: What was compared: `"classes"`, `"binary"` or `"regression"`, joined by commas for several outputs.
        samples: Number of samples.
        predictions: Number of predictions: one per output and sample, or position of a map of classes. 0 for a
            regression.
        changed: How many of them differ.
        difference: Largest absolute difference of outputs; NaN if one of them is NaN.
        relative: Root mean square difference of regression outputs relative to their standard deviation over the
            samples, the largest of several outputs. `None` without such outputs.
    """

    task: str
    samples: int
    predictions: int
    changed: int
    difference: float
    relative: float | None = None

    @property
    def share(self) -> float | None:
        """Fraction of changed predictions; `None` for a regression."""
        return self.changed / self.predictions if self.predictions else None

    @property
    def bound(self) -> float | None:
        """Upper 95 % confidence bound of that fraction on samples like these.

        `None` for a regression, and if a sample has several predictions, which depend on each other.
        """
        return upper_bound(self.changed, self.samples) if self.predictions == self.samples else None

    def sentence(self, most_changed: float) -> str:
        """Return a sentence about what changed; for a regression, by how much the outputs did."""
        allowed = f"at most {most_changed:.2%} allowed"
        if self.share is None:
            return f"outputs changed by {self.relative:.1%} of their standard deviation, root mean square ({allowed})"
        return f"{self.changed} of {self.predictions} predictions changed ({self.share:.2%}; {allowed})"

    def within(self, most_changed: float, tolerance: float) -> bool:
        """Return whether few enough predictions and regression outputs changed; False if an output is NaN."""
        return (
            math.isfinite(self.difference)
            and (self.share or 0.0) <= most_changed
            and (self.relative or 0.0) <= tolerance
        )


def count_changes(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], tasks: Sequence[tuple[str, float]]
) -> Changes:
    """Count the predictions that differ between two models' outputs.

    Args:
        before: One array `(samples, ...)` per output.
        after: The same for the other model.
        tasks: As returned by `tasks_of`.

    Examples:
        >>> logits = np.array([[1.0, 2.0], [3.0, 0.0]])
        >>> count_changes([logits], [logits[:, ::-1]], [("classes", 0.0)]).changed
        2
    """
    decisions: list[np.ndarray] = []
    relative: list[float] = []
    for old, new, (task, threshold) in zip(before, after, tasks, strict=True):
        if task == "regression":
            deviation = float(old.std())
            error = float(np.sqrt(np.mean((new.astype("float64") - old) ** 2)))
            relative.append(error / deviation if deviation else (0.0 if error == 0 else math.inf))
        elif task == "classes":
            decisions.append((old.argmax(-1) != new.argmax(-1)).ravel())
        else:
            decisions.append(((old > threshold) != (new > threshold)).ravel())
    counted = np.concatenate(decisions) if decisions else np.zeros(0, bool)
    return Changes(
        task=", ".join(task for task, _ in tasks),
        samples=len(before[0]),
        predictions=counted.size,
        changed=int(counted.sum()),
        difference=_largest_difference(before, after),
        relative=max(relative, default=None),
    )


def _largest_difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> float:
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        largest = [np.abs(new - old).max(initial=0.0) for old, new in zip(before, after, strict=True)]
    return float(np.max(largest))  # which keeps NaN


def tasks_of(
    model: Model, outputs: Sequence[np.ndarray], labels: ArrayLike | None = None, task: str = "auto"
) -> list[tuple[str, float]]:
    """Return the task of each output, and for `"binary"` its decision threshold.

    An output with several columns is a classification, or after a sigmoid several binary ones. One column is a
    probability after a sigmoid, a logit if the labels are 0 and 1, and otherwise a regression.

    The threshold is 0.5 after a sigmoid. It is 0.5 as well if all outputs lie in [0, 1], unless they are those of a
    linear layer and the task was not given as `"binary"`. Otherwise it is 0.

    Args:
        model: The model, whose output activations are inspected.
        outputs: Values of each output.
        labels: The labels, if known. Defaults to `None`.
        task: One of `TASKS`, to override the judgement. Defaults to `"auto"`.

    Raises:
        ValueError: If the task is unknown, or is `"classes"` for an output with one column.
    """
    one_of("task", task, TASKS)
    symbols = getattr(model, "outputs", None) or [None] * len(outputs)  # unknown for a subclassed model
    behind = [activation_behind(symbol) for symbol in symbols]
    return [_task(activation, values, labels, task) for activation, values in zip(behind, outputs, strict=True)]


def _task(activation: object, outputs: np.ndarray, labels: ArrayLike | None, task: str) -> tuple[str, float]:
    sigmoid, said = activation is keras.activations.sigmoid, task == "binary"
    columns = outputs.shape[-1] if outputs.ndim > 1 else 1
    if task == "auto":
        yes_or_no = sigmoid or (columns == 1 and labels is not None and set(np.unique(labels)) <= {0, 1})
        task = "binary" if yes_or_no else "classes" if columns > 1 else "regression"
    elif task == "classes" and columns == 1:
        raise ValueError(
            "`task='classes'` needs a column for each class. Received: one. Use 'binary' or 'regression', or 'auto' if "
            "outputs differ"
        )
    within = outputs.size > 0 and 0 <= outputs.min() and outputs.max() <= 1
    probabilities = sigmoid or (within and (said or activation is not keras.activations.linear))
    return task, 0.5 if task == "binary" and probabilities else 0.0


def activation_behind(output: Tensor | None) -> object:
    """Return the activation that computed a symbolic output, also in a nested model; None if none is known.

    Layers and operations that keep its values are passed by; several inputs of one must have the same activation.
    """
    while output is not None and (source := producer(output)) is not None:
        operation = source.operation
        of = operation.layer if isinstance(operation, keras.layers.TimeDistributed) else operation
        activation = getattr(of, "activation", None)
        if inside := getattr(operation, "outputs", None):
            output = inside[source.position]
        elif type(operation).__name__ in _PASSED_BY or (
            isinstance(operation, keras.layers.Activation) and activation is keras.activations.linear
        ):
            first, *others = (activation_behind(entry) for entry in source.inputs)
            return first if all(other is first for other in others) else None
        elif type(operation).__name__ in ("Sigmoid", "Softmax"):  # operations of keras.ops, or the layer Softmax
            return getattr(keras.activations, type(operation).__name__.lower())
        else:
            return activation
    return None
