"""Two-argument activation functions for Keras (Yoon, Orhan, Kim, Pitkow, arXiv 2110.06871)."""

from keras_twoarg import models  # also registers the layers of its networks, so that their files load
from keras_twoarg._version import __version__
from keras_twoarg.export.bake import bake
from keras_twoarg.export.baking_report import BakingReport
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.cell_types import CellTypes
from keras_twoarg.layers.description import describe
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.replacement import set_phi
from keras_twoarg.layers.sharing import assert_shared, clone_model, sharing_scope
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, set_evaluation
from keras_twoarg.layers.two_arg_dense import TwoArgDense
from keras_twoarg.layers.two_arg_max_pooling2d import TwoArgMaxPooling2D
from keras_twoarg.layers.two_arg_rnn_cell import TwoArgRNNCell
from keras_twoarg.models.conversion.report import ConversionReport
from keras_twoarg.models.convert import convert
from keras_twoarg.ops.interpolation import Interpolation

__all__ = [
    "BakedActivation",
    "BakingReport",
    "CellTypes",
    "ConversionReport",
    "InnerNetwork",
    "Interpolation",
    "TwoArgActivation",
    "TwoArgDense",
    "TwoArgMaxPooling2D",
    "TwoArgRNNCell",
    "__version__",
    "assert_shared",
    "bake",
    "clone_model",
    "convert",
    "describe",
    "models",
    "set_evaluation",
    "set_phi",
    "sharing_scope",
]
