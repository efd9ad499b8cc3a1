"""Reports of finished runs: tables for the terminal, figures, and self-contained pages."""

from keras_twoarg.experiments.reports.learned_surfaces import plot_maturation, plot_spectrum
from keras_twoarg.experiments.reports.learning_curves import plot_learning_curves, plot_sizes

__all__ = ["plot_learning_curves", "plot_maturation", "plot_sizes", "plot_spectrum"]
