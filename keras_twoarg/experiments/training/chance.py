"""Whether a network does better than always giving the most frequent answer, and what helps if it does not."""

import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.run_record import Epoch
from keras_twoarg.experiments.training.stages import Stage

STEPS = 100
"""A network that learns is above chance after as many steps; before that one cannot tell."""


def judged_epoch(epochs: int, samples: int, batch_size: int) -> int:
    """Return the epoch after which a run is judged: the first one behind which there are enough steps, or the last.

    Args:
        epochs: Epochs in all.
        samples: Training samples in an epoch.
        batch_size: Samples in a step.
    """
    return min(epochs, -(-STEPS // -(-samples // batch_size)))


def at_chance(epoch: Epoch, labels: np.ndarray) -> bool:
    """Tell whether an epoch ended no better than always giving one answer.

    For classes that is the most frequent one, within two standard errors; for a regression the mean of the training
    rows, which is 0.

    Args:
        epoch: What the epoch came to.
        labels: Labels of the validation samples.
    """
    accuracy = epoch["val_accuracy"]
    if accuracy is None:
        return not epoch["val_loss"] < float(np.mean(np.square(labels, dtype="float64")))
    share = float(np.bincount(np.ravel(labels)).max()) / np.size(labels)
    return not accuracy > share + 2 * (share * (1 - share) / np.size(labels)) ** 0.5


def reached(epoch: Epoch) -> str:
    """Return what an epoch reached in validation: its accuracy, or the root mean squared error of a regression."""
    accuracy = epoch["val_accuracy"]
    return f"RMSE {epoch['val_loss'] ** 0.5:.3f}" if accuracy is None else f"{accuracy:.2%}"


def chance_warning(stage: Stage, number: int, epoch: Epoch, configuration: Configuration) -> str:
    """Say that a run is at chance after an epoch, and what to try."""
    advice = ["a lower learning rate (--learning-rate)", "less dropout (--dropout)", "more epochs"]
    if configuration.arm in models.ARMS and configuration.phi_init != "glorot" and stage is Stage.JOINT:
        advice.insert(0, "--phi-init glorot (phi then starts steeper than the pretrained surface)")
    what, chance = ("accuracy", "chance") if epoch["val_accuracy"] is not None else ("result", "always giving the mean")
    return (
        f"after epoch {number} of the {stage} stage the validation {what} is {reached(epoch)}, no better "
        f"than {chance}. If it stays there, try {', '.join(advice[:-1])} or {advice[-1]}"
    )
