"""The runs of a report, read once from their folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_twoarg.experiments.reports.stored_runs import StoredRun, stored_runs
from keras_twoarg.experiments.reports.surface_tables import Surface
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage


@dataclass(frozen=True)
class Runs:
    """Every stage of some runs, and what a report tells of them.

    Attributes:
        stored: The stages as they are stored.
    """

    stored: Sequence[StoredRun]

    @cached_property
    def records(self) -> list[Record]:
        """All records."""
        return [run.record for run in self.stored]

    @cached_property
    def surfaces(self) -> list[Surface]:
        """The phi of every finished joint stage with two arguments; all tables and figures share its analyses."""
        joint = [run for run in self.stored if run.has_phi and run.record.stage == Stage.JOINT]
        surfaces = [Surface(run.record, run.phi()) for run in joint if run.record.status == "finished"]
        return [surface for surface in surfaces if surface.trace.learned.ndim == 2]

    @property
    def robustness(self) -> list[tuple[Record, Robustness]]:
        """Every measurement of robustness, with the record of its run."""
        return [(run.record, measured) for run in self.stored for measured in run.robustness]


def read_runs(folders: Sequence[Path], seed: int | None = None) -> Runs:
    """Read all runs below folders, or those of one seed.

    Raises:
        ValueError: If there are none, or two data sets have the same name.
    """
    runs = stored_runs(folders, seed)
    _check_data(runs)
    if not runs:
        wanted = "" if seed is None else f" of seed {seed}"
        raise ValueError(f"There are no records of finished runs{wanted} in {', '.join(map(str, folders))}")
    return Runs(runs)


def _check_data(runs: Sequence[StoredRun]) -> None:
    """Raise a ValueError if different data have the same name: their runs cannot be compared."""
    seen: dict[str, tuple[str, StoredRun]] = {}
    for run in (run for run in runs if run.dataset_fingerprint is not None):
        checksum, _, _ = str(run.dataset_fingerprint).partition("-")  # of a text, the context follows: a setting
        known, first = seen.setdefault(run.record.dataset, (checksum, run))
        if known != checksum:
            raise ValueError(
                f"Different data have the name {run.record.dataset}: those of {first.location} and of {run.location}. "
                "Report them separately, or rename the files and train again"
            )
