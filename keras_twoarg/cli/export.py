"""The command export, which exports a model for serving."""

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from keras_twoarg.cli.common import bounds_option, say, split_for, twoarg
from keras_twoarg.export.bake import MOST_CHANGED
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Model

if TYPE_CHECKING:
    from keras_twoarg.experiments.training.bounds import Bounds
    from keras_twoarg.experiments.training.datasets import Split

_MOST_CHANGED_IN_INT8 = 0.02


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
@click.option(
    "--bake",
    "baked",
    is_flag=True,
    help="Bake first. With --data, fit the tables to that data, as `twoarg bake` does; without, assume arguments "
    "normalized by a LayerNorm.",
)
@click.option("--int8", is_flag=True, help="LiteRT in integers of 8 bits, with ranges from --data.")
@click.option(
    "--data",
    help="For --int8 or --bake: data like those served later, as for train.  [default with --int8: those of MODEL's "
    "run]",
)
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@bounds_option
@click.option(
    "--most-changed",
    type=click.FloatRange(0, 1),
    help="With --data: largest fraction of changed predictions.  [default: 0.0005 for --bake, 0.02 for --int8]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Seed of the random inputs, or of the split of --data.  [default: that of MODEL's run for its split, or 0]",
)
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
    most_changed: float | None,
    seed: int | None,
) -> None:
    """Export a .keras file for serving.

    The export is reloaded, and its outputs are compared with the model's, or with --bake with the baked model's.
    Servers look for versions: use --out served/NAME/1. Inputs and outputs are recorded in recorded-1.npz beside it, for
    `twoarg serve-check served/NAME`.

    With --int8, ranges come from training samples, and changed predictions are counted on validation samples.
    """
    from keras_twoarg.experiments.training.bounds import scales
    from keras_twoarg.export import formats
    from keras_twoarg.utils import model_files

    if int8 and format_ != "litert":
        raise ValueError(f"--int8 needs --format litert. Received: --format {format_}")
    if bounds is not None and pixels:
        raise ValueError("--pixels is for models that take [-1, 1]. Leave out --bounds or --pixels")
    of_data = {"--data-dir": data_dir, "--bounds": bounds, "--most-changed": most_changed}
    _check_effect(baked, int8, data, [name for name, value in of_data.items() if value is not None])
    formats.check_target(out, format_)
    files.refuse_others(formats.record_of(out), lambda: _is_record(formats.record_of(out)), "twoarg export")
    loaded = model_files.load(model)
    if pixels and scales(loaded):
        raise ValueError(
            f"The model {loaded.name!r} scales images by itself, and --pixels is for models that take [-1, 1]. Leave "
            "out --pixels"
        )
    split, task = None, "auto"
    if int8 or data is not None:
        split, task = split_for(model, loaded, data, data_dir, bounds, seed)
    served = [formats.servable(loaded, softmax=softmax, pixels=pixels)]
    if baked:
        limit = MOST_CHANGED if most_changed is None else most_changed
        served.append(formats.servable(_baked(loaded, split, task, limit), softmax=softmax, pixels=pixels))
    if int8 and split is not None:
        limit = _MOST_CHANGED_IN_INT8 if most_changed is None else most_changed
        _in_int8(served[0], served[-1], out, split, pixels, limit, task)
    elif formats.comparable(served[-1]):
        inputs = formats.random_inputs(served[-1], seed or 0)
        _compared(served[-1], out, format_, inputs, "the baked model" if baked else "the model")
    else:
        _write(served[-1], out, format_)
        formats.record_of(out).unlink(missing_ok=True)  # that of an earlier export of this name
        say(
            "Not compared, neither here nor by `twoarg serve-check`, which need models with one input and one output, "
            "of NumPy's numbers"
        )
    say(f"Export: {out}")


def _check_effect(baked: bool, int8: bool, data: str | None, given: list[str]) -> None:
    """Raise a ValueError if data, or options for them, are given that the export would not use."""
    if data is not None and not (int8 or baked):
        raise ValueError("--data is for --int8 and --bake. Leave it out, or add --int8 or --bake")
    if given and data is None and not int8:
        raise ValueError(f"{given[0]} is for data. Leave it out, or add --int8, or --bake and --data")


def _baked(model: Model, split: "Split | None", task: str, most_changed: float) -> Model:
    """Bake a model, with validation samples if there are any, and print what that changed."""
    from keras_twoarg.export import bake

    if split is None:
        baked, report = bake.bake(model)
    else:
        labels = None if task == "regression" else split.y_validation
        baked, report = bake.bake(model, split.x_validation, labels=labels, most_changed=most_changed, task=task)
    say(str(report))
    return baked


def _compared(model: Model, out: Path, format_: str, inputs: np.ndarray, of: str) -> None:
    """Export a model with a record of its outputs, and compare them; an export that differs is removed."""
    from keras_twoarg.export import formats

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
        recorded = Path(folder) / "recorded.npz"
        formats.record(model, recorded, inputs)
        _write(model, out, format_)
        try:  # from here on the export is ours: if two processes export at once, the other one's may be there before
            recorded.replace(formats.record_of(out))
            agreement = replace(formats.compare(model, out, inputs, format_), of=of)
        except ImportError as error:
            say(f"Not compared. {error}")
            return
        except BaseException:
            formats.remove(out, format_)
            raise
    say(agreement.sentence)
    if not agreement.agrees:
        formats.remove(out, format_)
        raise SystemExit(1)


def _is_record(path: Path) -> bool:
    with np.load(path) as record:
        return {"inputs", "outputs"} <= set(record.files)


def _write(model: Model, out: Path, format_: str) -> None:
    """Export a model, and print each warning on one line, and where OpenVINO's look-ups differ."""
    from keras_twoarg.export import formats, openvino

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        formats.export(model, out, format=format_)
    for warning in caught:
        say(str(warning.message))
    if format_ == "openvino" and openvino.applies(model):
        say("Beyond twice a table's extent OpenVINO returns the value at that border; other formats continue linearly")


def _in_int8(
    model: Model, exported: Model, out: Path, split: "Split", pixels: bool, most_changed: float, task: str
) -> None:
    """Export a model, or what it is baked to, to LiteRT in int8 and count changed predictions.

    The export is removed if there are too many.
    """
    from keras_twoarg.export import formats, int8_record, litert_int8

    both = litert_int8.spread(split.x_train), split.x_validation
    representative, samples = (127.5 * (x + 1) if pixels else x for x in both)
    formats.export(exported, out, "litert", representative_dataset=representative)
    try:
        labels = None if task == "regression" else split.y_validation
        changes = int8_record.record(model, out, samples, most_changed, task, labels)
    except ImportError as error:
        say(f"Not compared. {error}")
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
