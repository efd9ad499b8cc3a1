"""A Keras callback that watches phi while a model is trained."""

import io
import warnings
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.figures import pyplot
from keras_twoarg.utils.optional import optional

if TYPE_CHECKING:
    import tensorflow


class SurfaceCallback(keras.callbacks.Callback):
    """Keep phi, where its arguments fall, and its soft-XOR score over training; write them to TensorBoard.

    For every model with one inner network, trained with `fit` on any backend.

    Args:
        data: Inputs of the model, a few hundred; the density of phi's arguments is drawn from them.
        log_dir: Folder for TensorBoard: scalars `phi/soft_xor` and `phi/r2`, and the picture `phi/surface`. Needs
            TensorFlow to be installed, on any backend. Defaults to `None`, to write nothing.
        every: Epochs between two looks; the start and the first epoch are always looked at. Defaults to `1`.

    Attributes:
        displays: A `SurfaceDisplay` for each epoch that was looked at; epoch 0 is the start. Epochs are counted on if
            `fit` is called again, with `initial_epoch` or without. An epoch after which phi cannot be measured, as its
            arguments are not finite or all lie outside of [-5, 5], is left out with a warning, and training goes on.

    Examples:
        >>> model = models.mlp((4, 4, 1), classes=2, widths=(8,))
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> x, y = np.random.default_rng(0).normal(size=(40, 4, 4, 1)), np.zeros(40)
        >>> monitor = analysis.SurfaceCallback(x)
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor])
        >>> list(monitor.displays), len(monitor.scores())
        ([0, 1, 2], 3)

    Raises:
        ValueError: If `every` is not a positive integer, or the model holds no inner network, more than one, or one of
            three arguments.
        ImportError: If `log_dir` is given and TensorFlow or matplotlib is not installed.
    """

    def __init__(self, data: np.ndarray, log_dir: str | None = None, every: int = 1) -> None:
        super().__init__()
        self.data, self.every = data, positive_integer("every", every)
        self.displays: dict[int, SurfaceDisplay] = {}
        self._last = 0  # epochs that were trained
        self._before: int | None = None  # those of them that this call of `fit` does not count
        self._writer = _writer(log_dir) if log_dir else None

    def scores(self) -> dict[int, float]:
        """Return the soft-XOR score by epoch; none for phi of one argument."""
        return {epoch: shown.soft_xor.score for epoch, shown in self.displays.items() if shown.soft_xor}

    def on_train_begin(self, logs: object = None) -> None:
        """Look at phi before the first step."""
        self._before = None  # known with the first epoch's number
        if not self.displays:
            self._look(0)

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Count on where `fit` is called again; its `initial_epoch` may count the earlier epochs already."""
        if self._before is None:
            self._before = max(0, self._last - epoch)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Look at phi after an epoch."""
        self._last = (self._before or 0) + epoch + 1
        if self._last == 1 or self._last % self.every == 0:
            try:
                self._look(self._last)
            except ValueError as error:  # as of a model that diverges, whose training is not this callback's to end
                warnings.warn(f"phi after epoch {self._last} cannot be measured: {error}", stacklevel=2)

    def on_train_end(self, logs: object = None) -> None:
        """Have everything written."""
        if self._writer is not None:
            self._writer.flush()

    def _look(self, epoch: int) -> None:
        shown = self.displays[epoch] = SurfaceDisplay.from_model(self.model, self.data)
        if self._writer is None:
            return
        import tensorflow as tf

        with self._writer.as_default(step=epoch):
            if shown.soft_xor:
                tf.summary.scalar("phi/soft_xor", shown.soft_xor.score)
                tf.summary.scalar("phi/r2", shown.soft_xor.r2)
            tf.summary.image("phi/surface", _picture(shown))


def _writer(log_dir: str) -> "tensorflow.summary.SummaryWriter":
    pyplot()  # what is missing should show before training, not after its first epoch
    tf = optional("tensorflow", "TensorBoard's files", "tensorflow-cpu")
    return tf.summary.create_file_writer(log_dir)


def _picture(shown: SurfaceDisplay) -> np.ndarray:
    """Return a drawing as an image `(1, height, width, 4)`."""
    plt = pyplot()
    figure = plt.figure(figsize=(4.2, 3.6))
    shown.plot(figure.gca())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=100)
    plt.close(figure)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(1, 360, 420, 4)
