"""The command `twoarg`: thin wrappers around functions that can be imported."""

from keras_twoarg.cli import (
    bake,
    bench,
    compare,
    convert,
    demo,
    export,
    pack,
    play,
    report,
    reproduce,
    robustness,
    serve_check,
    show,
    train,
    tune,
)
from keras_twoarg.cli.common import twoarg

__all__ = [
    "bake",
    "bench",
    "compare",
    "convert",
    "demo",
    "export",
    "pack",
    "play",
    "report",
    "reproduce",
    "robustness",
    "serve_check",
    "show",
    "train",
    "tune",
    "twoarg",
]
