"""What a person looks at: figures, one self-contained report, and phi during training."""

from keras_twoarg.plots.curves import plot_learning_curves, plot_sizes
from keras_twoarg.plots.learned import plot_maturation, plot_spectrum
from keras_twoarg.plots.monitor import SurfaceMonitor
from keras_twoarg.plots.surface import SurfaceDisplay

__all__ = [
    "SurfaceDisplay",
    "SurfaceMonitor",
    "plot_learning_curves",
    "plot_maturation",
    "plot_sizes",
    "plot_spectrum",
]
