"""The command `twoarg`: thin wrappers around functions that can be imported."""

from keras_twoarg.cli import (  # noqa: F401  # each adds itself to `twoarg`
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
from keras_twoarg.cli.common import twoarg as twoarg
