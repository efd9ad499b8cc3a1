"""What phi has learned, in numbers: arrays in, dataclass out, no drawing."""

from keras_twoarg.analysis.density import Density, density, inner_network, pre_activations
from keras_twoarg.analysis.quadratic import QuadraticFit, fit_quadratic
from keras_twoarg.analysis.soft_xor import SoftXOR, soft_xor
from keras_twoarg.analysis.statistics import Paired, paired

__all__ = [
    "Density",
    "Paired",
    "QuadraticFit",
    "SoftXOR",
    "density",
    "fit_quadratic",
    "inner_network",
    "paired",
    "pre_activations",
    "soft_xor",
]
