"""Outer networks for every arm, and widths that make arms comparable."""

from keras_twoarg.outer.arms import ARMS, arity_of, check_arm, inner_for
from keras_twoarg.outer.cnn import cnn
from keras_twoarg.outer.matching import Comparison, compare, matched_widths, widths_for_budget
from keras_twoarg.outer.mlp import mlp
from keras_twoarg.outer.norm import JointLayerNormalization
from keras_twoarg.outer.pairs import PairActivation

__all__ = [
    "ARMS",
    "Comparison",
    "JointLayerNormalization",
    "PairActivation",
    "arity_of",
    "check_arm",
    "cnn",
    "compare",
    "inner_for",
    "matched_widths",
    "mlp",
    "widths_for_budget",
]
