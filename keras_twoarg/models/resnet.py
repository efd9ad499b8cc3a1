"""The outer residual network, for every arm."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models import blocks
from keras_twoarg.models.structure import RESNET_BLOCKS
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.types import Layer, Model

PLACES = ("between", "both")


def resnet(
    input_shape: Sequence[int],
    classes: int,
    arm: str = "two_arg",
    widths: Sequence[int] = (16, 32, 64),
    inner: InnerNetwork | None = None,
    dropout: float = 0.0,
    *,
    blocks_per_stage: int = RESNET_BLOCKS,
    places: str = "between",
    pairing: str = "adjacent",
    evaluation: str | Interpolation = "auto",
    seed: int | None = None,
    name: str | None = None,
) -> Model:
    """Return a residual network for small images, as a `keras.Model`.

    A convolution, BatchNorm and a unit; then for each width a stage of blocks, each convolution -> BatchNorm -> unit ->
    convolution -> BatchNorm -> sum -> unit; then average pooling, dropout and a linear layer. Each stage except the
    first halves the image. BatchNorm's moving averages have a momentum of 0.9.

    Args:
        input_shape: `(height, width, channels)`.
        classes: Number of outputs.
        arm: As in `models.mlp`. Defaults to `"two_arg"`.
        widths: Units (channels) of each stage. Defaults to `(16, 32, 64)`.
        inner: The inner network that all units share, for arms that have one. Defaults to a new one.
        dropout: Dropout rate before the linear layer. Defaults to `0.0`.
        blocks_per_stage: Blocks in each stage. Defaults to `3`, which gives 20 layers.
        places: Where the arm's units are: `"between"` the two convolutions of a block, with ReLU after the sums; or in
            `"both"` places, where a sum has one entry per channel and argument, made by a 1x1 convolution on every
            shortcut. Defaults to `"between"`.
        pairing: Which channels a unit reads (see `TwoArgActivation`). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: Seed of the initial weights and of dropout. Defaults to `None`: a random one.
        name: Name of the model.

    Returns:
        A built `keras.Model`, not compiled. The outputs are logits.

    Examples:
        >>> models.resnet((32, 32, 3), 10, "relu").count_params()
        274042
        >>> models.widths_for_budget("two_arg", 274_042, (1, 2, 4), (32, 32, 3), 10, architecture="resnet")
        (13, 26, 53)

    Raises:
        ValueError: If the arm is unknown or does not fit `inner`, `places` is unknown, or a size is out of range.

    References:
        - [He, Zhang, Ren, Sun, 2015](https://arxiv.org/abs/1512.03385), section 4.2
    """
    widths = blocks.check_sizes(widths, classes, dropout, blocks_per_stage=blocks_per_stage)
    one_of("places", places, PLACES)
    if len(input_shape) != 3:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {tuple(input_shape)}")
    parts = _Parts(arm, blocks.inner_for(arm, inner, seed), places == "both", pairing, evaluation, seed)
    image = keras.Input(tuple(input_shape), name="image")
    x = parts.behind(parts.convolution(image, parts.behind_arity * widths[0], 3, 1, 0))
    for stage, width in enumerate(widths):
        for block in range(blocks_per_stage):
            strides = 2 if stage and not block else 1
            x = parts.block(x, width, strides, 10 * (1 + stage * blocks_per_stage + block))
    x = keras.layers.GlobalAveragePooling2D(data_format=blocks.FORMAT)(x)
    x = blocks.dropout(dropout, seed, 1)(x)
    return keras.Model(image, blocks.linear(classes, widths[-1], seed, 0, name="logits")(x), name=name)


@dataclass(frozen=True)
class _Parts:
    """The settings that the blocks of a network share."""

    arm: str
    inner: InnerNetwork | None
    both: bool
    pairing: str
    evaluation: str | Interpolation
    seed: int | None

    @property
    def behind_arity(self) -> int:
        """Entries of a sum per channel."""
        return blocks.arity_of(self.arm) if self.both else 1

    def unit(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the outputs of the arm's units."""
        return blocks.unit(self.arm, self.inner, self.pairing, self.evaluation, shared_axes=[1, 2])(x)

    def behind(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the outputs of the units after a sum."""
        return self.unit(x) if self.both else keras.layers.Activation("relu")(x)

    def block(self, x: keras.KerasTensor, width: int, strides: int, index: int) -> keras.KerasTensor:
        """Return the outputs of one block."""
        arity = blocks.arity_of(self.arm)
        change = self.unit(self.convolution(x, arity * width, 3, strides, index))
        change = self.convolution(change, self.behind_arity * width, 3, 1, index + 1)
        if self.behind_arity > 1 or strides > 1:
            x = self.convolution(x, self.behind_arity * width, 1, strides, index + 2)
        return self.behind(keras.layers.Add()([x, change]))

    def convolution(self, x: keras.KerasTensor, filters: int, size: int, strides: int, index: int) -> keras.KerasTensor:
        """Return convolution -> BatchNorm of an image."""
        initializer = keras.initializers.HeNormal(seed=blocks.seed_of(self.seed, 100 + index))
        layer: Layer = keras.layers.Conv2D(
            filters, size, strides, "same", blocks.FORMAT, use_bias=False, kernel_initializer=initializer
        )
        # With Keras' default momentum of 0.99, deep products overflow in validation during the first hundreds of steps.
        return keras.layers.BatchNormalization(momentum=0.9)(layer(x))
