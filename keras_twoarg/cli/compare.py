"""The command that tells whether a user's own model does better with two arguments."""

from pathlib import Path
from typing import Any

import click

from keras_twoarg.cli.common import (
    OUT_HELP,
    PHI_HELP,
    console,
    numbers,
    say,
    show_progress,
    twoarg,
    widths,
    words,
)
from keras_twoarg.utils.allocator import keep_freed_memory


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data", required=True, help="As for train; or an .npz of x_train, y_train, x_test, y_test, used as they are."
)
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option(
    "--bounds", type=float, nargs=2, help="What the model takes for black and white; scales images to that.  "
    "[default: -1 1; of an .npz: as they are]",
)  # fmt: skip
@click.option("--arms", callback=words, help="Such as two_arg,swiglu.  [default: two_arg,one_arg and, where fixed "
              "functions can be had, swiglu]")  # fmt: skip
@click.option(
    "--keep", type=click.Choice(["parameters", "function"]), default="parameters",
    help="parameters: all start anew, with as many parameters as MODEL; function: all start as MODEL is.",
)  # fmt: skip
@click.option("--phi", "--inner-units", "hidden_units", callback=widths, help=PHI_HELP)
@click.option("--where", multiple=True, help="Which activations, as for convert.")
@click.option("--epochs", type=click.IntRange(1), default=10, help="Epochs of each run.")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Samples in a step.")
@click.option(
    "--learning-rates", callback=numbers, help="Such as 1e-3,3e-4; each arm gets its best.  [default: MODEL's]"
)
@click.option("--seeds", type=click.IntRange(1), default=3, help="Number of seeds.")
@click.option("--first-seed", type=click.IntRange(0), default=0, help="First seed.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
def compare(
    model: Path,
    data: str,
    data_dir: str | None,
    bounds: tuple[float, float] | None,
    where: tuple[str, ...],
    learning_rates: tuple[float, ...] | None,
    out: Path,
    **settings: Any,
) -> None:
    """Train MODEL as it is and with other units, and tell which is better.

    MODEL is your own compiled model in a .keras file. Each arm gets the same data, epochs and seeds. If it is stopped,
    the same command resumes it; with more seeds, arms or learning rates it adds runs.
    """
    from keras_twoarg.analysis.statistics import scipy_stats
    from keras_twoarg.experiments.comparison import compare as compare_arms
    from keras_twoarg.experiments.comparison.named_data import samples
    from keras_twoarg.experiments.reports.comparison_page import write_comparison_report
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.utils import model_files
    from keras_twoarg.utils.figures import pyplot

    keep_freed_memory()
    scipy_stats(), pyplot()  # missing packages are named now, not behind the training
    check_target(out / "report.html", "compare")
    loaded = model_files.load(model, compile=True)
    given = samples(loaded, data, data_dir, bounds, say)
    with show_progress() as progress:
        compared = compare_arms(
            loaded, given.train, given.test, out, progress, validation=given.validation, where=where or None,
            learning_rates=learning_rates or (), **settings,
        )  # fmt: skip
    for table in compared.tables():
        console.print(table)
    for sentence in compared.sentences():
        say(sentence)
    say(f"Report: {write_comparison_report(compared, out)}")
