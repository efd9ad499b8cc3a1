"""What decides the number of parameters of an outer network, counted without building it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import keras

from keras_twoarg.layers.pair_activation import PairActivation
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.models import blocks
from keras_twoarg.utils.types import Model

ARCHITECTURES = ("mlp", "cnn", "transformer")
SEQUENCE_WIDTH = 96
"""Of a Transformer: width of the sequence that its blocks add to."""


@dataclass(frozen=True)
class Structure:
    """The sizes of an outer network.

    Attributes:
        architecture: One of `ARCHITECTURES`.
        input_shape: Shape of one sample; of a Transformer `(context,)`.
        classes: Number of outputs; of a Transformer the number of tokens.
        widths: Units of each hidden layer; of a Transformer of each block's feed-forward layer.
        sequence_width: Width of a Transformer's sequence.

    Raises:
        ValueError: If the architecture is unknown.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: int
    widths: tuple[int, ...]
    sequence_width: int = SEQUENCE_WIDTH

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"`architecture` must be one of {ARCHITECTURES}. Received: architecture={self.architecture!r}"
            )

    def with_widths(self, widths: Sequence[int]) -> "Structure":
        """Return the same sizes with other widths."""
        return replace(self, widths=tuple(widths))

    def parameters(self, arm: str) -> int:
        """Count the learned parameters with an arm, its inner network's left out."""
        count = {"mlp": _mlp, "cnn": _cnn, "transformer": _transformer}[self.architecture]
        return count(self, blocks.arity_of(arm)) + sum(blocks.slopes(arm, width) for width in self.widths)


def _mlp(sizes: Structure, arity: int) -> int:
    return _dense(prod(sizes.input_shape), sizes.widths, sizes.classes, arity)


def _dense(fan_in: int, widths: Sequence[int], classes: int, arity: int) -> int:
    """Count linear layers in a row and the one that gives the logits."""
    total = 0
    for width in widths:
        total += (fan_in + 1) * arity * width
        fan_in = width
    return total + (fan_in + 1) * classes


def _cnn(sizes: Structure, arity: int) -> int:
    height, width, channels = sizes.input_shape
    total = 0
    for filters in sizes.widths[:-1]:
        total += (9 * channels + 1) * arity * filters
        height, width, channels = (height - 2) // 2, (width - 2) // 2, filters
    return total + _dense(height * width * channels, sizes.widths[-1:], sizes.classes, arity)


def _transformer(sizes: Structure, arity: int) -> int:
    width, (context,) = sizes.sequence_width, sizes.input_shape
    normalization, attention = 2 * width, 4 * (width + 1) * width
    total = (sizes.classes + context) * width + normalization + (width + 1) * sizes.classes
    for units in sizes.widths:
        total += 2 * normalization + attention + (width + 1) * arity * units + (units + 1) * width
    return total


def structure_of(model: Model) -> Structure:
    """Return the sizes of a model made by `models.mlp`, `models.cnn` or `models.transformer`.

    Raises:
        ValueError: If the model was made by something else.
    """
    units = [layer for layer in model.layers if is_unit(layer)]
    kinds = {type(layer).__name__ for layer in model.layers}
    architecture = "transformer" if "PositionEmbedding" in kinds else "cnn" if "Conv2D" in kinds else "mlp"
    linear = sum(fan_out(layer) > 0 for layer in model.layers)
    expected = 2 * len(units) + 1 if architecture == "transformer" else len(units) + 1
    if model.layers[-1].name != "logits" or not units or linear != expected:
        raise ValueError(
            "`reference` must be a model made by models.mlp, models.cnn or models.transformer. "
            f"Received: {model.name!r} with {linear} linear layers and {len(units)} activations"
        )
    widths = tuple(int(unit.input.shape[-1]) // getattr(unit, "arity", 1) for unit in units)
    sequence = next((layer.output_dim for layer in model.layers if isinstance(layer, keras.layers.Embedding)), 1)
    return Structure(architecture, tuple(model.input_shape[1:]), fan_out(model.layers[-1]), widths, sequence)


def fan_out(layer: object) -> int:
    """Return the outputs of a linear layer, or 0."""
    if isinstance(layer, keras.layers.Dense):
        return int(layer.units)
    return int(layer.filters) if isinstance(layer, keras.layers.Conv2D) else 0


def is_unit(layer: object) -> bool:
    """Tell whether a layer turns pre-activations into the units' outputs."""
    return isinstance(layer, TwoArgActivation | PairActivation | keras.layers.Activation | keras.layers.PReLU)
