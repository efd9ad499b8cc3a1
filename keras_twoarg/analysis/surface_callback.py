"""A Keras callback that records phi during training."""

import io
import warnings
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_twoarg.analysis.density import Unmeasurable
from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.figures import pyplot
from keras_twoarg.utils.optional import optional

if TYPE_CHECKING:
    import tensorflow


class SurfaceCallback(keras.callbacks.Callback):
    """Record phi, the density of its arguments, and its soft-XOR score during training, optionally for TensorBoard.

    It works with any model with one inner network, trained by `fit` on any backend.

    Args:
        data: A few hundred inputs of the model, from which the density of phi's arguments is computed.
        log_dir: Folder for TensorBoard's files: the scalars `phi/soft_xor` and `phi/r2` and the image `phi/surface`.
            Requires TensorFlow on any backend. Defaults to `None`: none are written.
        every: Epochs between records; the start and the first epoch are always recorded. Defaults to `1`.

    Attributes:
        displays: A `SurfaceDisplay` per recorded epoch; epoch 0 is the start. If `fit` is called again, with or without
            `initial_epoch`, the count of epochs continues. Epochs at which phi cannot be measured, because it or
            its arguments are not finite or all of these lie outside [-5, 5], are skipped with a warning.

    Examples:
        >>> model = models.mlp((4, 4, 1), classes=2, widths=(8,))
        >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> x, y = np.random.default_rng(0).normal(size=(40, 4, 4, 1)), np.zeros(40)
        >>> monitor = analysis.SurfaceCallback(x)
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor])
        >>> list(monitor.displays), len(monitor.scores())
        ([0, 1, 2], 3)

    Raises:
        ValueError: If `every` is not a positive integer, or the model does not hold exactly one inner network, with one
            or two arguments.
        ImportError: If `log_dir` is given and TensorFlow or matplotlib is not installed.
    """

    def __init__(self, data: np.ndarray, log_dir: str | None = None, every: int = 1) -> None:
        super().__init__()
        self.data, self.every = data, positive_integer("every", every)
        self.displays: dict[int, SurfaceDisplay] = {}
        self._last = 0  # number of trained epochs
        self._before: int | None = None  # those before the epochs that this call of `fit` counts
        self._writer = _writer(log_dir) if log_dir else None

    def scores(self) -> dict[int, float]:
        """Return the soft-XOR score by epoch; empty for phi of one argument."""
        return {epoch: shown.soft_xor.score for epoch, shown in self.displays.items() if shown.soft_xor}

    def on_train_begin(self, logs: object = None) -> None:
        """Record phi before the first step."""
        self._before = None  # known with the first epoch's number
        if not self.displays and self._last == 0:
            try:
                self._look(0)
            except Unmeasurable as error:  # other mistakes show before training
                warnings.warn(f"phi at the start cannot be measured: {error}", stacklevel=2)

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Continue the count of epochs; `initial_epoch` may already include the earlier ones."""
        if self._before is None:
            self._before = max(0, self._last - epoch)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Record phi after an epoch."""
        self._last = (self._before or 0) + epoch + 1
        if self._last == 1 or self._last % self.every == 0:
            try:
                self._look(self._last)
            except ValueError as error:  # as in a diverging model, whose training a callback should not end
                warnings.warn(f"phi after epoch {self._last} cannot be measured: {error}", stacklevel=2)

    def on_train_end(self, logs: object = None) -> None:
        """Flush TensorBoard's files."""
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
    pyplot()  # missing packages should be reported before training
    tf = optional("tensorflow", "TensorBoard's files", "tensorflow-cpu")
    return tf.summary.create_file_writer(log_dir)


def _picture(shown: SurfaceDisplay) -> np.ndarray:
    """Return a plot as an image `(1, height, width, 4)`."""
    plt = pyplot()
    figure = plt.figure(figsize=(4.2, 3.6))
    shown.plot(figure.gca())
    buffer = io.BytesIO()
    with plt.rc_context({"savefig.bbox": None}):  # "tight" would change the size
        figure.savefig(buffer, format="rgba", dpi=100)
    plt.close(figure)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(1, 360, 420, 4)
