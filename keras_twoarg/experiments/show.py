"""A picture of a saved model's phi, and the verdict on it."""

from pathlib import Path

import numpy as np

from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.experiments.training import datasets
from keras_twoarg.utils import model_files
from keras_twoarg.utils.figures import pyplot


def show_model(path: Path, data: str, out: Path, seed: int, *, data_dir: str | None = None) -> str:
    """Draw the surface of a saved model into a picture, and return the verdict in words.

    Args:
        path: A `.keras` file.
        data: Name or path of a data set, as in `datasets.load`.
        out: Picture to write; its ending chooses the format.
        seed: Seed of the training samples that are drawn, 500 images or 50 windows of a text.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs.
    """
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
    figure.savefig(out, dpi=160)
    plt.close(figure)
    return f"{path}: {verdict}. {display.density.outside:.2%} of the pre-activations lie outside of [-5, 5]"
