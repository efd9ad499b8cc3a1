"""The command `twoarg`. Each command is a thin skin over functions that can be imported."""

from keras_twoarg.cli import delivery, experiments, pack, searching
from keras_twoarg.cli.common import twoarg

__all__ = ["delivery", "experiments", "pack", "searching", "twoarg"]
