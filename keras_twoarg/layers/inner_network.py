"""InnerNetwork: phi, its weights, its identity, and its file."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

import keras
import numpy as np
from keras import ops

from keras_twoarg.layers import ownership
from keras_twoarg.layers.phi_activation import without_weights, written_activation
from keras_twoarg.ops import exact
from keras_twoarg.ops.interpolation import check_resolution
from keras_twoarg.utils import model_files
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.files import write_whole
from keras_twoarg.utils.keras_internals import (
    flatten_layers,
    forgotten_calls,
    loaded_so_far,
    models_with,
    take_own_paths,
    trace_anew,
    uncast_values,
)
from keras_twoarg.utils.types import Config, Function, Identifier, Reduced, Shape, Tensor

Network = TypeVar("Network", bound="InnerNetwork")

_BLOCK = 65_536  # tuples per block in `predict`

# share_key -> the live network that is saved under it
_owners: "WeakValueDictionary[str, InnerNetwork]" = WeakValueDictionary()

Networks = dict[str, "InnerNetwork"]
"""Inner networks by the share_key in their configs."""
networks_of_copy: ContextVar[Networks | None] = ContextVar("keras_twoarg_sharing_scope", default=None)
"""Those of the copy that is being made in a `sharing_scope`; None outside of any."""


@keras.saving.register_keras_serializable(package="keras_twoarg")
class InnerNetwork(keras.layers.Layer):
    """The inner network phi: a small perceptron that maps a unit's arguments to its output.

    `phi(x) = W3 f(W2 f(W1 x + b1) + b2) + b3` for two hidden layers, with `f` the activation and a linear output.
    All `TwoArgActivation` layers of a model hold one `InnerNetwork`, so all of its units share it.

    Args:
        hidden_units: Units of each hidden layer. Defaults to `(64, 64)`, as in the paper.
        activation: Activation of the hidden layers. Defaults to `"relu"`.
        arity: Number of arguments, at least 1. Defaults to `2`.
        kernel_initializer: Initializer of the kernels. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of the biases. Defaults to `"zeros"`.
        kernel_regularizer: Regularizer of the kernels. Defaults to `None`.
        bias_regularizer: Regularizer of the biases. Defaults to `None`.
        table_resolution: Nodes along each argument of the tables that its places make; a place with an `Interpolation`
            of its own ignores it. It is one number because all places share one table. Defaults to `None`: the first
            place that is built chooses 81 nodes if it has at least 2,051 units per sample (26 for one argument) or a
            number of units that depends on the size of the inputs, and 41 otherwise, as for most dense layers. The
            number is saved in the config, so that a loaded model computes the same function.
        share_key: Identity of this network in saved files: layers saved with the same key share one network when
            loaded. Defaults to a new random key; you need not set it.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer. `trainable=False` freezes phi in every
            place that holds it. As with every Keras layer, compile the model again after changing it.

    A network belongs to one model. Create it inside the function that builds the model (with KerasTuner, inside
    `build`); otherwise models trained one after another change each other's phi. To use a trained phi in another model,
    freeze it, or give that model a copy: `inner.save(path)`, `InnerNetwork.load(path)`.

    Input shape:
        `(..., arity)`

    Output shape:
        `(..., 1)`

    Examples:
        >>> inner = InnerNetwork()
        >>> inner.count_params()
        4417
        >>> inner.predict(np.zeros((5, 2), "float32")).shape
        (5, 1)

    Raises:
        ValueError: If `arity` or a number of hidden units is not a positive integer, `table_resolution` is not an
            integer from 2 to 4095, or the size of an input's last axis is not `arity`.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2021](https://arxiv.org/abs/2110.06871), section 2.
    """

    worth_a_table = True
    """Whether evaluation costs enough more than a look-up for `evaluation="auto"` to interpolate."""

    def __init__(
        self,
        hidden_units: Sequence[int] = (64, 64),
        activation: Identifier = "relu",
        arity: int = 2,
        *,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        table_resolution: int | None = None,
        share_key: str | None = None,
        **kwargs: object,
    ) -> None:
        if kwargs.get("activity_regularizer") is not None:
            raise ValueError("InnerNetwork takes no `activity_regularizer`. Give it to the TwoArgActivation")
        super().__init__(**kwargs)
        given = hidden_units.tolist() if isinstance(hidden_units, np.ndarray) else hidden_units
        layers = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
        self.hidden_units = tuple(positive_integer("hidden_units", units, ", or several") for units in layers)
        self.arity = positive_integer("arity", arity)
        self.activation = without_weights(keras.activations.get(activation))
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self._table_resolution: int | None = None
        self.table_resolution = table_resolution
        self.share_key = share_key or uuid4().hex
        self.copy_of: str | None = None  # the key of the network that this one was rebuilt from, outside a scope
        self.supports_masking = True

    @property
    def table_resolution(self) -> int | None:
        """Nodes along each argument of phi's tables; None until the first place is built. It can be set at any time."""
        return self._table_resolution

    @table_resolution.setter
    def table_resolution(self, value: int | None) -> None:
        before, after = self._table_resolution, None if value is None else check_resolution("table_resolution", value)
        self._table_resolution = after
        if before not in (None, after):
            for model in models_with([self]):
                trace_anew(model)

    def build(self, input_shape: Shape) -> None:
        """Create the kernel and bias of each layer."""
        self._check_last_axis(input_shape)
        sizes = (self.arity, *self.hidden_units, 1)
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            kernel = self.add_weight(
                name=f"kernel_{i}",
                shape=(fan_in, fan_out),
                initializer=_for_layer(self.kernel_initializer, i),
                regularizer=self.kernel_regularizer,
            )
            bias = self.add_weight(
                name=f"bias_{i}",
                shape=(fan_out,),
                initializer=_for_layer(self.bias_initializer, i),
                regularizer=self.bias_regularizer,
            )
            # Attributes, because tf.saved_model.save and tf.train.Checkpoint find variables only through them.
            setattr(self, f"kernel_{i}", kernel)
            setattr(self, f"bias_{i}", bias)
        self._claim_share_key()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Apply phi to the last axis of `inputs`; integers are cast to the layer's compute dtype."""
        self._check_last_axis(inputs.shape)
        if not keras.backend.is_float_dtype(inputs.dtype):
            inputs = ops.cast(inputs, self.compute_dtype)
        lead = ops.shape(inputs)[:-1]
        tuples = ops.reshape(inputs, (-1, self.arity))
        return ops.reshape(self.evaluate(tuples, self.values(), bool(training)), (*lead, 1))

    def evaluate(self, tuples: Tensor, values: list[Tensor], training: bool = False) -> Tensor:
        """Evaluate phi exactly at tuples `(N, arity)` with these values of its weights; returns `(N, 1)`."""
        return exact.evaluate(tuples, values, self.activation, training)

    def ensure_built(self) -> None:
        """Create the weights unless they exist. Methods that read or set weights call this."""
        if not self.built:
            self.build((None, self.arity))

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of each layer's kernel and bias, as NumPy arrays."""
        self.ensure_built()
        return super().get_weights()

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Set the values of each layer's kernel and bias, for every place that holds this network."""
        self.ensure_built()
        super().set_weights(weights)

    def count_params(self) -> int:
        """Return the number of parameters, counted once however many places share them."""
        if not self.built and type(self).build is InnerNetwork.build:  # which would draw random numbers
            return sum((a + 1) * b for a, b in pairwise((self.arity, *self.hidden_units, 1)))
        self.ensure_built()
        return int(super().count_params())

    def predict(self, tuples: np.ndarray) -> np.ndarray:
        """Evaluate phi exactly, in float32, at argument tuples `(N, arity)`; returns `(N, 1)`.

        It works block by block, so memory does not grow with the hidden layers, and ignores the dtype policy.
        """
        self.ensure_built()
        values = [ops.cast(value, "float32") for value in uncast_values(self.weights)]

        def phi(block: np.ndarray) -> np.ndarray:
            tuples = ops.convert_to_tensor(block)
            with exact.in_float32(tuples):
                return np.asarray(ops.convert_to_numpy(self.evaluate(tuples, values)))

        tuples = np.asarray(tuples, "float32")
        if tuples.shape[1:] != (self.arity,):
            raise ValueError(f"`tuples` must have the shape (N, {self.arity}). Received: shape={tuples.shape}")
        blocks = [phi(tuples[i : i + _BLOCK]) for i in range(0, len(tuples), _BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, 1), "float32")

    def save(self, path: str | Path, overwrite: bool = True) -> None:
        """Save phi alone to a `.keras` file, as a Keras model from `(batch, arity)` to `(batch, 1)`.

        Args:
            path: The file. Its name must end in `.keras`.
            overwrite: Whether an existing file is replaced. Defaults to `True`, as for `keras.Model.save`.

        Raises:
            ValueError: If the name has another ending, the folder does not exist, or the file exists and
                `overwrite=False`.

        Examples:
            >>> InnerNetwork().save("phi.keras")
            >>> InnerNetwork.load("phi.keras").count_params()
            4417
        """
        path = _keras_file(path)
        if not path.parent.is_dir():
            raise ValueError(f"The folder {path.parent} does not exist. Received: path={str(path)!r}")
        if path.exists() and not overwrite:
            raise ValueError(f"{path} already exists. Use another name, or overwrite=True")
        with tempfile.TemporaryDirectory() as folder, forgotten_calls(self):
            model = keras.Sequential([keras.Input((self.arity,)), self], name=self.name)
            model.save(Path(folder) / "phi.keras")
            content = (Path(folder) / "phi.keras").read_bytes()
        write_whole(path, lambda file: file.write(content))

    @classmethod
    def load(cls: type[Network], path: str | Path) -> Network:
        """Load phi from a file that `save` wrote, or from any saved model with one inner network.

        Args:
            path: A `.keras` file.

        Returns:
            A new network, which shares nothing with others loaded from the same file. It is frozen if it was saved
            frozen.

        Raises:
            ValueError: If the file does not exist, Keras cannot load it, it was saved before it had weights, or it does
                not hold exactly one network of this class.
        """
        path = _keras_file(path)
        with copies_share(None):  # a network of its own, wherever it is loaded
            model = model_files.load(path)
        networks = [layer for layer in flatten_layers(model) if isinstance(layer, InnerNetwork)]
        if len(networks) != 1 or not isinstance(networks[0], cls):
            names = ", ".join(type(network).__name__ for network in networks) or "none"
            raise ValueError(f"Expected a file with one {cls.__name__}. Received: {path}, which holds {names}")
        live = [network for network in _owners.values() if network is not networks[0]]
        take_own_paths(networks[0], {weight.path for network in live for weight in network.weights})
        return networks[0]

    def __reduce__(self) -> Reduced:
        """Return how the network is copied and pickled: in a `sharing_scope` once, like all that is made there."""
        return _unpickled, (super().__reduce__(), self.share_key)

    def load_own_variables(self, store: object) -> None:
        """Load the weights from a file, and warn if that changes another model's phi."""
        super().load_own_variables(store)
        ownership.note_loading(self)

    def values(self) -> list[Tensor]:
        """Return the values of each layer's kernel and bias, in the dtype of the running computation."""
        # `value` honours autocasting, which a Keras variable passed to a compiled function would not.
        return [weight.value for weight in self.weights]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `input_shape` with a last axis of 1."""
        self._check_last_axis(input_shape)
        return (*input_shape[:-1], 1)

    def get_config(self) -> Config:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_units": list(self.hidden_units),
            "activation": written_activation(self.activation),
            "arity": self.arity,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "table_resolution": self.table_resolution,
            "share_key": self.share_key,
        }

    @classmethod
    def from_config(cls: type[Network], config: Config) -> Network:
        """Rebuild a network, once for each `sharing_scope` and for each file that Keras loads.

        Files without a `table_resolution` come from versions whose tables had 81 nodes.
        """
        key, networks = config.get("share_key"), networks_of_copy.get()
        made: dict[Any, Any] | None = loaded_so_far() if networks is None else networks
        if made is not None and key in made:
            network: Network = made[key]
            return network
        activation = config.get("activation")
        if isinstance(activation, dict) and "class_name" not in activation:  # bytecode that Keras writes but not reads
            raise ValueError(
                f"The activation of {config.get('name')!r} is a lambda, which Keras saves but does not load. Build the "
                "model anew, with a function registered by `keras.saving.register_keras_serializable` in its place, "
                "and call its `load_weights` with the same file"
            )
        network = cls(**{"table_resolution": 81, **config})
        if made is not None and key is not None:
            made[key] = network
        return network

    def _check_last_axis(self, shape: Shape) -> None:
        if len(shape) < 1 or shape[-1] != self.arity:
            raise ValueError(
                f"The inner network has arity {self.arity}: the last axis of its input must be {self.arity}. "
                f"Received: shape={tuple(shape)}. As an activation of units use TwoArgActivation(inner)"
            )

    def _claim_share_key(self) -> None:
        """Take a new key if this is a copy of a live network that is saved under the same key.

        Two networks with different weights must never be saved under one key: loading would merge them.
        """
        if _owners.get(self.share_key, self) is not self:
            self.share_key = uuid4().hex
        _owners[self.share_key] = self


@contextmanager
def copies_share(networks: Networks | None) -> Iterator[None]:
    """Make these the networks of the copy that is being made; with None, rebuild as if outside of any scope."""
    token = networks_of_copy.set(networks)
    try:
        yield
    finally:
        networks_of_copy.reset(token)


def owner_of(share_key: str) -> "InnerNetwork | None":
    """Return the live network that is saved under this key, or None."""
    return _owners.get(share_key)


def _unpickled(reduced: Reduced, share_key: str) -> InnerNetwork:
    """Load a pickled network unless the copy that is being made has it already."""
    load, arguments = reduced
    made = networks_of_copy.get() or {}
    return made[share_key] if share_key in made else load(*arguments)


def _keras_file(path: str | Path) -> Path:
    if Path(path).suffix != ".keras":
        raise ValueError(f"The name of the file must end in '.keras'. Received: path={str(path)!r}")
    return Path(path)


def _for_layer(initializer: keras.Initializer, index: int) -> Function:
    """Return a copy of an initializer with a seed of its own.

    An initializer that several layers share draws the same numbers for each of them, with or without a seed.
    """
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    seed = config.get("seed", ())
    if seed is not None and not isinstance(seed, int):
        return initializer  # one that draws no numbers, or new ones at each call
    return initializer.__class__.from_config({**config, "seed": None if seed is None else seed + index})
