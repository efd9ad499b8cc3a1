"""The command train, which trains one arm and seed."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from keras_twoarg.cli.common import OUT_HELP, print_report, show_progress, twoarg
from keras_twoarg.cli.options import settings_options
from keras_twoarg.experiments.training.configuration import DATA_HELP, Configuration
from keras_twoarg.utils.allocator import keep_freed_memory
from keras_twoarg.utils.progress import warning_to


@twoarg.command()
@click.option("--data", required=True, help=DATA_HELP)
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
@click.option(
    "--subset", type=click.IntRange(0), default=0, help="Number of training samples, drawn at random; 0 for all."
)
@click.option("--hparams", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="From twoarg tune.")
@settings_options(Configuration)
@click.pass_context
def train(
    command: click.Context,
    /,
    data: str,
    data_dir: str | None,
    subset: int,
    out: Path,
    hparams: Path | None,
    **configuration: Any,
) -> None:
    """Train one arm and seed through all stages.

    OUT/joint.keras is the trained network. OUT/frozen.keras is a new one, trained around the phi that it learned. The
    same command resumes a stopped run.
    """
    from keras_twoarg.experiments.reports.runs import read_runs
    from keras_twoarg.experiments.training import datasets, sessions

    if hparams is not None:
        from keras_twoarg.experiments.tuning import read_hparams

        chosen = {key for key in configuration if command.get_parameter_source(key) is ParameterSource.COMMANDLINE}
        found = read_hparams(hparams)
        if "arm" in chosen and configuration["arm"] != found["arm"]:
            del found["widths"]  # those of the searched arm; another arm is matched to two_arg
        configuration |= {key: value for key, value in found.items() if key not in chosen}
    context = Configuration(**configuration).context  # report mistakes before reading the data
    keep_freed_memory()
    dataset = datasets.load(data, data_dir=data_dir, context=context)
    if subset:
        dataset = datasets.subset(dataset, subset)
    with show_progress() as progress:
        sessions.run_sessions(
            dataset,
            out,
            progress,
            say=warning_to(progress),
            **configuration,
        )
    print_report(read_runs([out]))
