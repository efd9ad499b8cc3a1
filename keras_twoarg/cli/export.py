"""The command `export`: a model becomes one that is served."""

import warnings
from pathlib import Path

import click

from keras_twoarg.cli.common import console, one_line_errors, twoarg
from keras_twoarg.utils.types import Model


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder (or file) of the export.")
@click.option("--format", "format_", default="tf_saved_model", help="tf_saved_model, onnx, openvino or litert.")
@click.option("--softmax", is_flag=True, help="Serve probabilities instead of logits.")
@click.option("--pixels", is_flag=True, help="Take pixels within [0, 255] instead of scaled images.")
@click.option("--bake", "baked", is_flag=True, help="Replace phi by tables first, as `twoarg bake` does with data.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the random inputs of the comparison.")
@one_line_errors
def export(model: Path, out: Path, format_: str, softmax: bool, pixels: bool, baked: bool, seed: int) -> None:
    """Export a .keras file for serving.

    The export is loaded again and its outputs are compared. Servers look for versions: --out served/NAME/1. The
    inputs and outputs of the comparison go to recorded-1.npz beside it, for `twoarg serve-check served/NAME`.
    """
    from keras_twoarg.export import bake, formats

    loaded = formats.load(model)
    if baked:
        loaded, report = bake.bake(loaded)
        console.print(str(report), highlight=False, soft_wrap=True)
    loaded = formats.servable(loaded, softmax=softmax, pixels=pixels)
    formats.check_target(out, format_)
    if not formats.comparable(loaded):
        _write(loaded, out, format_)
        console.print("Not compared: that is done for models with one input and one output")
        console.print(f"Export: {out}")
        return
    inputs = formats.random_inputs(loaded, seed)
    if pixels:
        inputs = 127.5 * (inputs + 1)
    out.parent.mkdir(parents=True, exist_ok=True)
    formats.record(loaded, formats.record_of(out), inputs)  # first: an export that is there has its record
    _write(loaded, out, format_)
    try:
        agreement = formats.compare(loaded, out, inputs, format_)
    except ImportError as error:
        console.print(f"Not compared. {error}")
    else:
        console.print(agreement.sentence)
        if not agreement.agrees:
            formats.remove(out, format_)
            raise SystemExit(1)
    console.print(f"Export: {out}")


def _write(model: Model, out: Path, format_: str) -> None:
    """Export a model, and print what it warns of in one line each."""
    from keras_twoarg.export import formats

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        formats.export(model, out, format=format_)
    for warning in caught:
        console.print(str(warning.message), markup=False, highlight=False, soft_wrap=True)
