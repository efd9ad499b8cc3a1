"""The command tune, which searches hyperparameters."""

import os
import platform
import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from keras_twoarg.cli.common import OUT_HELP, console, json_choices, say, show_progress, twoarg
from keras_twoarg.cli.options import settings_options
from keras_twoarg.experiments.settings import SearchSettings
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.utils.allocator import keep_freed_memory
from keras_twoarg.utils.figures import pyplot
from keras_twoarg.utils.types import JsonObject

FIXED = (
    "architecture", "widths", "epochs", "optimizer", "weight_decay", "phi_without_decay", "schedule", "warmup_epochs",
    "clip_norm", "phi_learning_rate", "evaluation", "table_resolution", "pretraining_epochs", "seed",
)  # fmt: skip
"""Settings that a search does not choose."""
OF_A_WORKER = ("--worker", "--out", "--name", "--chief-timeout", "--data-dir")
"""Options that have an effect on a worker."""
CHOSEN = (
    "depth", "taper", "dropout", "learning_rate", "batch_size", "normalization", "inner_units", "inner_activation",
    "phi_init", "phi_init_std", "pairing",
)  # fmt: skip
"""Settings that a search chooses, the names of `tuning.SPACE`, which would need KerasTuner here."""
HELP = {
    "architecture": "The outer network; a search takes mlp or cnn.",
    "epochs": "Epochs of each trial; for hyperband, of the longest.",
    "widths": "Units of two_arg, to which all arms are matched, such as 64,64,64.  [default: the paper's]",
}


@twoarg.command()
@click.option("--arm", "arms", multiple=True, help="As for train; repeat it for several arms.")
@click.option("--data", help="As for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP + " Shared by chief and workers.")
@settings_options(SearchSettings, without=("data", "arms"))
@click.option(
    "--space",
    callback=json_choices,
    help=f'Other choices, as JSON: {{"depth": [2, 3], "normalization": ["layer"]}}. Of: {", ".join(CHOSEN)}.',
)
@settings_options(Configuration, only=FIXED, helps=HELP, epochs=10)
@click.option(
    "--chief",
    "chief_at",
    metavar="HOST:PORT",
    help="Listen here and hand out trials to workers; a port alone means this machine.",
)
@click.option("--worker", "worker_of", metavar="HOST:PORT", help="Run trials for the chief there.")
@click.option("--name", help="Name of this worker.  [default: host and process]")
@click.option(
    "--worker-timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="For --chief: seconds of silence after which a worker's trial is given to another.",
)
@click.option(
    "--chief-timeout",
    type=click.FloatRange(0, min_open=True),
    default=1800.0,
    help="For --chief and --worker: seconds to wait for the other side.",
)
@click.pass_context
def tune(
    command: click.Context,
    /,
    out: Path,
    data_dir: str | None,
    chief_at: str | None,
    worker_of: str | None,
    name: str | None,
    worker_timeout: float,
    chief_timeout: float,
    **settings: Any,
) -> None:
    """Search for the best hyperparameters of each arm.

    All arms have the same number of parameters and the same budget. The same command resumes a stopped search; with
    more --trials it extends it. Use the result with `twoarg train --hparams OUT/best-ARM.json`.
    On several machines, run one `--chief` and any number of `--worker`, all with the same shared --out.
    """
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.experiments.tuning import arms_behind, cluster, search_of
    from keras_twoarg.experiments.tuning import tune as job

    given = [p.opts[0] for p in command.command.params if _is_given(command, p)]
    _refuse_what_has_no_effect(given, chief_at, worker_of)
    if worker_of is not None:
        keep_freed_memory()
        name = name or f"{platform.node()}-{os.getpid()}"
        say(f"{name}: runs trials of the chief at {worker_of}, and waits up to {chief_timeout:.0f} s for it at a time")
        with show_progress() as progress:
            cluster.worker(out, worker_of, name, progress, chief_timeout=chief_timeout, data_dir=data_dir)
        return
    if not settings["arms"] or settings["data"] is None:
        raise ValueError("Expected --data and at least one --arm")
    search = search_of({**settings, "arms": tuple(settings["arms"])}, "The search")
    pyplot()  # a missing package is named now, not behind the search
    check_target(out / "report.html", "tune")
    if chief_at is not None:
        rows = cluster.chief(
            search,
            out,
            chief_at,
            worker_timeout=worker_timeout,
            chief_timeout=chief_timeout,
            on_trial=_say_trial,
            say=say,
            data_dir=data_dir,
        )
    else:
        with show_progress() as progress:
            rows = job(search, out, progress, on_trial=_say_trial, data_dir=data_dir)
    _print_search(rows, out)
    for arm, done in rows.items():
        if len(done) < search.trials and search.tuner != "hyperband":  # which plans the number of its trials
            say(
                f"{arm} has {len(done)} of {search.trials} trials: no other configuration was found in its space. "
                "Choices are added with --space"
            )
    for arm, trials in arms_behind(search, out).items():
        say(f"{out} also holds {arm}, with {trials} trials. To give it up to {search.trials} too, add --arm {arm}")


def _is_given(command: click.Context, option: click.Parameter) -> bool:
    return command.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE


def _refuse_what_has_no_effect(given: list[str], chief_at: str | None, worker_of: str | None) -> None:
    """Raise a ValueError for options that this process would ignore."""
    if chief_at is not None and worker_of is not None:
        raise ValueError("--chief and --worker are separate processes. Use one of them per command")
    if worker_of is not None:
        if idle := sorted(set(given) - set(OF_A_WORKER)):
            raise ValueError(f"A worker reads its search from --out. Give {', '.join(idle)} to the --chief alone")
        return
    if "--name" in given:
        raise ValueError("--name is that of a worker. Leave it out, or start one with --worker HOST:PORT")
    if chief_at is None and (idle := sorted({"--worker-timeout", "--chief-timeout"} & set(given))):
        raise ValueError(f"Without --chief or --worker, no process waits for another. Leave out {' and '.join(idle)}")


def _say_trial(row: JsonObject) -> None:
    """Print one line for a finished trial."""
    score = "failed" if row["score"] is None else f"val {row['score']:.2%}"
    values = "  ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row["hyperparameters"].items()
    )
    arm, note = row["configuration"]["arm"], row["message"] or values
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f} s"
    say(f"{arm:>9} trial {row['trial']:3d}  {score:>10}  {seconds:>8}  {note}")


def _print_search(rows: dict[str, list[JsonObject]], out: Path) -> None:
    from keras_twoarg.experiments.reports.search_page import search_table, write_search_report

    console.print(search_table(rows))
    for arm in rows:
        say(f"twoarg train --hparams {shlex.quote(str(out / f'best-{arm}.json'))} ...")
    say(f"Report: {write_search_report(rows, out)}")
