"""Which layers and operations are elementwise activations, and which function each of them computes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from keras_twoarg.utils.types import Function

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
_LABELS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "prelu"}

ArrayFunction = Callable[[np.ndarray], np.ndarray]


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
    if isinstance(operation, layers.Lambda):
        return _lambda_is_activation(operation)
    classes = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax)
    return isinstance(operation, classes) or is_activation_operation(operation)


def is_activation_operation(operation: keras.Operation) -> bool:
    """Tell whether it is an operation such as `keras.ops.relu` in a functional graph."""
    of_keras = type(operation).__module__.startswith("keras.")
    is_layer = isinstance(operation, keras.layers.Layer)
    return of_keras and not is_layer and type(operation).__name__ in _OPERATIONS


def activation_of(operation: keras.Operation) -> Activation:
    """Return what an activation, or a linear layer's own one, does to each value.

    Raises:
        ValueError: If that cannot be determined: the function fails on arrays, or returns different values each time.
    """
    if isinstance(operation, keras.layers.PReLU):
        return _prelu(operation)
    function = getattr(operation, "activation", operation)
    of_keras = type(operation).__module__.startswith("keras.") and function is operation
    if not of_keras or isinstance(operation, keras.layers.Softmax | keras.layers.Lambda):
        if not is_elementwise(function, operation.name):
            return Activation(_label(operation, function), None, "it is not elementwise")
    return Activation(_label(operation, function), _on_arrays(function))


def is_elementwise(function: Function, name: str) -> bool:
    """Tell, by trying it, whether each value that a function returns depends on the corresponding input alone.

    Raises:
        ValueError: If it fails, or returns different values when it is called again.
    """
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32") * 3
    on_arrays = _on_arrays(function)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a softmax over one value
            together, again = on_arrays(values), on_arrays(values)
            if together.shape != values.shape:
                return False
            alone = np.array([on_arrays(np.full((1, 1), value, "float32")).item() for value in values.ravel()])
    except Exception as error:  # whatever a user's function raises
        raise ValueError(
            f"It cannot be told whether the activation of {name!r} is elementwise, because it fails on an array "
            f"({' '.join(str(error).split())[:100]}). {_REMEDY}"
        ) from error
    if not np.array_equal(together, again, equal_nan=True):
        raise ValueError(
            f"It cannot be told whether the activation of {name!r} is elementwise, because it returns different values "
            f"each time. {_REMEDY}"
        )
    return np.allclose(together.ravel(), alone, rtol=1e-5, atol=1e-6, equal_nan=True)


_REMEDY = "Exclude it with `where`, or use a function from keras.activations"


def _lambda_is_activation(layer: keras.layers.Layer) -> bool:
    """Tell whether a Lambda layer is elementwise and not a mere scaling; most are something else."""
    try:
        if not is_elementwise(layer, layer.name):
            return False
    except ValueError:
        return False
    values = _on_arrays(layer)(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]], "float32"))[0]
    return not np.allclose(np.diff(values, 2), 0, atol=1e-6)


def _on_arrays(function: Function) -> ArrayFunction:
    # A layer with mixed precision, called as a whole, would round its inputs: phi would be fitted to a staircase.
    compute = function.call if isinstance(function, keras.layers.Layer) else function

    def call(values: np.ndarray) -> np.ndarray:
        tensor = keras.ops.convert_to_tensor(np.asarray(values, "float32"))
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(compute(tensor), "float32")))

    return call


def _label(operation: keras.Operation, function: Function) -> str:
    if function is not operation:
        return str(getattr(function, "__name__", type(function).__name__))
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
