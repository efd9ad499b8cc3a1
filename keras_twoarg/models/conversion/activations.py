"""Which layers and operations are elementwise activations, and which function each of them computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from keras_twoarg.models.conversion.elementwise import ArrayFunction, CannotTell, bends, is_elementwise, on_arrays
from keras_twoarg.utils.rebuilding import CannotRebuild, live_config, rebuild
from keras_twoarg.utils.types import Config, Function

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
LINEAR = (keras.layers.Dense, keras.layers.EinsumDense, *CONVOLUTIONS, *SEPARABLE)
"""Layers whose outputs a unit can take as its arguments."""
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
"""Linear layers that may also stand between another linear layer and the activation."""
APART = tuple(
    getattr(keras.layers, name)
    for name in (
        "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise AlphaDropout "
        "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
        "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D "
        "ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D "
        "UpSampling1D UpSampling2D UpSampling3D UnitNormalization Rescaling Identity"
    ).split()
)
"""Layers without weights that keep channels apart and in their place."""
_OPERATIONS = frozenset(
    "Relu ReLU Relu6 LeakyRelu Elu Selu Celu Gelu Silu HardSilu Mish Sigmoid HardSigmoid LogSigmoid SparseSigmoid Tanh "
    "HardTanh TanhShrink Softplus Softsign SoftShrink HardShrink SparsePlus Squareplus Threshold".split()
)  # classes in keras.ops and keras.activations
_ARITHMETIC = frozenset(
    "Absolute Arcsinh Arctan Clip Cos Erf Exp Expm1 Log Log1p Maximum Minimum Power Sin Sinh Sqrt Square".split()
)  # classes in keras.ops that are used as activations too
_LABELS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "prelu"}
WITHOUT_ACTIVATION: Config = {"activation": "linear", "activity_regularizer": None}
"""What to change in the config of a linear layer that gives its activation away."""


@dataclass(frozen=True, eq=False)
class Activation:
    """What one layer or operation does to each value.

    Attributes:
        label: Its name in the report.
        function: From a float32 array to an array; `None` if it does not act on each value separately.
        reason: Why it does not, in that case.
    """

    label: str
    function: ArrayFunction | None
    reason: str = ""


def own_activation(operation: keras.Operation) -> Function | None:
    """Return the `activation=` of a linear layer, or None if it has none."""
    activation = getattr(operation, "activation", None)
    return None if activation is keras.activations.linear else activation


def is_linear(operation: keras.Operation, kinds: tuple[type, ...] = LINEAR) -> bool:
    """Tell whether a layer is one of Keras' linear layers, and not a user's subclass that computes something else."""
    kind = next((kind for kind in kinds if isinstance(operation, kind)), None)
    return kind is not None and getattr(type(operation), "call", None) is getattr(kind, "call", None)


def is_activation(operation: keras.Operation) -> bool:
    """Tell whether a layer or operation is an activation and nothing else. `"linear"` does not count."""
    layers = keras.layers
    if isinstance(operation, layers.Activation):
        return own_activation(operation) is not None
    if isinstance(operation, (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax)):
        return True
    if isinstance(operation, layers.Lambda) or _is_users_own(operation):
        return bends(operation)
    return is_activation_operation(operation)


def is_activation_operation(operation: keras.Operation) -> bool:
    """Tell whether it is an operation such as `keras.ops.relu` in a functional graph."""
    return _is_operation_of_keras(operation) and type(operation).__name__ in _OPERATIONS


def is_arithmetic(operation: keras.Operation) -> bool:
    """Tell whether it is an operation such as `keras.ops.maximum`, which may be meant as an activation or not."""
    return _is_operation_of_keras(operation) and type(operation).__name__ in _ARITHMETIC


def _is_operation_of_keras(operation: keras.Operation) -> bool:
    return not isinstance(operation, keras.layers.Layer) and type(operation).__module__.startswith("keras.")


def _is_users_own(operation: keras.Operation) -> bool:
    """Tell whether it is a layer without weights and seeds of a class that is neither Keras' nor this package's."""
    if not isinstance(operation, keras.layers.Layer) or isinstance(operation, keras.Model) or operation.variables:
        return False
    return not type(operation).__module__.startswith(("keras.", "keras_twoarg."))


def held_by_class(layer: keras.layers.Layer) -> str:
    """Return why a linear layer cannot give its activation away, or an empty string if it can."""
    kind = type(layer)
    if not is_linear(layer, LINEAR + DEPTHWISE):
        return f"its class {kind.__name__} overrides `call`"
    if kind.__module__.startswith("keras."):
        return ""
    try:
        keeps = own_activation(rebuild(layer, live_config(layer) | WITHOUT_ACTIVATION)) is not None
    except CannotRebuild:
        keeps = True
    return f"its class {kind.__name__} sets it, and takes no `activation` from a config" if keeps else ""


def activation_of(operation: keras.Operation, shape: Sequence[int | None]) -> Activation:
    """Return what an activation, or a linear layer's own one, does to each value.

    Args:
        operation: An activation, or a linear layer that has one.
        shape: Of what it returns.
    """
    function = getattr(operation, "activation", operation)
    if isinstance(function, keras.layers.PReLU) and function.built:
        return _prelu(function)
    label = _label(operation, function)
    if isinstance(function, keras.layers.Softmax):
        return Activation(label, None, "it is not elementwise")
    of_keras = type(operation).__module__.startswith("keras.") and function is operation
    if not of_keras or isinstance(operation, keras.layers.Lambda):
        try:
            if not is_elementwise(function, shape):
                return Activation(label, None, "it is not elementwise")
        except CannotTell as error:
            return Activation(label, None, str(error))
    return Activation(label, on_arrays(function))


def name_of(function: Function) -> str:
    """Return the name of a function, or that of the class of what has none."""
    function = function.func if isinstance(function, partial) else function
    return str(getattr(function, "__name__", type(function).__name__))


def _label(operation: keras.Operation, function: Function) -> str:
    if function is not operation:
        return name_of(function)
    label = _LABELS.get(type(operation).__name__, type(operation).__name__.lower())
    largest = getattr(operation, "max_value", None)
    return label if largest is None else f"{label}{largest:g}"


def _prelu(layer: keras.layers.Layer) -> Activation:
    slopes = np.unique(keras.ops.convert_to_numpy(layer.alpha))
    if len(slopes) > 1:
        return Activation(
            "prelu", None, "its slopes differ between units, and a single phi cannot start as all of them"
        )
    slope = float(slopes[0])
    return Activation("prelu", lambda values: np.where(values > 0, values, slope * values))
