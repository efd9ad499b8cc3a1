"""TwoArgDense: a dense layer whose units take several arguments."""

from collections.abc import Sequence

import keras

from keras_twoarg.layers.block import Block, place_for
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.keras_internals import replace_layer
from keras_twoarg.utils.types import Config, Identifier, Shape, Tensor

_OF_DENSE = (
    "use_bias",
    *(f"{weight}_{kind}" for kind in ("initializer", "regularizer", "constraint") for weight in ("kernel", "bias")),
)


@keras.saving.register_keras_serializable(package="keras_twoarg")
class TwoArgDense(Block, keras.layers.Layer):
    """Dense layer whose units take several arguments, as `Dense(units, activation=...)` is for one.

    `y = phi(x W1 + b1, x W2 + b2)`, computed by a `Dense(arity * units)` and a `TwoArgActivation`, which are the
    attributes `dense` and `place`.

    Args:
        units: Number of outputs. The kernel has `arity * units` columns.
        inner: The `InnerNetwork` phi, which determines the arity; or a list of them, one per equal block of units (see
            `CellTypes`). Defaults to a new one with two arguments.
        pairing: Which columns belong to which unit, as in `TwoArgActivation`. Defaults to `"adjacent"`.
        evaluation: As in `TwoArgActivation`. Defaults to `"auto"`.
        use_bias: As in `keras.layers.Dense`. Defaults to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the biases. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernel. Defaults to `None`.
        bias_regularizer: Regularizer of the biases. Defaults to `None`.
        kernel_constraint: Constraint of the kernel. Defaults to `None`.
        bias_constraint: Constraint of the biases. Defaults to `None`.
        **kwargs: `name`, `dtype`, `trainable` and `activity_regularizer` (of the outputs), as for every Keras layer.
            `trainable=False` freezes phi too, as in `TwoArgActivation`.

    Input shape:
        `(batch, ..., features)`

    Output shape:
        `(batch, ..., units)`

    Examples:
        >>> phi = InnerNetwork()
        >>> model = keras.Sequential([
        ...     keras.Input((784,)),
        ...     TwoArgDense(64, phi),
        ...     TwoArgDense(64, phi),
        ...     keras.layers.Dense(10),
        ... ])
        >>> model.count_params() == (784 + 1) * 128 + (64 + 1) * 128 + (64 + 1) * 10 + phi.count_params()
        True

        A frozen phi, and a copy of it in a model for another task:

        >>> phi.trainable = False
        >>> model.compile("adam", "mse")
        >>> phi.save("phi.keras")
        >>> other = keras.Sequential([keras.Input((20,)), TwoArgDense(32, InnerNetwork.load("phi.keras"))])

    Raises:
        TypeError: If `inner` is neither an `InnerNetwork` nor a list of them.
        ValueError: If `units` is not a positive integer or not a multiple of the number of cell types, or another
            argument is invalid as in `TwoArgActivation` or `keras.layers.Dense`.
    """

    def __init__(
        self,
        units: int,
        inner: InnerNetwork | Sequence[InnerNetwork] | None = None,
        *,
        pairing: str = "adjacent",
        evaluation: str | Interpolation | Sequence[str | Interpolation] = "auto",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_integer("units", units, ": the number of outputs")
        settings: Config = {"dtype": self.dtype_policy, "trainable": self.trainable}
        self.place = place_for(inner, pairing=pairing, evaluation=evaluation, name=self.name, **settings)
        self.dense = keras.layers.Dense(
            self.arity * self.units,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **settings,
        )
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        """Create the kernel and the biases, and phi unless another place has created it."""
        self.dense.build(input_shape)
        self.place.build((*input_shape[:-1], self.dense.units))
        self.input_spec = self.dense.input_spec

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Compute the pre-activations and apply phi to each unit's arguments."""
        return self.place(self.dense(inputs), training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the outputs, `(batch, ..., units)`."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> Config:
        """Return the constructor's arguments, the inner network with its identity."""
        dense = self.dense.get_config()
        own = {key: dense[key] for key in _OF_DENSE}
        quantized = getattr(self.dense, "quantization_mode", None) is not None
        if quantized or getattr(self.dense, "lora_enabled", False):  # changes of this one layer that no argument holds
            own["dense"] = keras.saving.serialize_keras_object(self.dense)
        return {
            **super().get_config(),
            "units": self.units,
            "pairing": self.place.pairing,
            **own,
        }

    @classmethod
    def from_config(cls, config: Config) -> "TwoArgDense":
        """Rebuild a layer, with the inner network that its neighbours have (see `sharing_scope`)."""
        dense = config.get("dense")
        layer = super().from_config({key: value for key, value in config.items() if key != "dense"})
        if dense is not None:
            replace_layer(layer, "dense", keras.saving.deserialize_keras_object({**dense, "build_config": None}))
        return layer
