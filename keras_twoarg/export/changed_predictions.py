"""What counts as another prediction, how many there are, and what their number says about other samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_twoarg.utils.keras_internals import producer
from keras_twoarg.utils.types import ArrayLike, Model, Tensor

TASKS = ("auto", "classes", "binary", "regression")


@dataclass(frozen=True)
class Changes:
    """How two models' outputs for the same samples differ.

    Attributes:
        task: What was compared: `"classes"`, `"binary"` or `"regression"`; several outputs have them joined by commas.
        samples: Number of samples.
        predictions: Number of predictions counted: one for each sample, or for each position of a map of classes, and
            of each output. 0 for regression.
        changed: How many of them are other ones.
        difference: Largest absolute difference of outputs; NaN if one of them is NaN.
        relative: Root mean square difference of regression outputs, as a share of their standard deviation over the
            samples; the largest of several outputs. `None` without such outputs.
    """

    task: str
    samples: int
    predictions: int
    changed: int
    difference: float
    relative: float | None = None

    @property
    def share(self) -> float | None:
        """Share of changed predictions; `None` for regression."""
        return self.changed / self.predictions if self.predictions else None

    @property
    def bound(self) -> float | None:
        """Upper 95 % bound of that share on samples like these.

        `None` for regression, and where a sample has several predictions: these depend on one another.
        """
        return upper_bound(self.changed, self.samples) if self.predictions == self.samples else None

    def sentence(self, most_changed: float) -> str:
        """Return in words what changed; of a regression, the change of outputs as a share of their deviation."""
        allowed = f"allowed are {most_changed:.2%}"
        if self.share is None:
            return f"outputs changed by {self.relative:.1%} of their standard deviation, root mean square ({allowed})"
        return f"{self.changed} of {self.predictions} predictions changed ({self.share:.2%}; {allowed})"

    def within(self, most_changed: float, tolerance: float) -> bool:
        """Tell whether few enough predictions have changed, and regression outputs little enough; never with NaN."""
        return (
            math.isfinite(self.difference)
            and (self.share or 0.0) <= most_changed
            and (self.relative or 0.0) <= tolerance
        )


def count_changes(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], tasks: Sequence[tuple[str, float]]
) -> Changes:
    """Compare outputs with what they were.

    Args:
        before: One array `(samples, ...)` for each output.
        after: The same of another model.
        tasks: What `tasks_of` returns.

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
    """Return what each output is for, and for `"binary"` the threshold between its two answers.

    An output of several columns stands for classes, or behind a sigmoid for as many questions of yes and no. One
    column is a probability behind a sigmoid, a logit if the labels are 0 and 1, and a regression else.

    The threshold is one half behind a sigmoid. What comes out of another activation is taken as a probability too if
    all of it lies in [0, 1], and out of a layer without one if one says `"binary"` oneself. Else the threshold is 0.

    Args:
        model: The model, for the activation behind each of its outputs.
        outputs: Some values of each.
        labels: Labels, if there are any. Defaults to `None`.
        task: One of `TASKS`, to say so oneself. Defaults to `"auto"`.

    Raises:
        ValueError: If the task is unknown.
    """
    if task not in TASKS:
        raise ValueError(f"`task` must be one of {TASKS}. Received: task={task!r}")
    symbols = getattr(model, "outputs", None) or [None] * len(outputs)  # a subclassed model does not say
    behind = [activation_behind(symbol) for symbol in symbols]
    return [_task(activation, values, labels, task) for activation, values in zip(behind, outputs, strict=True)]


def _task(activation: object, outputs: np.ndarray, labels: ArrayLike | None, task: str) -> tuple[str, float]:
    sigmoid, said = activation is keras.activations.sigmoid, task == "binary"
    if task == "auto":
        columns = outputs.shape[-1] if outputs.ndim > 1 else 1
        yes_or_no = sigmoid or (columns == 1 and labels is not None and set(np.unique(labels)) <= {0, 1})
        task = "binary" if yes_or_no else "classes" if columns > 1 else "regression"
    within = outputs.size > 0 and 0 <= outputs.min() and outputs.max() <= 1
    probabilities = sigmoid or (within and (said or activation not in (None, keras.activations.linear)))
    return task, 0.5 if task == "binary" and probabilities else 0.0


def activation_behind(output: Tensor | None) -> object:
    """Return the activation that a symbolic output comes out of, also inside of a nested model; None if it has none."""
    while output is not None and (source := producer(output)) is not None:
        operation = source.operation
        if inside := getattr(operation, "outputs", None):
            output = inside[source.position]
        elif isinstance(operation, keras.layers.Reshape | keras.layers.Flatten | keras.layers.Identity):
            (output,) = source.inputs
        elif type(operation).__name__ in ("Sigmoid", "Softmax"):  # of keras.ops; the second also a layer
            return getattr(keras.activations, type(operation).__name__.lower())
        else:
            of = operation.layer if isinstance(operation, keras.layers.TimeDistributed) else operation
            return getattr(of, "activation", None)
    return None


def upper_bound(changed: int, number: int, confidence: float = 0.95) -> float:
    """Return the exact (Clopper-Pearson) one-sided upper bound of a share.

    Args:
        changed: How many of the samples.
        number: Number of independent samples.
        confidence: Probability with which the bound holds. Defaults to `0.95`.

    Examples:
        >>> round(upper_bound(0, 2000), 5)  # three in two thousand
        0.0015
    """
    if not 0 <= changed <= number or number < 1:
        raise ValueError(f"Expected a part of at least one sample. Received: {changed} of {number}")
    if changed == number:
        return 1.0
    k = np.arange(changed + 1)
    choices = np.array([_log_choices(number, int(i)) for i in k])
    low, high = changed / number, 1.0
    for _ in range(60):  # until the probability of so few is what is left of the confidence
        middle = (low + high) / 2
        few = np.exp(choices + k * math.log(middle) + (number - k) * math.log1p(-middle)).sum() if middle > 0 else 1.0
        low, high = (middle, high) if few > 1 - confidence else (low, middle)
    return high


def _log_choices(number: int, k: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
