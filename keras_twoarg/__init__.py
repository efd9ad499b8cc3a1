"""Two-argument activation functions for Keras (Yoon, Orhan, Kim, Pitkow, arXiv 2110.06871)."""

from keras_twoarg import outer  # also registers the layers of its networks, so that their files load
from keras_twoarg._version import __version__
from keras_twoarg.activation import TwoArgActivation, set_evaluation
from keras_twoarg.baking import BakingReport, bake
from keras_twoarg.evaluation.baked import BakedActivation
from keras_twoarg.evaluation.interpolated import Interpolation
from keras_twoarg.inner import InnerNetwork
from keras_twoarg.pooling import TwoArgMaxPooling2D
from keras_twoarg.sharing import assert_shared, clone_model, sharing_scope

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
    "outer",
    "set_evaluation",
    "sharing_scope",
]
