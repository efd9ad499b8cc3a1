"""Whether a network is better than a constant answer, and advice if it is not."""

import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.run_record import Epoch
from keras_twoarg.experiments.training.stages import Stage

STEPS = 100
"""Steps after which a network that learns is above chance."""
_SMALL_SURFACES = "with it 0 of 8 CNNs on CIFAR-10 stayed at chance, 6 of 8 with surfaces that are not scaled"
"""What `results/stalls.json` shows of random surfaces."""


def judged_epoch(epochs: int, samples: int, batch_size: int) -> int:
    """Return the epoch after which a run is judged: the first with enough steps by then, or the last.

    Args:
        epochs: Number of epochs.
        samples: Training samples in an epoch.
        batch_size: Samples in a step.
    """
    return min(epochs, -(-STEPS // -(-samples // batch_size)))


def at_chance(epoch: Epoch, labels: np.ndarray) -> bool:
    """Return whether an epoch ended no better than a constant answer.

    For classes that is the most frequent one, with a margin of two standard errors; for a regression the mean of the
    training rows, which is 0.

    Args:
        epoch: The results of the epoch.
        labels: Labels of the validation samples.
    """
    accuracy = epoch["val_accuracy"]
    if accuracy is None:
        return not epoch["val_loss"] < float(np.mean(np.square(labels, dtype="float64")))
    share = float(np.bincount(np.ravel(labels)).max()) / np.size(labels)
    return not accuracy > share + 2 * (share * (1 - share) / np.size(labels)) ** 0.5


def reached(epoch: Epoch) -> str:
    """Return an epoch's validation accuracy, or the root mean squared error of a regression, as text."""
    accuracy = epoch["val_accuracy"]
    return f"RMSE {epoch['val_loss'] ** 0.5:.3f}" if accuracy is None else f"{accuracy:.2%}"


def chance_warning(stage: Stage, number: int, epoch: Epoch, configuration: Configuration) -> str:
    """Return a warning that a run is at chance after an epoch, with advice."""
    advice = ["a lower learning rate (--learning-rate)", "less dropout (--dropout)", "more epochs"]
    if configuration.arm in models.ARMS and configuration.phi_init != "glorot" and stage is Stage.JOINT:
        advice.insert(0, "--phi-init glorot")
        if configuration.phi_init == "random" and configuration.phi_init_std == "paper":
            advice.insert(0, f"--phi-init-std 0.01 ({_SMALL_SURFACES})")
    what, chance = ("accuracy", "chance") if epoch["val_accuracy"] is not None else ("result", "always giving the mean")
    return (
        f"after epoch {number} of the {stage} stage the validation {what} is {reached(epoch)}, no better "
        f"than {chance}. If it stays there, try {', '.join(advice[:-1])} or {advice[-1]}"
    )
