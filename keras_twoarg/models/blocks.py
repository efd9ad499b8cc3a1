"""What fills the units of an outer network: its arm."""

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
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.types import Layer, Tensor

FORMAT = "channels_last"
"""Of all images, whatever Keras is set to: a unit's arguments are channels next to each other."""
ARMS = {"two_arg": 2, "one_arg": 1, "quadratic": 2}
"""Arms whose unit is a learned phi, with its arity; `"quadratic"` learns the six coefficients of a polynomial.

The other arms are fixed functions of two arguments (`pair_activation.FUNCTIONS`), `"prelu"` with one learned slope for
each unit or channel, `"relu_squared"`, and Keras' activations, by name.
"""


GATED = {"lstm": (4, 4), "gru": (3, 6)}
"""Recurrent layers with gates of their own, with their kernels and biases for each unit: arms of `models.recurrent`."""

NORMALIZATIONS = ("layer", "none")
"""Normalizations in front of the units: LayerNorm without learned parameters, or none."""


def check_arm(arm: str) -> str:
    """Return `arm`, or raise a ValueError that says what arms there are."""
    own = (*ARMS, *FUNCTIONS, "prelu", relu_squared.__name__)
    if arm not in own and arm not in fixed_arms():
        raise ValueError(
            f"`arm` must be one of {own} or the name of a Keras activation such as 'relu'. "
            f"Received: arm={arm!r}. Keras' activations: {', '.join(fixed_arms())}"
        )
    return arm


def fixed_arms() -> list[str]:
    """Return the names of Keras' activations that act on each pre-activation by itself, and need nothing else."""
    others = {"deserialize", "get", "serialize", "softmax", "log_softmax", "sparsemax", "glu", "threshold"}
    return sorted(set(n for n in dir(keras.activations) if not n.startswith("_")) - others)


@keras.saving.register_keras_serializable(package="keras_twoarg")
def relu_squared(x: Tensor) -> Tensor:
    """Return the square of what is positive, a fixed activation of Transformers (Primer, So et al., 2021)."""
    return keras.ops.square(keras.ops.relu(x))


def arity_of(arm: str) -> int:
    """Return the pre-activations for each unit."""
    if arm in GATED:
        return 1
    return 2 if arm in FUNCTIONS else ARMS.get(check_arm(arm), 1)


def slopes(arm: str, width: int) -> int:
    """Return the parameters that a fixed activation learns at a place of this width."""
    return width if arm == "prelu" else 0


def phi_initializer(seed: int | None) -> keras.initializers.Initializer:
    """Return the initializer of phi's kernels: numbers that no layer of a network draws, nor phi with another seed."""
    return keras.initializers.GlorotUniform(seed=None if seed is None else 1000 * seed + 900)


def inner_for(arm: str, inner: InnerNetwork | None, seed: int | None) -> InnerNetwork | None:
    """Return the inner network that all units of the arm share, or None for a fixed activation."""
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
    """Return the layers that turn images of pre-activations into the units' outputs, max-pooled 2x2."""
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
    """Return the layer that turns pre-activations into the units' outputs, for one place in the network."""
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
    """The hidden layers of one network: all that they have in common.

    Attributes:
        arm: What fills their units.
        inner: The inner network that all units share, or None.
        normalization: One of `NORMALIZATIONS`.
        pairing: As in `TwoArgActivation`.
        evaluation: As in `TwoArgActivation`.
        dropout: Dropout rate behind each of them.
        seed: Seed of initial weights and dropout; each layer, by its index, has seeds of its own.
    """

    arm: str
    inner: InnerNetwork | None
    normalization: str
    pairing: str
    evaluation: str | Interpolation
    dropout: float
    seed: int | None

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
    """Return the normalization in front of every unit: over all features of a sample, without learned parameters."""
    return keras.layers.LayerNormalization(axis=-1, center=False, scale=False, epsilon=1e-5)


def check_normalization(normalization: str) -> None:
    """Raise a ValueError unless the name of a normalization is known."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: normalization={normalization!r}")


def linear(units: int, fan_in: int, seed: int | None, index: int, **kwargs: object) -> Layer:
    """Return a linear layer, weights and biases uniform within 1 / sqrt(fan_in), as in the paper's code.

    The LayerNorm behind it takes the weights' scale away, so that the scale sets how fast the layer learns.
    """
    return keras.layers.Dense(units, **_uniform(fan_in, seed, index), **kwargs)


def convolution(filters: int, fan_in: int, seed: int | None, index: int) -> Layer:
    """Return a convolution 3x3 without padding, initialized like `linear`."""
    return keras.layers.Conv2D(filters, 3, data_format=FORMAT, **_uniform(9 * fan_in, seed, index))


def _uniform(fan_in: int, seed: int | None, index: int) -> dict[str, object]:
    limit = fan_in**-0.5
    seeds = (None, None) if seed is None else (1000 * seed + index, 1000 * seed + 200 + index)
    kernel, bias = (keras.initializers.RandomUniform(-limit, limit, seed=s) for s in seeds)
    return {"kernel_initializer": kernel, "bias_initializer": bias}


def dropout(rate: float, seed: int | None, index: int) -> Layer:
    """Return a dropout layer with a random stream of its own."""
    return keras.layers.Dropout(rate, seed=None if seed is None else 1000 * seed + 500 + index)


def check_sizes(widths: Sequence[int], classes: int, dropout: float, **others: int) -> None:
    """Raise a ValueError unless the widths, the number of classes, the dropout rate and other sizes make sense."""
    if len(widths) == 0 or any(not isinstance(w, int) or w < 1 for w in widths):
        raise ValueError(f"`widths` must be positive integers, one for each hidden layer. Received: widths={widths!r}")
    for name, size in {"classes": classes, **others}.items():
        positive_integer(name, size)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout!r}")


def check_context(input_shape: Sequence[int]) -> int:
    """Return the length of the sequences, or raise a ValueError unless it is all that their shape has."""
    if len(input_shape) != 1:
        raise ValueError(f"`input_shape` must be (context,). Received: input_shape={tuple(input_shape)}")
    return input_shape[0]
