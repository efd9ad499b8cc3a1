"""The outer convolutional network, for every arm."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models import blocks
from keras_twoarg.models.structure import last_image
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Model


def cnn(
    input_shape: Sequence[int],
    classes: int,
    arm: str = "two_arg",
    widths: Sequence[int] = (60, 120, 120, 120),
    inner: InnerNetwork | None = None,
    dropout: float = 0.5,
    *,
    normalization: str = "layer",
    pairing: str = "adjacent",
    evaluation: str | Interpolation = "auto",
    seed: int | None = None,
    name: str | None = None,
) -> Model:
    """Return a convolutional network as a `keras.Sequential`.

    For each width except the last: 3x3 convolution without padding -> LayerNorm -> unit -> 2x2 max-pooling -> dropout.
    For the last: linear -> LayerNorm -> unit -> dropout. Then a linear layer. A unit reads channels of one pixel; the
    LayerNorm normalizes jointly over height, width and channels and has no parameters. Learned phis and their
    max-pooling are one layer, `TwoArgMaxPooling2D`, which is faster. The outputs are logits.

    Args:
        input_shape: `(height, width, channels)`.
        classes: Number of outputs.
        arm: As in `models.mlp`. Defaults to `"two_arg"`.
        widths: Units of each hidden layer: output channels of the convolutions, outputs of the linear layer.
            Defaults to `(60, 120, 120, 120)`, the paper's.
        inner: The inner network that all units share, for arms that have one. Defaults to a new one.
        dropout: Dropout rate after each hidden layer. Defaults to `0.5`, the paper's.
        normalization: `"layer"` or `"none"`, as in `models.mlp`. Defaults to `"layer"`.
        pairing: Which channels a unit reads (see `TwoArgActivation`). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: Seed of the initial weights and of dropout. Defaults to `None`: a random one.
        name: Name of the model.

    Returns:
        A built `keras.Sequential`, not compiled.

    Examples:
        >>> models.cnn((32, 32, 3), classes=10).count_params()
        513707

    Raises:
        ValueError: If the images are too small for the number of layers, the arm is unknown or does not fit `inner`, or
            a size is out of range.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871)
    """
    widths = blocks.check_sizes(widths, classes, dropout)
    flat = prod(last_image(tuple(input_shape), widths))
    inner = blocks.inner_for(arm, inner, seed)
    hidden = blocks.HiddenLayers(arm, inner, normalization, pairing, evaluation, dropout, seed)
    layers = [keras.Input(tuple(input_shape), name="image")]
    for i, (channels, width) in enumerate(pairwise((input_shape[-1], *widths[:-1])), start=1):
        layers += hidden.convolution(width, channels, i)
    layers.append(keras.layers.Flatten(data_format=blocks.FORMAT))
    layers += hidden.linear(widths[-1], flat, len(widths))
    return keras.Sequential([*layers, blocks.linear(classes, widths[-1], seed, 0, name="logits")], name=name)
