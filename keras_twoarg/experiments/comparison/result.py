"""What a comparison found: a row and a sentence for each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from keras_twoarg.analysis.statistics import Paired, in_both, paired
from keras_twoarg.experiments.comparison.metrics import more_is_better
from keras_twoarg.experiments.comparison.networks import OWN
from keras_twoarg.experiments.comparison.runs import Run
from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.utils.table import Table, aligned

_COLUMNS = (
    "units", "parameters", "learning rate", "epoch", "test {figure}", "minus yours", "verdict", "seconds an epoch",
    "× yours", "two_arg minus it",
)  # fmt: skip
_OPTIONAL = ("learning rate", "two_arg minus it")
_FINDINGS = ("units", "test {figure}", "minus yours", "verdict", "parameters")
_TRAINING = ("units", "learning rate", "epoch", "seconds an epoch", "× yours", "two_arg minus it")
_YOURS = "yours, as it is"


@dataclass(frozen=True)
class Comparison:
    """Runs of a model as it is, arm `"own"`, and with other units.

    Attributes:
        runs: All runs, of every learning rate.
        keep: As in `compare`.
        metrics: The metrics that can be compared, in the order in which the model was compiled with them, and whether
            more of each is better. Without them, their names tell.
        recipe: How all were trained, for people.
    """

    runs: tuple[Run, ...]
    keep: str
    metrics: Mapping[str, bool] = field(default_factory=dict)
    recipe: str = ""

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms, the model's own first."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    def chosen(self, arm: str) -> list[Run]:
        """Return an arm's runs at the learning rate whose mean validation loss over the seeds is the lowest."""
        own = [run for run in self.runs if run.arm == arm]
        rates = list(dict.fromkeys(run.learning_rate for run in own))
        means = {rate: np.mean([run.validation for run in own if run.learning_rate == rate]) for rate in rates}
        best = min(rates, key=lambda rate: means[rate])
        return [run for run in own if run.learning_rate == best]

    @cached_property
    def figure(self) -> str:
        """What is compared: the first metric of which it is known whether more is better, or the loss."""
        ordered = [*self.metrics, *self._tested]
        return next((name for name in ordered if name in self._tested and self._direction(name) is not None), "loss")

    @property
    def more_is_better(self) -> bool:
        """Whether a larger figure is the better one."""
        return bool(self._direction(self.figure))

    @cached_property
    def _tested(self) -> tuple[str, ...]:
        names = dict.fromkeys(name for run in self.runs for name in run.test or ())
        return tuple(name for name in names if not name.endswith("loss"))

    def _direction(self, name: str) -> bool | None:
        return self.metrics[name] if name in self.metrics else more_is_better(name)

    def values(self, arm: str) -> dict[int, float]:
        """Return an arm's test figure by seed, of the runs that have a finite one.

        A run that diverged counts as tested at its best epoch: without it, an arm that is unstable would seem better.
        """
        tested = {run.seed: run.test.get(self.figure) for run in self.chosen(arm) if run.test}
        return {seed: value for seed, value in tested.items() if value is not None and np.isfinite(value)}

    def _told_runs(self, arm: str) -> str:
        """Tell how many of an arm's runs diverged, and how many have no value; nothing if all are whole."""
        chosen, values = self.chosen(arm), self.values(arm)
        diverged, lost = sum(run.diverged for run in chosen), len(chosen) - len(values)
        return ", ".join(f"{n} {what}" for n, what in ((diverged, "diverged"), (lost, "left out")) if n)

    def difference(self, arm: str, other: str = OWN) -> Paired | None:
        """Return how one arm differs from another, paired over the seeds that both have, or None if there is none."""
        pairs = in_both(self.values(arm), self.values(other))
        return paired(*pairs) if pairs[0] else None

    def verdict(self, arm: str, other: str = OWN) -> str:
        """Return `"better"`, `"worse"`, `"not shown"`, or why nothing can be said."""
        difference = self.difference(arm, other)
        if difference is None:
            return "left out"
        if difference.number == 1:
            return "one seed"
        if not difference.has_interval or difference.low <= 0 <= difference.high:
            return "not shown"
        return "better" if (difference.low > 0) == self.more_is_better else "worse"

    def table(self) -> Table:
        """Return a row for each arm, with everything in it."""
        return self._table("Your model, as it is and with other units", _COLUMNS, self._caption())

    def tables(self, own: str = "yours") -> list[Table]:
        """Return the same as two tables that fit a terminal: what was found, and how the training went."""
        return [
            self._table("Your model, as it is and with other units", _FINDINGS, "", own),
            self._table("Training", _TRAINING, self._caption(), own),
        ]

    def _table(self, title: str, columns: Sequence[str], caption: str, own: str = _YOURS) -> Table:
        rows = [self._row(arm, own) for arm in self.arms]
        used = [name for name in columns if name not in _OPTIONAL or any(row[name] for row in rows)]
        cells = tuple(tuple(row[name] for name in used) for row in rows)
        missed = [i for i, arm in enumerate(self.arms) if "parameters" in used and self._misses(arm)]
        flagged = frozenset((i, used.index("parameters")) for i in missed)
        return Table(title, tuple(name.format(figure=self.figure) for name in used), cells, caption, flagged=flagged)

    def _misses(self, arm: str) -> float:
        """Return by how much an arm misses the model's parameters, as a share, or 0 where it need not have as many."""
        share = self.chosen(arm)[0].parameters / self.chosen(OWN)[0].parameters - 1
        return share if self.keep == "parameters" and abs(share) > TOLERANCE else 0.0

    def _row(self, arm: str, own: str) -> dict[str, str]:
        chosen, values = self.chosen(arm), list(self.values(arm).values())
        rate = chosen[0].learning_rate
        is_other = arm not in (OWN, "two_arg") and "two_arg" in self.arms
        share = self._misses(arm)
        cells = (
            own if arm == OWN else arm,
            f"{chosen[0].parameters:,}" + (f" ({share:+.1%})" if share else ""),
            "" if rate is None else f"{rate:g}",
            f"{np.median([run.best_epoch for run in chosen]):g}",
            ", ".join(filter(None, [_mean(self._shown(values)) if values else "", self._told_runs(arm)])),
            "" if arm == OWN else self._told(arm),
            "" if arm == OWN else self.verdict(arm),
            f"{self._seconds(arm):.2f}",
            f"{self._seconds(arm) / self._seconds(OWN):.2f}",
            self._told("two_arg", arm) if is_other else "",
        )
        return dict(zip(_COLUMNS, cells, strict=True))

    def _seconds(self, arm: str) -> float:
        return float(np.median([run.seconds for run in self.chosen(arm)]))

    def sentences(self) -> list[str]:
        """Return what can be said of each arm."""
        return [self._sentence(arm) for arm in self.arms[1:]]

    def _sentence(self, arm: str) -> str:
        difference = self.difference(arm)
        if difference is None:
            return (
                f"{arm}: nothing can be said, since no seed gave a finite test {self.figure} of both it and your model."
            )
        what = {
            "better": "better than your model",
            "worse": "worse than your model",
            "not shown": "no difference from your model is shown",
            "one seed": "one seed says little; use more",
        }[self.verdict(arm)]
        if difference.number > 1 and not difference.has_interval:
            what = "all seeds differ by the same, which gives no interval; use more seeds or test samples"
        points = " points" if self._in_percent else ""
        pace = self._seconds(arm) / self._seconds(OWN)
        return f"{arm}: {what}. Test {self.figure} {self._told(arm)}{points}; {pace:.2f} times the seconds of yours."

    def __str__(self) -> str:
        findings, training = self.tables()
        blocks = [aligned(table.columns, table.rows, to="left") for table in (findings, training)]
        return "\n\n".join([*blocks, training.caption, "\n".join(self.sentences())])

    def _shown(self, values: Sequence[float]) -> list[float]:
        """Return figures as they are shown: accuracies in percent."""
        return [100 * value for value in values] if self._in_percent else list(values)

    @property
    def _in_percent(self) -> bool:
        return "acc" in self.figure.lower()

    def _told(self, arm: str, other: str = OWN) -> str:
        difference = self.difference(arm, other)
        if difference is None:
            return ""
        mean, low, high = self._shown([difference.difference, difference.low, difference.high])
        form = "+.2f" if self._in_percent else "+.3g"
        return f"{mean:{form}}" + (f" ({low:{form}} to {high:{form}})" if difference.has_interval else "")

    def _caption(self) -> str:
        seeds = len(self.chosen(OWN))
        unit = "in percent, with differences in points" if self._in_percent else "as Keras computes it"
        start = (
            "All start from new weights and have as many parameters as yours, within 0.5 % unless the table says "
            "otherwise."
            if self.keep == "parameters"
            else "All start from your model's weights. The converted ones have more parameters, which may be the cause "
            "of a gain."
        )
        trained = f" Each is trained alike: {self.recipe}." if self.recipe else ""
        unknown = [name for name in self._tested if self._direction(name) is None]
        left = (
            f" Not compared, since it is not known whether more is better: {', '.join(unknown)}."
            if unknown and self.figure == "loss"
            else ""
        )
        return (
            f"{start}{trained} Test {self.figure}: mean{' ± standard deviation' * (seeds > 1)} over {seeds} "
            f"seed{'s' * (seeds > 1)}, {unit}; {'more' if self.more_is_better else 'less'} is better.{left} "
            "Differences are paired over the seeds, with Student's 95 % interval, not corrected for their number. Each "
            "run counts at its epoch of lowest validation loss, also if it diverged later; those without a finite test "
            "figure are left out. The test was looked at once, after all choices. "
            "Seconds are of the median epoch, validation included, and say little if the machine had other work."
        )


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3g}" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{spread}"
