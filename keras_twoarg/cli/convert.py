"""The command that gives a saved model's units a second argument."""

import os
import warnings
from pathlib import Path

import click

from keras_twoarg.cli.common import console, one_line_errors, twoarg
from keras_twoarg.utils import files


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The converted model, a new .keras file.")
@click.option(
    "--keep", type=click.Choice(["function", "parameters"]), default="function", help="What stays as it was at first."
)
@click.option("--arm", default="two_arg", help="What its units become: two_arg, one_arg, swiglu, ...")
@click.option("--where", multiple=True, help="Name of an activation, or a regular expression for names; repeatable.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the new weights.")
@one_line_errors
def convert(model: Path, out: Path, keep: str, arm: str, where: tuple[str, ...], seed: int) -> None:
    """Give the units of MODEL a second argument.

    With --keep function it computes what it did, and is trained on; a fixed function of two arguments, such as
    swiglu, needs --keep parameters. What was converted and what was left is printed,
    and goes beside the model as JSON.
    """
    import keras

    from keras_twoarg.models.convert import convert as convert_model
    from keras_twoarg.utils import model_files

    if out.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {out}")
    report_file = out.with_suffix(".json")
    for file in (out, report_file):
        if file.exists():
            raise ValueError(f"{file} exists already. Choose another --out")
    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The converted")  # about widths: the report says that too
        converted, report = convert_model(model_files.load(model), arm, keep=keep, where=where or None)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.parent / f"partial-{os.getpid()}-{out.name}"
    try:
        with files.saving(out):
            converted.save(partial)
        files.write_json(report_file, report.to_dict())
        os.replace(partial, out)
    except BaseException:
        report_file.unlink(missing_ok=True)
        raise
    finally:
        partial.unlink(missing_ok=True)
    console.print(str(report), highlight=False, soft_wrap=True)
    console.print(f"Converted model: {out}")
