"""Is a user's own model better with two arguments? The same training for each arm, over several seeds."""

from keras_twoarg.experiments.comparison.comparing import compare
from keras_twoarg.experiments.comparison.result import Comparison
from keras_twoarg.experiments.comparison.runs import Run

__all__ = ["Comparison", "Run", "compare"]
