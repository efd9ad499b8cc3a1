"""What the package uses of tensors, models and records, for the type checker: Keras and its backends ship no types.

What only the caller of a model can know, such as how its outputs are nested, has an alias here that says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Shape: TypeAlias = tuple[int | None, ...]
"""A shape; None where a size is not known before the call."""

Shapes: TypeAlias = Sequence[Any]
"""The shape of a layer's one input, or the shapes of its several inputs: Keras passes both, as tuples or lists."""

ArrayLike: TypeAlias = npt.ArrayLike

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What a JSON file holds."""

JsonObject: TypeAlias = dict[str, Any]
"""An object in a JSON file, whose entries are of the types that the file's reader expects or checks."""

Config: TypeAlias = dict[str, Any]
"""Arguments of a constructor or function by name, as `get_config` returns them: each parameter has its own type."""

Identifier: TypeAlias = str | Mapping[str, object] | Callable[..., object] | None
"""What Keras' `get` turns into an initializer, regularizer, constraint or activation: name, config, or the thing."""

Function: TypeAlias = Callable[..., Any]
"""A function of tensors; it returns one tensor, or as many as its docstring says."""

Outputs: TypeAlias = Any
"""What a model returns: a tensor, or a list or dict of these, as the model was made."""


Samples: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""Inputs of a model: an array, or several in a list or dict."""


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
"""A layer's one input, or its several inputs."""


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
    iterations: Any
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
    dtype_policy: Any
    loss: object
    train_function: Callable[..., object] | None
    test_function: Callable[..., object] | None
    predict_function: Callable[..., object] | None
    train_step: Callable[..., object]
    test_step: Callable[..., object]

    @property
    def layers(self) -> Sequence[Any]: ...  # each of its own class

    @property
    def inputs(self) -> Sequence[NamedTensor]: ...

    @property
    def outputs(self) -> Sequence[NamedTensor]: ...

    @property
    def input(self) -> Outputs: ...  # structured as the model was made

    @property
    def output(self) -> Outputs: ...

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
    def compile_from_config(self, config: Config | None, /) -> None: ...
    def save(self, path: object, /) -> None: ...
    def export(self, path: object, /, *, format: str, verbose: bool | None = None, **kwargs: object) -> None: ...
    def save_weights(self, path: object, /) -> None: ...
    def load_weights(self, path: object, /) -> None: ...
