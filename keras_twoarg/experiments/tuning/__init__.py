"""Hyperparameter search with KerasTuner, on one machine and on many."""

from keras_twoarg.experiments.tuning.hypermodel import SPACE, OuterHyperModel, Range
from keras_twoarg.experiments.tuning.search import Search, arms_behind, read_hparams, search_of, tune

__all__ = ["SPACE", "OuterHyperModel", "Range", "Search", "arms_behind", "read_hparams", "search_of", "tune"]
