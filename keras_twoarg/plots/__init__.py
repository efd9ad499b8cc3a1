"""What a person looks at: figures and one self-contained report. Needs the extra `plot`."""

from keras_twoarg.plots.curves import plot_learning_curves
from keras_twoarg.plots.surface import SurfaceDisplay

__all__ = ["SurfaceDisplay", "plot_learning_curves"]
