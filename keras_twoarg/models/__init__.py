"""Outer networks for every arm, and widths that match their numbers of parameters."""

from keras_twoarg.layers.joint_layer_normalization import JointLayerNormalization
from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.pair_rnn_cell import PairRNNCell
from keras_twoarg.models.blocks import ARMS, arity_of, check_arm, inner_for
from keras_twoarg.models.cnn import cnn
from keras_twoarg.models.matching import Comparison, compare, count_parameters, matched_widths, widths_for_budget
from keras_twoarg.models.mlp import mlp
from keras_twoarg.models.recurrent import recurrent
from keras_twoarg.models.resnet import resnet
from keras_twoarg.models.transformer import PositionEmbedding, transformer

__all__ = [
    "ARMS",
    "Comparison",
    "JointLayerNormalization",
    "PairActivation",
    "PairRNNCell",
    "PositionEmbedding",
    "arity_of",
    "check_arm",
    "cnn",
    "compare",
    "count_parameters",
    "inner_for",
    "matched_widths",
    "mlp",
    "recurrent",
    "resnet",
    "transformer",
    "widths_for_budget",
]
