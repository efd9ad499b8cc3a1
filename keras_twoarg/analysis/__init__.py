"""What phi has learned, in numbers: arrays in, dataclass out, no drawing."""

from keras_twoarg.analysis.curvature import CurvatureTest, curvature_test, null_share
from keras_twoarg.analysis.density import Density, density, inner_network, pool, pre_activations
from keras_twoarg.analysis.maturation import distance, settled
from keras_twoarg.analysis.nearest import Nearest, nearest
from keras_twoarg.analysis.quadratic import QuadraticFit, fit_quadratic
from keras_twoarg.analysis.soft_xor import SoftXOR, soft_xor
from keras_twoarg.analysis.spectrum import Spectrum, spectrum
from keras_twoarg.analysis.statistics import Paired, mean_interval, paired

__all__ = [
    "CurvatureTest",
    "Density",
    "Nearest",
    "Paired",
    "QuadraticFit",
    "SoftXOR",
    "Spectrum",
    "curvature_test",
    "density",
    "distance",
    "fit_quadratic",
    "inner_network",
    "mean_interval",
    "nearest",
    "null_share",
    "paired",
    "pool",
    "pre_activations",
    "settled",
    "soft_xor",
    "spectrum",
]
