"""The command play, which writes a page to play with."""

import shlex
from pathlib import Path

import click

from keras_twoarg.cli.common import say, show_progress, twoarg
from keras_twoarg.experiments.play.page import IMAGES, check_target, write_play
from keras_twoarg.utils.progress import Progress, warning_to


@twoarg.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[MODEL]...")
@click.option("--out", type=click.Path(path_type=Path), default=Path("play.html"), help="The page.")
@click.option("--data", help="Data of the images, as for train.  [default: the run's, or mnist5k]")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--images", type=click.IntRange(1, 5000), default=IMAGES, help="Number of held-out images.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed that selects the images.")
def play(models: tuple[Path, ...], out: Path, data: str | None, data_dir: str | None, images: int, seed: int) -> None:
    """Write a page to play with networks and their phi.

    The page works in a browser, offline and without Python: draw an image or write a text, paint phi, replace it by
    another function, watch it grow. Each MODEL is a .keras file of a network of Dense, Conv2D, LayerNormalization and
    units of one or two arguments (a learned phi, or a fixed function such as swiglu or relu), or of a character
    Transformer. A MODEL from `twoarg train` brings its epochs, each with the named function nearest to phi (a second
    or more per epoch). For other networks the page shows phi and the density of its arguments. Without MODEL, a
    perceptron is first trained on the 5,000 digits, in a folder beside the page.
    """
    check_target(out)
    if not models:
        with show_progress() as progress:
            models = (_train_digits(out.with_name(f"{out.stem}-run"), progress),)
    options = {
        "--out": out.name, "--data": data, "--data-dir": data_dir, "--images": str(images), "--seed": str(seed)
    }  # fmt: skip
    given = [word for name, value in options.items() if value is not None for word in (name, value)]
    command = shlex.join(["twoarg", "play", *map(str, models), *given])
    for limit in write_play(models, out, data=data, data_dir=data_dir, images=images, seed=seed, command=command):
        say(f"Note: {limit}")
    say(f"Page: {out} ({out.stat().st_size / 1e6:.1f} MB). Open it in a browser")


def _train_digits(folder: Path, progress: Progress) -> Path:
    """Train the paper's perceptron on the 5,000 digits, or resume its training, and return its file."""
    from keras_twoarg.experiments.training import datasets, sessions

    dataset, warn = datasets.load("mnist5k"), warning_to(progress)
    sessions.run_sessions(dataset, folder, progress, say=warn, arm="two_arg", seed=1, epochs=50, frozen_epochs=0)
    return folder / "joint.keras"
