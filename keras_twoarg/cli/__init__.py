"""The command `twoarg`. Each command is a thin skin over functions that can be imported."""

from keras_twoarg.cli import bench, convert, delivery, demo, pack, report, reproduce, robustness, show, train, tune
from keras_twoarg.cli.common import twoarg

__all__ = [
    "bench",
    "convert",
    "delivery",
    "demo",
    "pack",
    "report",
    "reproduce",
    "robustness",
    "show",
    "train",
    "tune",
    "twoarg",
]
