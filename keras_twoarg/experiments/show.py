"""A picture of a saved model's phi, and the verdict on it."""

from pathlib import Path

import numpy as np

from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.bounds import Bounds, bounds_of
from keras_twoarg.experiments.training.run_data import data_of
from keras_twoarg.utils import files, model_files
from keras_twoarg.utils.figures import pyplot

_MARK = "twoarg show"
_MARKED = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}
"""The formats, and the metadata that marks a picture as ours, so that it may be overwritten."""


def show_model(
    path: Path, data: str | None, out: Path, seed: int, *, data_dir: str | None = None, bounds: Bounds | None = None
) -> str:
    """Draw the surface of a saved model, and return the verdict as a sentence.

    Args:
        path: A `.keras` file.
        data: Name or path of a data set, as in `datasets.load`; None for that of the model's run.
        out: Picture to write; its suffix sets the format.
        seed: Seed of the training samples that are drawn, 500 images or 50 windows of a text.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs.
        bounds: What the model takes for black and white. Defaults to -1 and 1.

    Raises:
        ValueError: If `out` is not PNG, SVG or PDF, or is a file that this function did not write, if the model does
            not accept the data or has none, or if it scales images by itself and there are no bounds.
    """
    _check_picture(out)
    model = model_files.load(path)
    dataset = data_of(path, model, data, data_dir=data_dir).dataset
    datasets.check_fits(model, dataset)
    chosen = np.random.default_rng(seed).permutation(len(dataset.x_train))[: datasets.DENSITY_SAMPLES[dataset.kind]]
    inputs = datasets.scaled(dataset, dataset.x_train[chosen], bounds_of(model, bounds, dataset.kind))
    display = SurfaceDisplay.from_model(model, inputs)
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
    """Raise a ValueError if a picture cannot be written, or would overwrite another file; before the work."""
    if out.suffix.lower() not in _MARKED:
        raise ValueError(f"--out must end in one of {', '.join(_MARKED)}. Received: {out}")
    files.refuse_others(out, lambda: _MARK.encode() in out.read_bytes(), _MARK)
    files.check_writable(out)
