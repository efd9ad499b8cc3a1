"""Whether a network does better than always naming the most frequent class, and what helps if it does not."""

import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.stages import Stage


def at_chance(accuracy: float, labels: np.ndarray) -> bool:
    """Tell whether an accuracy is within two standard errors of always naming the most frequent class.

    Examples:
        >>> at_chance(0.12, np.arange(100) % 10), at_chance(0.5, np.arange(100) % 10)
        (True, False)
    """
    share = float(np.bincount(np.ravel(labels)).max()) / np.size(labels)
    return not accuracy > share + 2 * (share * (1 - share) / np.size(labels)) ** 0.5


def chance_warning(stage: Stage, accuracy: float, configuration: Configuration) -> str:
    """Say that a run is at chance after its first epoch, and what to try."""
    advice = ["a lower learning rate (--learning-rate)", "less dropout (--dropout)", "more epochs"]
    if configuration.arm in models.ARMS and configuration.phi_init != "glorot" and stage is Stage.JOINT:
        advice.insert(0, "--phi-init glorot (phi then starts steeper than the pretrained surface)")
    return (
        f"after the first epoch of the {stage} stage the validation accuracy is {accuracy:.2%}, no better "
        f"than chance. If it stays there, try {', '.join(advice[:-1])} or {advice[-1]}"
    )
