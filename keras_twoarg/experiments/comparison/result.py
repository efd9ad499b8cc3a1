"""What a comparison found: a row and a sentence for each arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_twoarg.analysis.statistics import Paired, paired
from keras_twoarg.experiments.comparison.networks import OWN
from keras_twoarg.experiments.comparison.runs import Run
from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.utils.table import Table, aligned

_MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine_similarity")
_COLUMNS = (
    "units", "parameters", "learning rate", "epoch", "test {figure}", "minus yours", "verdict", "seconds an epoch",
    "× yours", "two_arg minus it",
)  # fmt: skip
_OPTIONAL = ("learning rate", "two_arg minus it")


@dataclass(frozen=True)
class Comparison:
    """Runs of a model as it is, arm `"own"`, and with other units.

    Attributes:
        runs: All runs, of every learning rate.
        keep: As in `compare`.
    """

    runs: tuple[Run, ...]
    keep: str

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms, the model's own first."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    def chosen(self, arm: str) -> list[Run]:
        """Return an arm's runs of the learning rate whose mean validation loss over the seeds is the lowest."""
        own = [run for run in self.runs if run.arm == arm]
        rates = list(dict.fromkeys(run.learning_rate for run in own))
        means = {rate: np.mean([run.validation for run in own if run.learning_rate == rate]) for rate in rates}
        best = min(rates, key=lambda rate: means[rate])
        return [run for run in own if run.learning_rate == best]

    @cached_property
    def figure(self) -> str:
        """What is compared: the first metric that the model was compiled with, or the loss."""
        names = [name for run in self.runs for name in run.test or () if not name.endswith("loss")]
        return names[0] if names else "loss"

    @property
    def more_is_better(self) -> bool:
        """Whether a larger figure is the better one."""
        return any(part in self.figure.lower() for part in _MORE_IS_BETTER)

    def values(self, arm: str) -> dict[int, float]:
        """Return the test figure of an arm by seed, of the runs that did not diverge."""
        return {run.seed: run.test[self.figure] for run in self.chosen(arm) if run.test and not run.diverged}

    def difference(self, arm: str, other: str = OWN) -> Paired | None:
        """Return how one arm differs from another, paired over the seeds that both have, or None if there is none."""
        first, second = self.values(arm), self.values(other)
        seeds = [seed for seed in first if seed in second]
        return paired([first[seed] for seed in seeds], [second[seed] for seed in seeds]) if seeds else None

    def verdict(self, arm: str, other: str = OWN) -> str:
        """Return `"better"`, `"worse"`, `"not shown"`, or why nothing can be said."""
        difference = self.difference(arm, other)
        if difference is None:
            return "diverged"
        if difference.number == 1:
            return "one seed"
        if difference.low <= 0 <= difference.high:
            return "not shown"
        return "better" if (difference.low > 0) == self.more_is_better else "worse"

    def table(self) -> Table:
        """Return a row for each arm."""
        rows = [self._row(arm) for arm in self.arms]
        used = [j for j, name in enumerate(_COLUMNS) if name not in _OPTIONAL or any(row[j] for row in rows)]
        cells = tuple(tuple(row[j] for j in used) for row in rows)
        own = self.chosen(OWN)[0].parameters
        missed = [abs(self.chosen(arm)[0].parameters / own - 1) > TOLERANCE for arm in self.arms]
        flagged = frozenset((i, 1) for i, miss in enumerate(missed) if miss and self.keep == "parameters")
        columns = tuple(_COLUMNS[j].format(figure=self.figure) for j in used)
        return Table("Your model, as it is and with other units", columns, cells, self._caption(), flagged=flagged)

    def _row(self, arm: str) -> tuple[str, ...]:
        chosen, values = self.chosen(arm), list(self.values(arm).values())
        rate, lost = chosen[0].learning_rate, len(chosen) - len(values)
        is_other = arm not in (OWN, "two_arg") and "two_arg" in self.arms
        return (
            "yours, as it is" if arm == OWN else arm,
            f"{chosen[0].parameters:,}",
            "" if rate is None else f"{rate:g}",
            f"{np.median([run.best_epoch for run in chosen]):g}",
            ", ".join(([_mean(self._shown(values))] if values else []) + ([f"{lost} diverged"] if lost else [])),
            "" if arm == OWN else self._told(self.difference(arm)),
            "" if arm == OWN else self.verdict(arm),
            f"{self._seconds(arm):.2f}",
            f"{self._seconds(arm) / self._seconds(OWN):.2f}",
            self._told(self.difference("two_arg", arm)) if is_other else "",
        )

    def _seconds(self, arm: str) -> float:
        return float(np.median([run.seconds for run in self.chosen(arm)]))

    def sentences(self) -> list[str]:
        """Return what can be said of each arm."""
        said = []
        for arm in self.arms[1:]:
            difference, verdict = self.difference(arm), self.verdict(arm)
            if difference is None:
                said.append(f"{arm}: every seed diverged, of it or of your model.")
                continue
            seconds = np.median([r.seconds for r in self.chosen(arm)]) / np.median(
                [r.seconds for r in self.chosen(OWN)]
            )
            what = {
                "better": "is better than your model",
                "worse": "is worse than your model",
                "not shown": "no difference from your model is shown",
                "one seed": "one seed says little; give it more",
            }[verdict]
            by = f"test {self.figure} {self._told(difference)}{', points' if self._in_percent else ''}"
            said.append(f"{arm}: {what}; {by}; {seconds:.2f} times its seconds.")
        return said

    def __str__(self) -> str:
        table = self.table()
        return "\n\n".join([aligned(table.columns, table.rows, to="left"), table.caption, "\n".join(self.sentences())])

    def _shown(self, values: Sequence[float]) -> list[float]:
        """Return figures as they are shown: accuracies in percent."""
        return [100 * value for value in values] if self._in_percent else list(values)

    @property
    def _in_percent(self) -> bool:
        return "acc" in self.figure.lower()

    def _told(self, difference: Paired | None) -> str:
        if difference is None:
            return ""
        mean, low, high = self._shown([difference.difference, difference.low, difference.high])
        form = "+.2f" if self._in_percent else "+.3g"
        return f"{mean:{form}}" + (f" ({low:{form}} to {high:{form}})" if difference.number > 1 else "")

    def _caption(self) -> str:
        seeds = len(self.chosen(OWN))
        unit = "in percent, differences in points" if self._in_percent else "as Keras computes it"
        more = "more" if self.more_is_better else "less"
        start = (
            "All from new weights, with as many parameters as yours within 0.5 % (red: not)"
            if self.keep == "parameters"
            else "All from your model's weights; the converted ones have more parameters, to which a gain may be due"
        )
        return (
            f"{start}. {seeds} seed{'s' * (seeds > 1)}; mean ± standard deviation, {unit}, {more} is better; "
            "differences paired over seeds, with Student's 95 % interval, not corrected for their number. Each run at "
            "its epoch of lowest validation loss; the test looked at once, behind all choices. Seconds of the median "
            "epoch, validation included; where other work runs on the machine they say little."
        )


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3g}" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{spread}"
