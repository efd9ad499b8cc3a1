"""The commands for a trained model: export, bake, serve-check."""

from pathlib import Path

import click

from keras_twoarg.cli.common import console, one_line_errors, twoarg
from keras_twoarg.utils import files


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
    inputs and outputs of the comparison go to recorded.npz beside it, for `twoarg serve-check served/NAME`.
    """
    from keras_twoarg.export import bake, formats

    loaded = formats.load(model)
    if baked:
        loaded, report = bake.bake(loaded)
        console.print(str(report), highlight=False, soft_wrap=True)
    loaded = formats.servable(loaded, softmax=softmax, pixels=pixels)
    formats.export(loaded, out, format=format_)
    inputs = formats.random_inputs(loaded, seed) * (127.5 if pixels else 1) + (127.5 if pixels else 0)
    formats.record(loaded, out.parent / "recorded.npz", inputs)
    try:
        found = formats.compare(loaded, out, inputs, format_)
        console.print(found.sentence)
    except ImportError as error:
        console.print(f"Not compared. {error}")
    console.print(f"Export: {out}")


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", default="mnist5k", help="Data that the tables are chosen for, as for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--tolerance", type=click.FloatRange(0, min_open=True), default=3e-3, help="Error, in phi's std.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The baked model, a .keras file.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the split: validation images are used.")
@one_line_errors
def bake(model: Path, data: str, data_dir: str | None, tolerance: float, out: Path, seed: int) -> None:
    """Replace phi by constant tables.

    What that changed is printed, and goes beside the model as JSON.
    """
    from keras_twoarg.experiments.training import datasets
    from keras_twoarg.export import bake, formats

    if out.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {out}")
    validation = datasets.split(datasets.load(data, data_dir=data_dir), seed)
    images, labels = validation.x_validation, validation.y_validation
    baked, found = bake.bake(formats.load(model), images, tolerance, labels=labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    baked.save(out)
    files.write_json(out.with_suffix(".json"), found.to_dict())
    console.print(str(found), highlight=False, soft_wrap=True)
    console.print(f"Baked model: {out}")


@twoarg.command("serve-check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File for the results as JSON.")
@one_line_errors
def serve_check(folder: Path, out: Path | None) -> None:
    """Run exports in processes without Keras.

    All in FOLDER, compared with what was recorded at export: by TensorFlow, its command-line tool and its C
    library; ONNX Runtime, OpenVINO and LiteRT for what else is there.
    Exit status 1 if anything does not agree.
    """
    from keras_twoarg.export import verify as job

    with console.status("") as status:
        found = job.check(folder, lambda runtime: status.update(f"{runtime} ..."))
    console.print(job.checks_table(found).rich())
    if out is not None:
        files.write_json(out, [vars(check) for check in found])
    if not all(check.agrees for check in found):
        raise SystemExit(1)
