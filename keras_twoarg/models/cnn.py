"""The outer convolutional network, for every arm."""

from collections.abc import Sequence

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.joint_layer_normalization import JointLayerNormalization
from keras_twoarg.models import blocks
from keras_twoarg.ops.table import Interpolation
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

    For each width but the last: convolution 3x3 without padding -> LayerNorm -> unit -> max-pooling 2x2 -> dropout.
    For the last: linear -> LayerNorm -> unit -> dropout. Then linear. A unit reads channels at one pixel; the
    LayerNorm runs jointly over height, width and channels and learns nothing. Learned phis have their max-pooling in
    the same layer, `TwoArgMaxPooling2D`, at a smaller price. The output is logits.

    Args:
        input_shape: `(height, width, channels)`.
        classes: Number of outputs.
        arm: `"two_arg"`, `"one_arg"`, `"quadratic"`, a fixed function of two arguments (`"swiglu"`, `"maxout"`,
            `"xnor"`, `"product"`), `"prelu"`, or a Keras activation such as `"relu"`. Defaults to `"two_arg"`.
        widths: Units of each hidden layer: output channels of the convolutions, outputs of the linear layer.
            Defaults to `(60, 120, 120, 120)`, the paper's.
        inner: The inner network that all units share, for the arms that have one. Defaults to a new one.
        dropout: Dropout rate behind each hidden layer. Defaults to `0.5`, the paper's.
        normalization: `"layer"`, or `"none"` for networks as some earlier comparisons had them. Defaults to `"layer"`.
        pairing: Which channels a unit reads (see `TwoArgActivation`). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: Seed of the initial weights and of dropout. Defaults to `None`: new ones each time.
        name: Name of the model.

    Returns:
        A built `keras.Sequential`, not compiled.

    Examples:
        >>> models.cnn((32, 32, 3), classes=10).count_params()
        513707

    Raises:
        ValueError: If the images are too small for so many layers, the arm is unknown or does not fit `inner`, or a
            size is out of range.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871)
    """
    blocks.check_sizes(widths, classes, dropout)
    blocks.check_normalization(normalization)
    _check_image(tuple(input_shape), len(widths) - 1)
    arity = blocks.arity_of(arm)
    inner = blocks.inner_for(arm, inner, seed)
    model = keras.Sequential([keras.Input(tuple(input_shape), name="image")], name=name)
    channels = input_shape[-1]
    for i, width in enumerate(widths[:-1], start=1):
        model.add(blocks.convolution(arity * width, channels, seed, i))
        if normalization == "layer":
            model.add(JointLayerNormalization())
        for layer in blocks.pooled_units(arm, inner, pairing, evaluation):
            model.add(layer)
        model.add(blocks.dropout(dropout, seed, i))
        channels = width
    model.add(keras.layers.Flatten(data_format=blocks.FORMAT))
    model.add(blocks.linear(arity * widths[-1], model.output_shape[-1], seed, len(widths)))
    if normalization == "layer":
        model.add(blocks.layer_normalization())
    model.add(blocks.unit(arm, inner, pairing, evaluation))
    model.add(blocks.dropout(dropout, seed, len(widths)))
    model.add(blocks.linear(classes, widths[-1], seed, 0, name="logits"))
    return model


def _check_image(shape: tuple[int, ...], convolutions: int) -> None:
    if len(shape) != 3:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: input_shape={shape}")
    size = min(shape[:2])
    for _ in range(convolutions):
        size = (size - 2) // 2
    if size < 1:
        raise ValueError(
            f"Images of {shape[0]}x{shape[1]} are too small for {convolutions} layers of convolution and pooling. "
            "Use fewer widths."
        )
