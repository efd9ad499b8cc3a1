"""The command that gives a saved model's units a second argument."""

import warnings
from pathlib import Path

import click

from keras_twoarg.cli.common import PHI_HELP, say, twoarg, widths
from keras_twoarg.utils import files


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File for the converted model, a new .keras."
)
@click.option(
    "--keep", type=click.Choice(["function", "parameters"]), default="function", help="What stays as in MODEL."
)
@click.option("--arm", default="two_arg", help="What its units become: two_arg, one_arg, swiglu, ...")
@click.option("--phi", "--inner-units", "hidden_units", callback=widths, help=PHI_HELP)
@click.option(
    "--where",
    multiple=True,
    help="Convert only activations of this name, or whose names match this regular expression; repeatable.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the new weights.")
def convert(
    model: Path,
    out: Path,
    keep: str,
    arm: str,
    hidden_units: tuple[int, ...] | None,
    where: tuple[str, ...],
    seed: int,
) -> None:
    """Give the units of MODEL a second argument.

    With --keep function the new model computes what MODEL does, until it is trained further. With --keep parameters it
    is untrained and as large as MODEL; fixed functions of two arguments, such as swiglu, need that. A report of what
    was converted and what was not is printed, and written beside the model as JSON.
    """
    import keras

    from keras_twoarg.models.convert import convert as convert_model
    from keras_twoarg.models.convert import sized
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
        loaded = model_files.load(model)
        converted, report = convert_model(loaded, sized(arm, hidden_units, loaded), keep=keep, where=where or None)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with model_files.saved(converted, out):
            files.write_json(report_file, report.to_dict())
    except BaseException:
        report_file.unlink(missing_ok=True)
        raise
    say(str(report))
    say(f"Converted model: {out}")
    say("It is not compiled. Import keras_twoarg before keras.models.load_model, and compile it to train it")
