"""A picture of a saved model's phi, and the verdict on it."""

from pathlib import Path

import numpy as np

from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.experiments.training import datasets
from keras_twoarg.utils import files, model_files
from keras_twoarg.utils.figures import pyplot

_MARK = "twoarg show"
_MARKED = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}
"""Formats, and where in them the mark of our pictures stands, by which they may be drawn anew."""


def show_model(path: Path, data: str, out: Path, seed: int, *, data_dir: str | None = None) -> str:
    """Draw the surface of a saved model into a picture, and return the verdict in words.

    Args:
        path: A `.keras` file.
        data: Name or path of a data set, as in `datasets.load`.
        out: Picture to write; its ending chooses the format.
        seed: Seed of the training samples that are drawn, 500 images or 50 windows of a text.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs.

    Raises:
        ValueError: If `out` is of another format than PNG, SVG or PDF, or a file that this has not drawn; or if the
            model does not take the data.
    """
    _check_picture(out)
    model = model_files.load(path)
    dataset = datasets.load_for(model, data, data_dir=data_dir)
    datasets.check_fits(model, dataset)
    chosen = np.random.default_rng(seed).permutation(len(dataset.x_train))[: datasets.DENSITY_SAMPLES[dataset.kind]]
    display = SurfaceDisplay.from_model(model, datasets.scale(dataset.x_train[chosen]))
    plt = pyplot()
    if display.soft_xor is None:
        figure = plt.figure(figsize=(4.2, 3.6))
        display.plot(figure.gca(), title="phi, and where its argument falls")
        verdict = "One argument: a curve, to which soft XOR does not apply"
    else:
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
        verdict = display.soft_xor.verdict
        display.plot(left, title="phi, and where its arguments fall")
        display.plot_quadratic(right, title=verdict)
    ending = out.suffix.lower()
    files.write_whole(
        out, lambda file: figure.savefig(file, format=ending[1:], dpi=160, metadata={_MARKED[ending]: _MARK})
    )
    plt.close(figure)
    return f"{path}: {verdict}. {display.density.outside:.2%} of the pre-activations lie outside of [-5, 5]"


def _check_picture(out: Path) -> None:
    """Raise a ValueError unless a picture can be drawn there without loss: before the work, not behind it."""
    if out.suffix.lower() not in _MARKED:
        raise ValueError(f"--out must end in one of {', '.join(_MARKED)}. Received: {out}")
    if out.exists() and (not out.is_file() or _MARK.encode() not in out.read_bytes()):
        raise ValueError(f"{out} exists, and twoarg show has not drawn it. Choose another --out")
    files.check_writable(out)
