"""What baking a model changed, place by place and for the whole model."""

from dataclasses import asdict, dataclass

from keras_twoarg.export.calibration import LOOKED_AT
from keras_twoarg.utils.table import aligned
from keras_twoarg.utils.types import JsonObject


@dataclass(frozen=True)
class Place:
    """What baking did at one place. Errors are those of the table relative to the exact phi.

    Pre-activations are those of 2,000 calibration samples, spread evenly over them; without any, normal numbers.

    Attributes:
        name: The layer's name, numbered if several layers share it.
        before: `"exact"`, or `"interpolated"` if the table is the one that the model was using.
        extent: The table's nodes lie on [-extent, extent] along each argument.
        resolution: Nodes along each argument.
        arity: Number of arguments.
        largest: Largest absolute error at the pre-activations.
        mean: Mean absolute error there.
        largest_on_plane: Largest absolute error on a fine grid over the whole table.
        mean_on_plane: Mean absolute error on that grid.
        deviation: Standard deviation of phi at the pre-activations: the errors' scale.
        outside: Fraction of pre-activations outside the table, where it extrapolates linearly; 0 for one made for them.
        bytes: Size of the table.
    """

    name: str
    before: str
    extent: float
    resolution: int
    arity: int
    largest: float
    mean: float
    largest_on_plane: float
    mean_on_plane: float
    deviation: float
    outside: float
    bytes: int


@dataclass(frozen=True)
class BakingReport:
    """What baking a model changed; it prints as a table.

    Attributes:
        places: One entry per TwoArgActivation.
        tolerance: The tolerance that the tables were chosen for.
        most_changed: The largest allowed fraction of changed predictions.
        samples: Number of calibration samples. If it is 0, predictions were not checked, and the fields below are
            `None`.
        task: What counts as a prediction: for `"classes"` the largest output, for `"binary"` whether the output exceeds
            0.5, or 0 for a logit; a `"regression"` has no predictions.
        changed: Fraction of changed predictions, at most `most_changed`; `None` for a regression.
        bound: Exact (Clopper-Pearson) upper 95 % confidence bound of that fraction on samples like these; `None` unless
            each sample has one prediction.
        relative: Root mean square change of regression outputs relative to their standard deviation, at most
            `tolerance`.
        difference: Largest absolute difference of outputs.
        accuracy_before: Accuracy on the calibration data, if labels were given.
        accuracy_after: The same for the baked model.
        timed: Number of samples, from the first, that were timed.
        seconds_before: Median of 3 times to predict them with `predict_on_batch`.
        seconds_after: The same for the baked model.
    """

    places: tuple[Place, ...]
    tolerance: float
    most_changed: float
    samples: int = 0
    task: str | None = None
    changed: float | None = None
    bound: float | None = None
    relative: float | None = None
    difference: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    timed: int | None = None
    seconds_before: float | None = None
    seconds_after: float | None = None

    def to_dict(self) -> JsonObject:
        """Return all fields as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        head = ("place", "nodes", "extent", "largest error", "mean error", "on the plane", "phi's std", "outside", "kB")
        rows = [
            (
                place.name,
                " x ".join([str(place.resolution)] * place.arity),
                f"{place.extent:.2f}",
                f"{place.largest:.1e}",
                f"{place.mean:.1e}",
                f"{place.largest_on_plane:.1e}",
                f"{place.deviation:.3f}",
                f"{place.outside:.3%}" if self.samples else "-",
                f"{place.bytes / 1000:.0f}",
            )
            for place in self.places
        ]
        return "\n".join([aligned(head, rows), *self._sentences()])

    def _sentences(self) -> list[str]:
        if not self.samples:
            return [
                "No calibration data: pre-activations were assumed to be normally distributed, as behind a LayerNorm, "
                "and predictions were not checked."
            ]
        some = f"The table is of {LOOKED_AT} of the {self.samples} samples, spread evenly; others may lie outside."
        looked_at = [some] if self.samples > LOOKED_AT else []
        sentences = [*looked_at, *self._changes(), f"Largest difference of outputs: {self.difference:.1e}."]
        if self.accuracy_before is not None:
            sentences.append(f"Accuracy: {self.accuracy_before:.2%} before, {self.accuracy_after:.2%} after.")
        times = f"{self.seconds_before:.2f} s before, {self.seconds_after:.2f} s after"
        return [*sentences, f"Predicting the first {self.timed}: {times}."]

    def _changes(self) -> list[str]:
        sentences = []
        if self.changed is not None:
            allowed = f"at most {self.most_changed:.3%} allowed"
            if self.bound is None:
                counted = f"{self.changed:.3%} of the predictions of {self.samples} samples changed; {allowed}."
                sentences.append(f"{counted} A sample has several dependent ones, so there is no bound for others.")
            else:
                counted = f"{round(self.changed * self.samples)} of {self.samples} predictions changed"
                sure = f"on samples like these at most {self.bound:.3%}, with 95 % confidence"
                sentences.append(f"{counted} ({self.changed:.3%}; {allowed}); {sure}.")
        if self.relative is not None:
            change = f"Outputs changed by {self.relative:.2e} of their standard deviation, root mean square"
            sentences.append(
                f"{change} (at most {self.tolerance:g} allowed); a regression has no predictions to count."
            )
        return sentences
