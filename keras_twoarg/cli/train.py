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
from keras_twoarg.utils.types import Config


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
    from keras_twoarg.experiments.training import datasets, networks, sessions

    two_arg = None
    if hparams is not None:
        from keras_twoarg.experiments.tuning import read_hparams

        chosen = {key for key in configuration if command.get_parameter_source(key) is ParameterSource.COMMANDLINE}
        found = read_hparams(hparams)
        configuration |= {key: value for key, value in found.items() if key not in chosen}
        if "widths" not in chosen:
            two_arg = _to_match(configuration, found, hparams)
    context = Configuration(**configuration).context  # report mistakes before reading the data
    keep_freed_memory()
    dataset = datasets.load(data, data_dir=data_dir, context=context)
    if subset:
        dataset = datasets.subset(dataset, subset)
    if two_arg is not None:
        own = Configuration(**{**configuration, "widths": None})
        networks.check_data(own, dataset)
        configuration["widths"] = networks.widths_of(own, dataset.input_shape, dataset.classes, two_arg)
    with show_progress() as progress:
        sessions.run_sessions(
            dataset,
            out,
            progress,
            say=warning_to(progress),
            **configuration,
        )
    print_report(read_runs([out]))


def _to_match(configuration: Config, found: Config, file: Path) -> Configuration | None:
    """Return the searched network to which another arm is matched; None if the file's widths are this arm's own.

    Raises:
        ValueError: If the file's widths are of another architecture, or of an arm to which none is matched.
    """
    searched = Configuration(**{**found, "warmup_epochs": 0})  # the file has no epochs, which limit it
    same_arm = configuration["arm"] == searched.arm
    if configuration["architecture"] != searched.architecture or not (same_arm or searched.arm == "two_arg"):
        raise ValueError(
            f"{file} holds the widths of {searched.arm} in a network {searched.architecture!r}. Received: "
            f"{configuration['arm']} in {configuration['architecture']!r}. Search that one, or give its --widths"
        )
    return None if same_arm else searched
