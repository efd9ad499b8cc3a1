"""The outer perceptron, for every arm."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models import blocks
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Model


def mlp(
    input_shape: Sequence[int],
    classes: int,
    arm: str = "two_arg",
    widths: Sequence[int] = (64, 64, 64),
    inner: InnerNetwork | None = None,
    dropout: float = 0.5,
    *,
    normalization: str = "layer",
    pairing: str = "adjacent",
    evaluation: str | Interpolation = "auto",
    seed: int | None = None,
    name: str | None = None,
) -> Model:
    """Return a perceptron as a `keras.Sequential`: for each width, linear -> LayerNorm -> unit -> dropout; then linear.

    The LayerNorm normalizes over all pre-activations of a sample and has no parameters. Every arm has it in every
    hidden layer, so that arms differ only in their units. The outputs are logits.

    Args:
        input_shape: Shape of one sample; it is flattened.
        classes: Number of outputs.
        arm: `"two_arg"`, `"one_arg"`, `"quadratic"`, a fixed function of two arguments (`"swiglu"`, `"glu"`,
            `"maxout"`, `"xnor"`, `"product"`), `"prelu"`, or a Keras activation such as `"relu"`. Defaults to
            `"two_arg"`.
        widths: Units of each hidden layer (outputs, not pre-activations). Defaults to `(64, 64, 64)`, the paper's.
        inner: The inner network that all units share, for arms that have one. Defaults to a new one.
        dropout: Dropout rate after each hidden layer. Defaults to `0.5`, the paper's.
        normalization: `"layer"`, or `"none"` as in some earlier comparisons. Defaults to `"layer"`.
        pairing: Which pre-activations a unit reads (see `TwoArgActivation`). Defaults to `"adjacent"`.
        evaluation: How phi is evaluated (see `TwoArgActivation`). Defaults to `"auto"`.
        seed: Seed of the initial weights and of dropout. Defaults to `None`: a random one.
        name: Name of the model.

    Returns:
        A built `keras.Sequential`, not compiled.

    Examples:
        >>> models.mlp((28, 28, 1), classes=10).count_params()
        122187
        >>> models.mlp((28, 28, 1), classes=10, arm="relu", widths=(118, 118, 118)).count_params()
        121904

    Raises:
        ValueError: If the arm is unknown or does not fit `inner`, or a size is out of range.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871)
    """
    widths = blocks.check_sizes(widths, classes, dropout)
    inner = blocks.inner_for(arm, inner, seed)
    hidden = blocks.HiddenLayers(arm, inner, normalization, pairing, evaluation, dropout, seed)
    layers = [keras.Input(tuple(input_shape), name="image"), keras.layers.Flatten()]
    for i, (fan_in, width) in enumerate(pairwise((prod(input_shape), *widths)), start=1):
        layers += hidden.linear(width, fan_in, i)
    return keras.Sequential([*layers, blocks.linear(classes, widths[-1], seed, 0, name="logits")], name=name)
