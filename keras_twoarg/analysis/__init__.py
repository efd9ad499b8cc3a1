"""What phi has learned: its surface, the density of its arguments, and whether it is a soft XOR."""

from keras_twoarg.analysis.density import Density, density, inner_network, pool, pre_activations
from keras_twoarg.analysis.nearest_function import Nearest, nearest
from keras_twoarg.analysis.quadratic_fit import QuadraticFit, SoftXOR, fit_quadratic, soft_xor
from keras_twoarg.analysis.saddle_test import SaddleTest, null_share, saddle_test
from keras_twoarg.analysis.spectrum import Spectrum, spectrum
from keras_twoarg.analysis.statistics import Paired, clopper_pearson, mean_interval, paired
from keras_twoarg.analysis.surface_callback import SurfaceCallback
from keras_twoarg.analysis.surface_display import SurfaceDisplay
from keras_twoarg.analysis.surface_distance import distance, distance_up_to_symmetry, settled

__all__ = [
    "Density",
    "Nearest",
    "Paired",
    "QuadraticFit",
    "SaddleTest",
    "SoftXOR",
    "Spectrum",
    "SurfaceCallback",
    "SurfaceDisplay",
    "clopper_pearson",
    "density",
    "distance",
    "distance_up_to_symmetry",
    "fit_quadratic",
    "inner_network",
    "mean_interval",
    "nearest",
    "null_share",
    "paired",
    "pool",
    "pre_activations",
    "saddle_test",
    "settled",
    "soft_xor",
    "spectrum",
]
