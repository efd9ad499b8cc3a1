"""What all commands share: the group, parsers of options, one-line errors, progress and tables."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.errors import MarkupError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from keras_twoarg import __version__
from keras_twoarg.utils.progress import WARNING
from keras_twoarg.utils.types import JsonObject, Model

if TYPE_CHECKING:
    from keras_twoarg.experiments.reports.runs import Runs
    from keras_twoarg.experiments.training.bounds import Bounds
    from keras_twoarg.experiments.training.datasets import Split
    from keras_twoarg.utils.table import Table

T = TypeVar("T")

console = Console(markup=False)  # paths and messages are not markup
_LONGEST = 600  # characters of an error
_OF_PATHS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Use a path that you have permission for"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "There is a file where a folder is needed. Use another path"),
    errno.EISDIR: "There is a folder where a file is needed. Use another path",
    errno.ENAMETOOLONG: "Use a shorter name",
}
"""Remedies for errors of a path."""
_RESUMING = ("bench", "compare", "demo", "reproduce", "robustness", "train", "tune")
"""Commands that keep what they have done when they are stopped."""


class UserMistake(click.ClickException):
    """A mistake in the user's input: one line, exit status 2."""

    exit_code = 2


def say(text: str) -> None:
    """Print a line without highlighting or wrapping."""
    console.print(text, highlight=False, soft_wrap=True)


class _OneLineErrors(click.Command):
    """A command that turns a user's mistake into one line and exit status 2; `TWOARG_DEBUG=1` shows the traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            resume = " Run the same command again to resume." if self.name in _RESUMING else ""
            raise click.ClickException(f"Stopped.{resume}") from None
        except Exception as error:
            if os.environ.get("TWOARG_DEBUG"):
                raise
            raise _told(error) from error


def _told(error: Exception) -> click.ClickException:
    line = _in_one_line(error)
    if isinstance(error, _mistakes()):
        return UserMistake(line)
    if isinstance(error, ArithmeticError):  # meaningless numbers, which are not the user's mistake
        return click.ClickException(line)
    # unforeseen, also a TypeError; still no traceback for what a user typed
    return click.ClickException(f"{type(error).__name__}: {line} (unexpected; TWOARG_DEBUG=1 shows where)")


def _mistakes() -> tuple[type[Exception], ...]:
    """Return the errors caused by a user's input, or by a machine too small for it."""
    mistakes = (ValueError, OSError, ImportError, RuntimeError, MemoryError, MarkupError)
    tensorflow = sys.modules.get("tensorflow")  # it has its own errors for full disks and too large tensors
    return (*mistakes, tensorflow.errors.OpError) if tensorflow else mistakes


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        text = f"There is not enough memory: {text}. Use smaller sizes"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = f"The disk is full: {error.filename or text}. Free some space and run the same command again"
    elif isinstance(error, OSError) and error.filename and error.errno in _OF_PATHS:
        text = f"{error.strerror}: {error.filename!r}. {_OF_PATHS[error.errno]}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... (TWOARG_DEBUG=1 shows all)"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="twoarg")
def twoarg() -> None:
    """Two-argument activation functions: train, inspect, report and export."""


twoarg.command_class = _OneLineErrors


def _list_of(kind: Callable[[str], T], example: str) -> Callable[[object, object, str | None], tuple[T, ...] | None]:
    """Return a callback that parses comma-separated values."""

    def parse(_context: object, _parameter: object, value: str | None) -> tuple[T, ...] | None:
        try:
            return None if value is None else tuple(kind(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"expected {example}. Received: {value}") from None

    return parse


widths = _list_of(int, "integers such as 64,64,64")
numbers = _list_of(float, "numbers such as 1e-3,3e-4")
words = _list_of(str.strip, "words")


def json_choices(_context: object, _parameter: object, value: str | None) -> JsonObject | None:
    """Parse a JSON object of lists of choices."""
    if value is None:
        return None
    shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ..."
    try:
        space = json.loads(value)
    except (json.JSONDecodeError, RecursionError) as error:
        raise click.BadParameter(f"expected JSON ({error}). Received: {shown}") from None
    if not isinstance(space, dict) or not all(isinstance(choices, list) for choices in space.values()):
        raise click.BadParameter(f'expected lists of choices such as {{"depth": [2, 3]}}. Received: {shown}')
    return space


OUT_HELP = "Folder for all results."
bounds_option = click.option(
    "--bounds",
    type=float,
    nargs=2,
    help="What MODEL takes for black and white.  [default: -1 1, unless it scales images by itself]",
)
PHI_HELP = "Widths of phi's hidden layers, such as 8,8 for a small MODEL.  [default: 64,64]"


def split_for(
    path: Path, model: Model, data: str | None, data_dir: str | None, bounds: "Bounds | None", seed: int | None
) -> "tuple[Split, str]":
    """Return the split of data for a saved model, in the range that it takes, and the task for `bake`; print notes."""
    from keras_twoarg.experiments.training import datasets
    from keras_twoarg.experiments.training.bounds import bounds_of
    from keras_twoarg.experiments.training.run_data import data_of

    found = data_of(path, model, data, seed=seed, data_dir=data_dir)
    datasets.check_fits(model, found.dataset)
    split = datasets.split(found.dataset, found.seed, bounds_of(model, bounds, found.dataset.kind))
    if found.note:
        say(f"Note: {found.note}")
    return split, "regression" if found.dataset.task == "regression" else "auto"


def _print_tables(*tables: "Table | None") -> None:
    for table in tables:
        if table is not None:
            console.print(table)


def print_report(runs: "Runs") -> None:
    """Print the tables that compare the arms."""
    from keras_twoarg.experiments.reports.run_tables import paired_table, runs_table

    _print_tables(runs_table(runs.records), paired_table(runs.records))


def print_findings(runs: "Runs") -> None:
    """Print all tables, which takes seconds to minutes."""
    from keras_twoarg.experiments.reports.robustness_tables import robustness_table
    from keras_twoarg.experiments.reports.run_tables import fairness_table
    from keras_twoarg.experiments.reports.surface_tables import soft_xor_table, surface_table

    _print_tables(fairness_table(runs.records))
    print_report(runs)
    _print_tables(surface_table(runs.surfaces), soft_xor_table(runs.surfaces), robustness_table(runs.robustness))


@contextmanager
def show_progress() -> Iterator[Callable[[str, int, int, str], None]]:
    """Yield a progress function with one bar per stage; warnings stay above the bars."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def progress(stage: str, done: int, total: int, note: str) -> None:
            if stage.endswith(WARNING):
                bars.console.print(f"{stage}: {note}", highlight=False, soft_wrap=True)
                return
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(tasks[stage], completed=done, note=note)

        yield progress
