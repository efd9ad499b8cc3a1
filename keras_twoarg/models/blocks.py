"""The parts of outer networks, and their arms: what fills the units."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.joint_layer_normalization import JointLayerNormalization
from keras_twoarg.layers.pair_activation import FUNCTIONS, PairActivation
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.layers.two_arg_max_pooling2d import TwoArgMaxPooling2D
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.checks import is_positive_integer, one_of, positive_integer
from keras_twoarg.utils.types import Layer, Tensor

FORMAT = "channels_last"
"""The format of all images, whatever Keras is set to."""
ARMS = {"two_arg": 2, "one_arg": 1, "quadratic": 2}
"""Arms whose units apply a learned phi, with its arity; `"quadratic"` learns the six coefficients of a polynomial.

The other arms are fixed functions of two arguments (`pair_activation.FUNCTIONS`), `"prelu"` with one learned slope per
unit or channel, `"relu_squared"`, and Keras' activations by name.
"""


GATED = {"lstm": (4, 4), "gru": (3, 6)}
"""Gated recurrent layers, which are arms of `models.recurrent`, with their kernels and biases per unit."""

NORMALIZATIONS = ("layer", "none")
"""Normalizations before the units: LayerNorm without learned parameters, or none."""


def check_arm(arm: str) -> str:
    """Return `arm`, or raise a ValueError that lists the arms."""
    own = (*ARMS, *FUNCTIONS, "prelu", relu_squared.__name__)
    if arm not in own and arm not in fixed_arms():
        raise ValueError(
            f"`arm` must be one of {own} or the name of a Keras activation such as 'relu'. "
            f"Received: arm={arm!r}. Keras' activations: {', '.join(fixed_arms())}"
        )
    return arm


def fixed_arms() -> list[str]:
    """Return the names of Keras' elementwise activations that need no further arguments."""
    others = {"deserialize", "get", "serialize", "softmax", "log_softmax", "sparsemax", "glu", "threshold"}
    return sorted(set(n for n in dir(keras.activations) if not n.startswith("_")) - others)


@keras.saving.register_keras_serializable(package="keras_twoarg")
def relu_squared(x: Tensor) -> Tensor:
    """Return `relu(x)**2`, an activation of Transformers (Primer, So et al., 2021)."""
    return keras.ops.square(keras.ops.relu(x))


def arity_of(arm: str) -> int:
    """Return the number of pre-activations per unit."""
    if arm in GATED:
        return 1
    return 2 if arm in FUNCTIONS else ARMS.get(check_arm(arm), 1)


def slopes(arm: str, width: int) -> int:
    """Return the number of parameters of an arm's activation at a place of this width."""
    return width if arm == "prelu" else 0


def seed_of(seed: int | None, index: int) -> int | None:
    """Return the seed of one part of a network with a seed, or None for a random one."""
    return None if seed is None else 1000 * seed + index


def glorot(seed: int | None, index: int) -> keras.initializers.Initializer:
    """Return Glorot's initializer for one part of a network with a seed."""
    return keras.initializers.GlorotUniform(seed=seed_of(seed, index))


def phi_initializer(seed: int | None) -> keras.initializers.Initializer:
    """Return the initializer of phi's kernels, whose seeds no other layer and no phi with another seed uses."""
    return glorot(seed, 900)


def inner_for(arm: str, inner: InnerNetwork | None, seed: int | None) -> InnerNetwork | None:
    """Return the inner network that the arm's units share, or None for a fixed activation."""
    if arm not in ARMS:
        if inner is not None:
            raise ValueError(f"The arm {arm!r} has no inner network. Received: inner={inner!r}")
        return None
    quadratic = arm == "quadratic"
    if inner is None:
        initializer = phi_initializer(seed)
        if quadratic:
            return QuadraticNetwork(kernel_initializer=initializer, name="phi")
        return InnerNetwork(arity=ARMS[arm], kernel_initializer=initializer, name="phi")
    if isinstance(inner, QuadraticNetwork) != quadratic:
        raise ValueError(f"The arm {arm!r} does not take this inner network. Received: inner={inner!r}")
    if inner.arity != ARMS[arm]:
        raise ValueError(f"The arm {arm!r} needs an inner network of arity {ARMS[arm]}. Received: arity={inner.arity}")
    return inner


def pooled_units(arm: str, inner: InnerNetwork | None, pairing: str, evaluation: str | Interpolation) -> list[Layer]:
    """Return the layers that turn images of pre-activations into max-pooled outputs of units."""
    if inner is not None:
        return [TwoArgMaxPooling2D(inner, 2, axis=-1, pairing=pairing, evaluation=evaluation)]
    return [unit(arm, inner, pairing, evaluation, shared_axes=[1, 2]), keras.layers.MaxPooling2D(2, data_format=FORMAT)]


def unit(
    arm: str,
    inner: InnerNetwork | None,
    pairing: str,
    evaluation: str | Interpolation,
    shared_axes: list[int] | None = None,
) -> Layer:
    """Return the layer that turns pre-activations into outputs of units, for one place in the network."""
    check_arm(arm)
    if arm in FUNCTIONS:
        return PairActivation(arm, pairing)
    if arm == "prelu":
        slope = keras.initializers.Constant(0.25)
        return keras.layers.PReLU(alpha_initializer=slope, shared_axes=shared_axes)
    if inner is None:
        return keras.layers.Activation(relu_squared if arm == relu_squared.__name__ else arm)
    return TwoArgActivation(inner, pairing=pairing, evaluation=evaluation)


@dataclass(frozen=True)
class HiddenLayers:
    """The settings that all hidden layers of a network share.

    Attributes:
        arm: What fills their units.
        inner: The inner network that all units share, or None.
        normalization: One of `NORMALIZATIONS`.
        pairing: As in `TwoArgActivation`.
        evaluation: As in `TwoArgActivation`.
        dropout: Dropout rate after each of them.
        seed: Seed of initial weights and dropout; each layer derives its own from its index.
    """

    arm: str
    inner: InnerNetwork | None
    normalization: str
    pairing: str
    evaluation: str | Interpolation
    dropout: float
    seed: int | None

    def __post_init__(self) -> None:
        one_of("normalization", self.normalization, NORMALIZATIONS)

    def linear(self, width: int, fan_in: int, index: int) -> list[Layer]:
        """Return linear -> LayerNorm -> unit -> dropout."""
        return [
            linear(arity_of(self.arm) * width, fan_in, self.seed, index),
            *([layer_normalization()] if self.normalization == "layer" else []),
            unit(self.arm, self.inner, self.pairing, self.evaluation),
            dropout(self.dropout, self.seed, index),
        ]

    def convolution(self, width: int, channels: int, index: int) -> list[Layer]:
        """Return convolution -> LayerNorm over height, width and channels -> unit -> max-pooling -> dropout."""
        return [
            convolution(arity_of(self.arm) * width, channels, self.seed, index),
            *([JointLayerNormalization()] if self.normalization == "layer" else []),
            *pooled_units(self.arm, self.inner, self.pairing, self.evaluation),
            dropout(self.dropout, self.seed, index),
        ]


def layer_normalization() -> Layer:
    """Return the normalization before the units: over all features of a sample, without learned parameters."""
    return keras.layers.LayerNormalization(axis=-1, center=False, scale=False, epsilon=1e-5)


def linear(units: int, fan_in: int, seed: int | None, index: int, **kwargs: object) -> Layer:
    """Return a linear layer whose weights and biases are uniform within 1 / sqrt(fan_in), as in the paper's code.

    The LayerNorm after it removes the weights' scale, which therefore determines the effective learning rate.
    """
    return keras.layers.Dense(units, **_uniform(fan_in, seed, index), **kwargs)


def convolution(filters: int, fan_in: int, seed: int | None, index: int) -> Layer:
    """Return a 3x3 convolution without padding, initialized like `linear`."""
    return keras.layers.Conv2D(filters, 3, data_format=FORMAT, **_uniform(9 * fan_in, seed, index))


def _uniform(fan_in: int, seed: int | None, index: int) -> dict[str, object]:
    limit = fan_in**-0.5
    seeds = (seed_of(seed, index), seed_of(seed, 200 + index))
    kernel, bias = (keras.initializers.RandomUniform(-limit, limit, seed=s) for s in seeds)
    return {"kernel_initializer": kernel, "bias_initializer": bias}


def dropout(rate: float, seed: int | None, index: int) -> Layer:
    """Return a dropout layer with its own random seed."""
    return keras.layers.Dropout(rate, seed=seed_of(seed, 500 + index))


def check_sizes(widths: Sequence[int], classes: int, dropout: float, **others: int) -> tuple[int, ...]:
    """Return the widths as Python numbers, or raise a ValueError unless they, the dropout rate and sizes are valid."""
    if len(widths) == 0 or not all(map(is_positive_integer, widths)):
        raise ValueError(f"`widths` must be positive integers, one for each hidden layer. Received: widths={widths!r}")
    for name, size in {"classes": classes, **others}.items():
        positive_integer(name, size)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout!r}")
    return tuple(map(int, widths))  # Keras takes no others


def check_context(input_shape: Sequence[int]) -> int:
    """Return the length of sequences, or raise a ValueError unless their shape is `(context,)`."""
    if len(input_shape) != 1:
        raise ValueError(f"`input_shape` must be (context,). Received: input_shape={tuple(input_shape)}")
    return input_shape[0]
