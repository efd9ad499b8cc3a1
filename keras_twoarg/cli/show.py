"""The command show, which draws phi."""

from pathlib import Path

import click

from keras_twoarg.cli.common import bounds_option, say, twoarg


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", help="Data for the density of phi's arguments, as for train.  [default: those of MODEL's run]")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@bounds_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("surface.png"), help="The picture.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed that selects the samples.")
def show(
    model: Path, data: str | None, data_dir: str | None, bounds: tuple[float, float] | None, out: Path, seed: int
) -> None:
    """Draw phi, and say whether it is a soft XOR.

    The picture also shows the density of phi's arguments and the quadratic fit.
    """
    from keras_twoarg.experiments.show import show_model

    if not out.suffix:
        out = out.with_name(out.name + ".png")
    say(show_model(model, data, out, seed, data_dir=data_dir, bounds=bounds))
    say(f"Picture: {out}")
