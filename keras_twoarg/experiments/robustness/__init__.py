"""Robustness: the corruptions of CIFAR-10-C, and AutoAttack."""

from keras_twoarg.experiments.robustness.attacks import ATTACKS, AUTOATTACK, Attacked, attack
from keras_twoarg.experiments.robustness.corruption_error import CorruptionError, corruption_error
from keras_twoarg.experiments.robustness.corruptions import NAMES, SEVERITIES, corrupt

__all__ = [
    "ATTACKS",
    "AUTOATTACK",
    "NAMES",
    "SEVERITIES",
    "Attacked",
    "CorruptionError",
    "attack",
    "corrupt",
    "corruption_error",
]
