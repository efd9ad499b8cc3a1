"""The command bake, which replaces phi by constant tables."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_twoarg.cli.common import bounds_option, say, split_for, twoarg
from keras_twoarg.export.bake import MOST_CHANGED, TOLERANCE
from keras_twoarg.utils import files

if TYPE_CHECKING:
    from keras_twoarg.experiments.training.bounds import Bounds


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", help="Calibration data for the tables, as for train.  [default: those of MODEL's run]")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@bounds_option
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    default=TOLERANCE,
    help="Largest error, relative to phi's standard deviation.",
)
@click.option(
    "--most-changed", type=click.FloatRange(0, 1), default=MOST_CHANGED, help="Largest fraction of changed predictions."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The baked model, a .keras file.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Seed of the split: validation samples are used.  [default: that of MODEL's run, or 0]",
)
def bake(
    model: Path,
    data: str | None,
    data_dir: str | None,
    bounds: "Bounds | None",
    tolerance: float,
    most_changed: float,
    out: Path,
    seed: int | None,
) -> None:
    """Replace phi by constant tables.

    A report of what that changed is printed, and saved beside the model as JSON.
    """
    from keras_twoarg.export import bake
    from keras_twoarg.utils import model_files

    if out.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {out}")
    check_target(model, out)
    loaded = model_files.load(model)
    split, task = split_for(model, loaded, data, data_dir, bounds, seed)
    labels = None if task == "regression" else split.y_validation
    baked, report = bake.bake(
        loaded, split.x_validation, tolerance, labels=labels, most_changed=most_changed, task=task
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with model_files.saved(baked, out):
        # The report is in place before the model, as proof that the model is ours, but only once the model is written.
        files.write_json(out.with_suffix(".json"), report.to_dict())
    say(str(report))
    say(f"Baked model: {out}")


def check_target(model: Path, out: Path) -> None:
    """Raise a ValueError unless the files do not exist, or hold another baked model."""
    report = out.with_suffix(".json")
    if out.exists() and out.samefile(model):
        raise ValueError(f"--out is the model itself: {out}. Use another --out")
    for file in (out, report):
        files.refuse_others(file, lambda: {"places", "tolerance"} <= set(files.read_json(report)), "twoarg bake")
