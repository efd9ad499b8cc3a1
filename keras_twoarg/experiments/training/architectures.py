"""The outer networks that a run may have, each declared once."""

from collections.abc import Callable
from dataclasses import dataclass

from keras_twoarg import models
from keras_twoarg.utils.types import Model


@dataclass(frozen=True)
class Architecture:
    """What a run needs to know of an outer network.

    Attributes:
        build: The function that builds it.
        data: The kinds of data that it is for (`Dataset.kind`).
        widths: Units of each hidden layer of the two-argument network, where nothing else is said.
        options: Settings of `Configuration` that are arguments of `build` beside those that all have.
    """

    build: Callable[..., Model]
    data: tuple[str, ...]
    widths: tuple[int, ...]
    options: tuple[str, ...]


ARCHITECTURES = {
    "mlp": Architecture(models.mlp, ("images", "signs", "features"), (64, 64, 64), ("normalization", "pairing")),
    "cnn": Architecture(models.cnn, ("images",), (60, 120, 120, 120), ("normalization", "pairing")),
    "transformer": Architecture(models.transformer, ("tokens",), (256, 256, 256), ("sequence_width", "pairing")),
    "recurrent": Architecture(models.recurrent, ("tokens",), (256,), ("sequence_width", "arguments")),
    # As large as a ReLU network of 16, 32 and 64 channels.
    "resnet": Architecture(models.resnet, ("images",), (13, 26, 53), ("places", "pairing")),
}
"""By name; the widths of mlp and cnn are the paper's."""
