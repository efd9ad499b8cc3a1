"""Types of tensors, models and records for the type checker; Keras and its backends ship none.

Aliases of `Any` name what only the caller of a model can know, such as how its outputs are nested.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Shape: TypeAlias = tuple[int | None, ...]
"""A shape, with None for sizes that are unknown before the call."""

Shapes: TypeAlias = Sequence[Any]
"""The shape of a layer's input, or the shapes of its inputs: Keras passes tuples or lists."""

ArrayLike: TypeAlias = npt.ArrayLike

Arrays: TypeAlias = Any
"""An array, or lists, tuples or dicts of arrays."""

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""The content of a JSON file."""

JsonObject: TypeAlias = dict[str, Any]
"""An object in a JSON file; the types of its entries are up to the reader."""

Config: TypeAlias = dict[str, Any]
"""Arguments of a constructor or function by name, as `get_config` returns them."""

Identifier: TypeAlias = str | Mapping[str, object] | Callable[..., object] | None
"""What `keras.initializers.get` and its like take: a name, a config, or the object itself."""

Function: TypeAlias = Callable[..., Any]
"""A function of tensors, which returns one tensor or several."""

Reduced: TypeAlias = tuple[Function, tuple[object, ...]]
"""What `__reduce__` returns: a function, and the arguments to call it with when unpickling."""

Outputs: TypeAlias = Any
"""The outputs of a model: a tensor, or a list or dict of tensors."""


Samples: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""Inputs of a model: an array, or a list or dict of arrays."""


class Tensor(Protocol):
    """A tensor of any backend, or a symbolic one."""

    @property
    def shape(self) -> tuple[Any, ...]: ...  # sizes are integers, None, or symbols of an export

    @property
    def dtype(self) -> object: ...  # a string, or the backend's own

    def __getitem__(self, index: object, /) -> "Tensor": ...
    def __iter__(self) -> Iterator["Tensor"]: ...
    def __add__(self, other: object, /) -> "Tensor": ...
    def __radd__(self, other: object, /) -> "Tensor": ...
    def __sub__(self, other: object, /) -> "Tensor": ...
    def __rsub__(self, other: object, /) -> "Tensor": ...
    def __mul__(self, other: object, /) -> "Tensor": ...
    def __rmul__(self, other: object, /) -> "Tensor": ...
    def __truediv__(self, other: object, /) -> "Tensor": ...
    def __neg__(self) -> "Tensor": ...
    def __eq__(self, other: object, /) -> Any: ...  # a tensor, entry by entry
    def __le__(self, other: object, /) -> "Tensor": ...
    def __lt__(self, other: object, /) -> "Tensor": ...
    def __ge__(self, other: object, /) -> "Tensor": ...
    def __gt__(self, other: object, /) -> "Tensor": ...


class NamedTensor(Tensor, Protocol):
    """A symbolic tensor: an input or output of a model."""

    name: str


Tensors: TypeAlias = Tensor | list[Tensor] | tuple[Tensor, ...]
"""A layer's input, or its inputs."""


class Variable(Protocol):
    """A weight of a layer."""

    name: str
    path: str

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> str: ...

    @property
    def value(self) -> Tensor: ...

    def assign(self, value: object, /) -> object: ...


class Layer(Protocol):
    """A Keras layer."""

    name: str
    trainable: bool
    built: bool
    compute_dtype: str

    @property
    def weights(self) -> Sequence[Variable]: ...

    @property
    def variables(self) -> Sequence[Variable]: ...

    @property
    def trainable_variables(self) -> Sequence[Variable]: ...

    @property
    def trainable_weights(self) -> Sequence[Variable]: ...

    def __call__(self, inputs: object, /, **settings: object) -> Outputs: ...
    def get_config(self) -> Config: ...
    @classmethod
    def from_config(cls, config: Config, /) -> "Layer": ...
    def get_weights(self) -> list[np.ndarray]: ...
    def set_weights(self, weights: Sequence[np.ndarray], /) -> None: ...
    def count_params(self) -> int: ...
    def save_own_variables(self, store: dict[str, np.ndarray], /) -> None: ...
    def load_own_variables(self, store: Mapping[str, np.ndarray], /) -> None: ...
    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> Iterator["Layer"]: ...


class Optimizer(Protocol):
    """A Keras optimizer."""

    learning_rate: float
    iterations: "keras.Variable"
    apply: Callable[..., None]

    @property
    def variables(self) -> Sequence[Variable]: ...

    def build(self, variables: Sequence[Variable], /) -> None: ...
    def get_config(self) -> Config: ...
    @classmethod
    def from_config(cls, config: Config, /) -> "Optimizer": ...


class Model(Layer, Protocol):
    """A Keras model."""

    optimizer: Optimizer
    compiled: bool
    dtype_policy: "keras.DTypePolicy"
    loss: object
    train_function: Callable[..., object] | None
    test_function: Callable[..., object] | None
    predict_function: Callable[..., object] | None
    train_step: Callable[..., object]
    test_step: Callable[..., object]

    @property
    def layers(self) -> Sequence["keras.layers.Layer"]: ...  # each of its own class

    @property
    def inputs(self) -> Sequence[NamedTensor]: ...

    @property
    def outputs(self) -> Sequence[NamedTensor]: ...

    @property
    def input(self) -> Outputs: ...  # structured as the model was made

    @property
    def output(self) -> Outputs: ...

    @property
    def metrics(self) -> Sequence["keras.Metric"]: ...

    @property
    def input_shape(self) -> Shapes: ...

    @property
    def output_shape(self) -> Shapes: ...

    def predict(self, x: object, /, *, batch_size: int | None = None, verbose: int = 1) -> Outputs: ...
    def predict_on_batch(self, x: object, /) -> Outputs: ...
    def evaluate(self, x: object = None, y: object = None, /, **settings: object) -> Outputs: ...
    def train_on_batch(self, x: object, y: object = None, /) -> Outputs: ...
    def fit(self, x: object = None, y: object = None, /, **settings: object) -> Outputs: ...
    def compile(self, *arguments: object, **settings: object) -> None: ...
    def get_compile_config(self) -> Config | None: ...
    def get_metrics_result(self) -> Mapping[str, Outputs]: ...
    def compile_from_config(self, config: Config | None, /) -> None: ...
    def save(self, path: object, /) -> None: ...
    def export(self, path: object, /, *, format: str, verbose: bool | None = None, **kwargs: object) -> None: ...
    def load_weights(self, path: object, /) -> None: ...
