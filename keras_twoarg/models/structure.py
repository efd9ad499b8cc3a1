"""The sizes that determine an outer network's number of parameters, counted without building it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import keras

from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.models import blocks
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.types import Config, Model

SEQUENCE_WIDTH = 96
"""Default width of a token's vector."""


@dataclass(frozen=True)
class Structure:
    """The sizes of an outer network.

    Attributes:
        architecture: One of `ARCHITECTURES`.
        input_shape: Shape of one sample; `(context,)` for sequences of tokens.
        classes: Number of outputs; for sequences, the number of tokens.
        widths: Units of each hidden layer, as the network's function takes them.
        options: Other arguments of that function; those that do not affect the size are ignored.

    Raises:
        ValueError: If the architecture is unknown.
        TypeError: If an option is not an argument of any network.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: int
    widths: tuple[int, ...]
    options: Config = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        if unknown := set(self.options) - set(OPTIONS):
            raise TypeError(f"Other arguments must be among {OPTIONS}. Received: {', '.join(sorted(unknown))}")

    @property
    def sequence_width(self) -> int:
        """Width of a token's vector."""
        return int(self.options.get("sequence_width", SEQUENCE_WIDTH))

    def parameters(self, arm: str) -> int:
        """Count the parameters with an arm, without its inner network's."""
        return _COUNTS[self.architecture](self, arm)


def _mlp(sizes: Structure, arm: str) -> int:
    return _dense(prod(sizes.input_shape), sizes.widths, sizes.classes, arm)


def _dense(fan_in: int, widths: Sequence[int], classes: int, arm: str) -> int:
    """Count a chain of linear layers with their units, and the layer of the logits."""
    total = 0
    for width in widths:
        total += (fan_in + 1) * blocks.arity_of(arm) * width + blocks.slopes(arm, width)
        fan_in = width
    return total + (fan_in + 1) * classes


def _cnn(sizes: Structure, arm: str) -> int:
    flat = prod(last_image(sizes.input_shape, sizes.widths))
    channels, total = sizes.input_shape[-1], 0
    for filters in sizes.widths[:-1]:
        total += (9 * channels + 1) * blocks.arity_of(arm) * filters + blocks.slopes(arm, filters)
        channels = filters
    return total + _dense(flat, sizes.widths[-1:], sizes.classes, arm)


def last_image(shape: tuple[int, ...], widths: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the images after all convolutions, or raise a ValueError if nothing is left."""
    if len(shape) != 3:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: input_shape={shape}")
    height, width, channels = shape
    convolutions = len(widths) - 1
    for units in widths[:-1]:
        height, width, channels = (height - 2) // 2, (width - 2) // 2, units
    if min(height, width) < 1:
        raise ValueError(
            f"Images of {shape[0]}x{shape[1]} are too small for {convolutions} layers of convolution and pooling. "
            "Use fewer widths."
        )
    return height, width, channels


def _transformer(sizes: Structure, arm: str) -> int:
    width, context = sizes.sequence_width, blocks.check_context(sizes.input_shape)
    normalization, attention = 2 * width, 4 * (width + 1) * width
    total = (sizes.classes + context) * width + normalization + (width + 1) * sizes.classes
    for units in sizes.widths:
        total += 2 * normalization + attention + (width + 1) * blocks.arity_of(arm) * units
        total += blocks.slopes(arm, units) + (units + 1) * width
    return total


def _recurrent(sizes: Structure, arm: str) -> int:
    fan_in, total = sizes.sequence_width, sizes.classes * sizes.sequence_width
    arity, mixed = blocks.arity_of(arm), sizes.options.get("arguments") == "mixed"
    kernels, biases = blocks.GATED.get(arm, (arity if mixed else 1, arity))
    for width in sizes.widths:
        total += kernels * (fan_in + width) * width + biases * width
        fan_in = width
    return total + (fan_in + 1) * sizes.classes


def _resnet(sizes: Structure, arm: str) -> int:
    arity, both = blocks.arity_of(arm), sizes.options.get("places") == "both"
    behind = arity if both else 1
    channels = sizes.widths[0]
    total = _convolution(3, sizes.input_shape[-1], behind * channels) + both * blocks.slopes(arm, channels)
    for stage, width in enumerate(sizes.widths):
        for block in range(sizes.options.get("blocks_per_stage", RESNET_BLOCKS)):
            total += _convolution(3, channels, arity * width) + _convolution(3, width, behind * width)
            total += (1 + both) * blocks.slopes(arm, width)
            if behind > 1 or (stage and not block):
                total += _convolution(1, channels, behind * width)
            channels = width
    return total + (channels + 1) * sizes.classes


def _convolution(size: int, channels: int, filters: int) -> int:
    """Count a convolution without biases and its BatchNorm, including the moving averages."""
    return (size**2 * channels + 4) * filters


RESNET_BLOCKS = 3
_COUNTS = {"mlp": _mlp, "cnn": _cnn, "transformer": _transformer, "recurrent": _recurrent, "resnet": _resnet}
ARCHITECTURES = tuple(_COUNTS)
OPTIONS = (
    "arguments", "blocks_per_stage", "dropout", "evaluation", "heads", "name", "normalization", "pairing", "places",
    "seed", "sequence_width",
)  # fmt: skip
"""Arguments of networks other than the sizes; most of them do not change the number of parameters."""


def structure_of(model: Model) -> Structure:
    """Return the sizes of a model made by `models.mlp`, `models.cnn` or `models.transformer`.

    Raises:
        ValueError: If the model was made otherwise.
    """
    units = [layer for layer in model.layers if is_unit(layer)]
    kinds = {type(layer).__name__ for layer in model.layers}
    architecture = "transformer" if "PositionEmbedding" in kinds else "cnn" if "Conv2D" in kinds else "mlp"
    linear = sum(fan_out(layer) > 0 for layer in model.layers)
    expected = 2 * len(units) + 1 if architecture == "transformer" else len(units) + 1
    of_its_kind = architecture == "transformer" or isinstance(model, keras.Sequential)  # others may have residual sums
    if not of_its_kind or model.layers[-1].name != "logits" or not units or linear != expected:
        raise ValueError(
            "`reference` must be made by models.mlp, models.cnn or models.transformer. For other models pass a number "
            f"of parameters to `widths_for_budget`. Received: {model.name!r} with {linear} linear layers and "
            f"{len(units)} activations"
        )
    widths = tuple(int(unit.input.shape[-1]) // getattr(unit, "arity", 1) for unit in units)
    embedding = next((layer for layer in model.layers if isinstance(layer, keras.layers.Embedding)), None)
    options = {"sequence_width": embedding.output_dim} if embedding else {}
    return Structure(architecture, tuple(model.input_shape[1:]), fan_out(model.layers[-1]), widths, options)


def fan_out(layer: object) -> int:
    """Return the number of a linear layer's outputs, or 0 for other layers."""
    if isinstance(layer, keras.layers.Dense):
        return int(layer.units)
    return int(layer.filters) if isinstance(layer, keras.layers.Conv2D) else 0


_UNITS = (
    TwoArgActivation, PairActivation, keras.layers.Activation, keras.layers.PReLU, keras.layers.ReLU,
    keras.layers.LeakyReLU, keras.layers.ELU,
)  # fmt: skip


def is_unit(layer: object) -> bool:
    """Return whether a layer turns pre-activations into outputs of units."""
    return isinstance(layer, _UNITS)
