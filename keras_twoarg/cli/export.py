"""The command export, which exports a model for serving."""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from keras_twoarg.cli.common import bounds_option, console, one_line_errors, say, twoarg
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Model

if TYPE_CHECKING:
    from keras_twoarg.experiments.training.bounds import Bounds
    from keras_twoarg.experiments.training.datasets import Split

_RECORDED = 256  # samples recorded for `twoarg serve-check`


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder (or file) of the export.")
@click.option("--format", "format_", default="tf_saved_model", help="tf_saved_model, onnx, openvino or litert.")
@click.option(
    "--softmax",
    is_flag=True,
    help="Serve probabilities instead of logits; a model that ends in a softmax needs no other.",
)
@click.option("--pixels", is_flag=True, help="Take pixels within [0, 255] instead of scaled images.")
@click.option("--bake", "baked", is_flag=True, help="Replace phi by tables first, as `twoarg bake` does with data.")
@click.option("--int8", is_flag=True, help="LiteRT in integers of 8 bits, with ranges from --data.")
@click.option("--data", help="With --int8: data like those served later, as for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@bounds_option
@click.option(
    "--most-changed",
    type=click.FloatRange(0, 1),
    default=0.02,
    help="With --int8: largest fraction of changed predictions.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the random inputs, or of the split of --data.")
@one_line_errors
def export(
    model: Path,
    out: Path,
    format_: str,
    softmax: bool,
    pixels: bool,
    baked: bool,
    int8: bool,
    data: str | None,
    data_dir: str | None,
    bounds: "Bounds | None",
    most_changed: float,
    seed: int,
) -> None:
    """Export a .keras file for serving.

    The export is reloaded and its outputs are compared with the model's. Servers look for versions: use --out
    served/NAME/1. Inputs and outputs are recorded in recorded-1.npz beside it, for `twoarg serve-check served/NAME`.

    With --int8, ranges come from training samples, and changed predictions are counted on validation samples.
    """
    from keras_twoarg.experiments.training.bounds import scales
    from keras_twoarg.export import bake, formats
    from keras_twoarg.utils import model_files

    if int8 != (data is not None):
        raise ValueError("--int8 and --data go together: the data determine the ranges of the integers")
    if int8 and format_ != "litert":
        raise ValueError(f"--int8 needs --format litert. Received: --format {format_}")
    if bounds is not None and pixels:
        raise ValueError("--pixels is for models that take [-1, 1]. Leave out --bounds or --pixels")
    if bounds is not None and not int8:
        raise ValueError("--bounds scales the images of --data. Leave it out, or add --int8 and --data")
    formats.check_target(out, format_)
    _check_record(formats.record_of(out))
    loaded = model_files.load(model)
    if pixels and scales(loaded):
        raise ValueError(
            f"The model {loaded.name!r} scales images by itself, and --pixels is for models that take [-1, 1]. Leave "
            "out --pixels"
        )
    if baked:
        loaded, report = bake.bake(loaded)
        console.print(str(report), highlight=False, soft_wrap=True)
    split = None if data is None else _split(loaded, data, data_dir, seed, bounds)
    loaded = formats.servable(loaded, softmax=softmax, pixels=pixels)
    if split is not None:
        _in_int8(loaded, out, split, pixels, most_changed)
    elif formats.comparable(loaded):
        inputs = formats.random_inputs(loaded, seed)
        _compared(loaded, out, format_, 127.5 * (inputs + 1) if pixels else inputs)
    else:
        _write(loaded, out, format_)
        console.print(
            "Not compared, neither here nor by `twoarg serve-check`, which need models with one input and one output, "
            "of NumPy's numbers"
        )
    console.print(f"Export: {out}")


def _compared(model: Model, out: Path, format_: str, inputs: np.ndarray) -> None:
    """Export a model with a record of its outputs, and compare them; an export that differs is removed."""
    from keras_twoarg.export import formats

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
        recorded = Path(folder) / "recorded.npz"
        formats.record(model, recorded, inputs)
        _write(model, out, format_)
        recorded.replace(formats.record_of(out))  # the existing export's, if two processes export at once
    try:
        agreement = formats.compare(model, out, inputs, format_)
    except ImportError as error:
        console.print(f"Not compared. {error}")
    except BaseException:
        formats.remove(out, format_)
        raise
    else:
        console.print(agreement.sentence)
        if not agreement.agrees:
            formats.remove(out, format_)
            raise SystemExit(1)


def _check_record(path: Path) -> None:
    """Raise a ValueError if the record of an export would replace anything but an earlier record."""
    if not path.exists():
        return
    try:
        with np.load(path) as record:
            ours = {"inputs", "outputs"} <= set(record.files)
    except files.UNREADABLE:
        ours = False
    if not ours:
        raise ValueError(f"{path} exists, and `twoarg export` did not write it. Use another --out")


def _write(model: Model, out: Path, format_: str) -> None:
    """Export a model, and print each warning on one line."""
    from keras_twoarg.export import formats

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        formats.export(model, out, format=format_)
    for warning in caught:
        console.print(str(warning.message), markup=False, highlight=False, soft_wrap=True)


def _split(model: Model, data: str, data_dir: str | None, seed: int, bounds: "Bounds | None") -> "Split":
    from keras_twoarg.experiments.training import datasets
    from keras_twoarg.experiments.training.bounds import bounds_of

    dataset = datasets.load_for(model, data, data_dir=data_dir)
    datasets.check_fits(model, dataset)
    return datasets.split(dataset, seed, bounds_of(model, bounds, dataset.kind))


def _in_int8(model: Model, out: Path, split: "Split", pixels: bool, most_changed: float) -> None:
    """Export a model to LiteRT in int8 and count changed predictions; remove the export if there are too many."""
    from keras_twoarg.export import formats, litert_int8

    both = litert_int8.spread(split.x_train), split.x_validation
    representative, samples = (127.5 * (x + 1) if pixels else x for x in both)
    formats.export(model, out, "litert", representative_dataset=representative)
    try:
        formats.record(model, formats.record_of(out), samples[:_RECORDED], most_changed)
        changes = formats.changes(model, out, samples)
    except ImportError as error:
        console.print(f"Not compared. {error}")
    except BaseException:
        formats.remove(out, "litert")
        raise
    else:
        sure = (
            ""
            if changes.bound is None
            else f"; at most {changes.bound:.2%} on samples like these, with 95 % confidence"
        )
        say(f"In int8: {changes.sentence(most_changed)}{sure}")
        if not changes.within(most_changed, most_changed):
            formats.remove(out, "litert")
            say("Too many, so the export was removed. --most-changed allows more")
            raise SystemExit(1)
