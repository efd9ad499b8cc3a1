"""The graph of a Keras model as a list of calls."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras

from keras_twoarg.utils.keras_internals import calls_in_order
from keras_twoarg.utils.types import Config, Model, Outputs


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation in a graph.

    Attributes:
        operation: The layer, nested model or operation of `keras.ops`.
        args: Its positional arguments, symbolic tensors among them.
        kwargs: Its keyword arguments.
        inputs: The symbolic tensors among the arguments.
        outputs: The symbolic tensors that it returned.
    """

    operation: keras.Operation
    args: tuple[object, ...]
    kwargs: Config
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]

    @property
    def key(self) -> int:
        """What identifies it, however often the graph is listed."""
        return id(self.outputs[0])

    @property
    def data(self) -> tuple[keras.KerasTensor, ...]:
        """The inputs, without the mask that Keras passes on to layers and models that take one."""
        masks = set(map(id, keras.tree.flatten(self.kwargs.get("mask"))))
        return tuple(tensor for tensor in self.inputs if id(tensor) not in masks)

    @property
    def is_input(self) -> bool:
        """Whether it is one of the model's inputs."""
        return not self.inputs and isinstance(self.operation, keras.layers.InputLayer)


def is_graph(operation: keras.Operation) -> bool:
    """Tell whether it is a Sequential or functional model whose graph is known."""
    if isinstance(operation, keras.Sequential):
        return bool(operation.built) and bool(getattr(operation, "inputs", None))
    return isinstance(operation, keras.Function)


def calls(model: Model) -> list[Call]:
    """Return all calls of a model's graph, in an order in which they can be computed."""
    graph = model if isinstance(model, keras.Function) else keras.Function(model.inputs, model.outputs)
    return [Call(*node) for node in calls_in_order(graph)]


def channels(source: Call, tensor: keras.KerasTensor) -> int:
    """Return the number of channels of a tensor, on whichever axis the linear layer that made it puts them."""
    same_rank = len(tensor.shape) == len(source.outputs[0].shape)
    first = getattr(source.operation, "data_format", None) == "channels_first" and same_rank
    return int(tensor.shape[1 if first else -1] or 0)


def structure(model: Model, which: str) -> Outputs:
    """Return a model's `"inputs"` or `"outputs"`, nested as they were when it was made."""
    if isinstance(model, keras.Sequential):
        return getattr(model, which)[0]
    return model.input if which == "inputs" else model.output


def graphs(model: Model) -> Iterator[Model]:
    """Yield a model and the models nested in its graph, each once."""
    waiting, seen = [model], set()
    while waiting:
        graph = waiting.pop()
        if id(graph) not in seen:
            seen.add(id(graph))
            yield graph
            waiting += [call.operation for call in calls(graph) if is_graph(call.operation)]


class Wiring:
    """Which call made a tensor, and which calls read it, within one graph.

    Args:
        model: A Sequential or functional model.
    """

    def __init__(self, model: Model) -> None:
        self.calls = calls(model)
        self._makers = {id(tensor): call for call in self.calls for tensor in call.outputs}
        self._readers: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                self._readers.setdefault(id(tensor), []).append(call)

    def maker(self, tensor: keras.KerasTensor) -> Call:
        """Return the call that returned a tensor."""
        return self._makers[id(tensor)]

    def readers(self, tensor: keras.KerasTensor) -> list[Call]:
        """Return the calls that were given a tensor."""
        return self._readers.get(id(tensor), [])
