"""Two-argument activation functions for Keras (Yoon, Orhan, Kim, Pitkow, arXiv 2110.06871)."""

from keras_twoarg import models  # also registers the layers of its networks, so that their files load
from keras_twoarg._version import __version__
from keras_twoarg.export.bake import bake
from keras_twoarg.export.baking_report import BakingReport
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.sharing import assert_shared, clone_model, sharing_scope
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, set_evaluation
from keras_twoarg.layers.two_arg_max_pooling2d import TwoArgMaxPooling2D
from keras_twoarg.ops.table import Interpolation

__all__ = [
    "BakedActivation",
    "BakingReport",
    "InnerNetwork",
    "Interpolation",
    "TwoArgActivation",
    "TwoArgMaxPooling2D",
    "__version__",
    "assert_shared",
    "bake",
    "clone_model",
    "models",
    "set_evaluation",
    "sharing_scope",
]
