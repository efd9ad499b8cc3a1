"""The command robustness, which measures robustness."""

from pathlib import Path
from typing import Any

import click

from keras_twoarg.cli.common import OUT_HELP, bounds_option, console, say, show_progress, twoarg, words
from keras_twoarg.utils.allocator import keep_freed_memory


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, help="As for train; its test images are used.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Reference model for mCE, a .keras file.",
)
@click.option("--points", type=click.IntRange(1), default=1000, help="Number of test images, the same for every model.")
@click.option(
    "--eps", type=float, help="Largest perturbation of pixels within [0, 1]; L2 needs it.  [default: usual L-inf]"
)
@click.option("--p-norm", type=click.Choice(["Linf", "L2"]), default="Linf")
@click.option("--corruptions", callback=words, help="Such as fog,snow, or none.  [default: all 15]")
@click.option("--attacks", callback=words, help="Such as fgsm,pgd, or none.  [default: AutoAttack]")
@bounds_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of points, corruptions and attacks.")
def robustness(
    model: Path, data: str, data_dir: str | None, reference: Path | None, out: Path, points: int, **settings: Any
) -> None:
    """Measure MODEL under corruptions and AutoAttack.

    The corruptions are the 15 of CIFAR-10-C. --bounds also applies to --reference. The same command
    resumes a stopped measurement.
    """
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.experiments.reports.robustness_page import write_robustness_report
    from keras_twoarg.experiments.reports.robustness_tables import single_table
    from keras_twoarg.experiments.robustness.measure import REFERENCE, draw_points, evaluate
    from keras_twoarg.experiments.training import datasets
    from keras_twoarg.experiments.training.bounds import bounds_of
    from keras_twoarg.utils import model_files
    from keras_twoarg.utils.figures import pyplot

    for name in ("corruptions", "attacks"):
        if settings[name] is None:
            del settings[name]
        elif settings[name] == ("none",):
            settings[name] = ()
    if settings.get("corruptions") == ():
        if settings.get("attacks") == ():
            raise ValueError(
                "There is nothing to measure with --corruptions none and --attacks none. Leave one of them out"
            )
        if reference is not None:
            raise ValueError("--reference is for the mCE of corruptions. Leave it out with --corruptions none")
    keep_freed_memory()
    pyplot()  # a missing package is named now, not behind the measurement
    check_target(out / "model" / "report.html", "robustness")
    dataset, settings["data_dir"] = datasets.load(data, data_dir=data_dir), data_dir
    loaded, other = model_files.load(model), None if reference is None else model_files.load(reference)
    given = settings["bounds"]
    settings["bounds"] = bounds_of(loaded, given)
    with show_progress() as progress:
        compared = None
        if other is not None:
            of_other = {**settings, "attacks": (), "bounds": bounds_of(other, given)}
            compared = evaluate(other, dataset, out / REFERENCE, progress, points=points, **of_other)
        measured = evaluate(loaded, dataset, out / "model", progress, points=points, **settings)
    for table in single_table(measured, compared):
        console.print(table)
    pixels, _ = draw_points(dataset, points, settings["seed"])
    say(f"Report: {write_robustness_report(measured, compared, out / 'model', pixels)}")
