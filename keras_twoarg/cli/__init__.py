"""The command `twoarg`. Each command is a thin skin over functions that can be imported."""

from keras_twoarg.cli import convert, delivery, experiments, searching
from keras_twoarg.cli.common import twoarg

__all__ = ["convert", "delivery", "experiments", "searching", "twoarg"]
