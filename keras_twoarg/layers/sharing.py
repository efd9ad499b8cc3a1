"""Sharing: one phi stays one phi, whatever Keras does to the model.

Keras saves each layer by its config. If three activation layers hold one inner network, it is written three times, and
naive layers would be rebuilt with three networks: more parameters, and functions that drift apart in training.
`TwoArgActivation` writes the network's identity into its config, so `.keras` files, `pickle` and `copy.deepcopy` keep
one phi, also of several layers in a list or a torch Module. `keras.models.clone_model`, `from_config`,
`model_from_json` and legacy HDF5 files have no notion of identity, and neither have models that are copied together.
For those:

>>> inner = InnerNetwork()
>>> model = keras.Sequential([keras.Input((8,)), TwoArgActivation(inner), TwoArgActivation(inner)])
>>> copy = clone_model(model)                           # instead of keras.models.clone_model
>>> copy.count_params() == model.count_params()
True
>>> with sharing_scope():                               # around from_config and the others
...     copy = keras.Sequential.from_config(model.get_config())
>>> assert_shared(copy)

Without them, copies that meet in one graph raise an error; elsewhere there is a warning when the second one is called.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar
from weakref import WeakSet

import keras

from keras_twoarg.layers.inner_network import InnerNetwork, Networks, copies_share, networks_of_copy, owner_of
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.keras_internals import flatten_layers, loaded_so_far, producer
from keras_twoarg.utils.types import Config, Layer, Model, Outputs, Reduced, Tensor

LayerWithPhi = TypeVar("LayerWithPhi")

_REMEDY = (
    "Keras rebuilds each layer separately and gives each its own copy. Use keras_twoarg.clone_model(model) instead of "
    "keras.models.clone_model, and `with keras_twoarg.sharing_scope():` around from_config, model_from_json, or "
    "load_model of an HDF5 file; around keras.layers.Bidirectional `with keras_twoarg.sharing_scope(inner):`."
)

# networks rebuilt outside any scope and in use, by the key of the network that they copy
_copies: dict[str, "WeakSet[InnerNetwork]"] = {}


@contextmanager
def sharing_scope(*inner: InnerNetwork) -> Iterator[None]:
    """Context in which layers rebuilt from configs share inner networks as the original layers did.

    One scope makes one copy: its networks are new, and shared by everything rebuilt in it. A scope within another one
    is part of the outer one.

    Args:
        *inner: Networks to use themselves instead of copies. `keras.layers.Bidirectional` needs this, since it rebuilds
            its layer for each direction.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), TwoArgActivation(), keras.layers.Dense(3)])
        >>> with sharing_scope():
        ...     copy = keras.models.model_from_json(model.to_json())
        >>> phi = InnerNetwork()
        >>> with sharing_scope(phi):
        ...     both_ways = keras.layers.Bidirectional(keras.layers.RNN(TwoArgRNNCell(8, phi)))
    """
    given, networks = {one.share_key: one for one in inner}, networks_of_copy.get()
    if networks is not None:
        networks.update(given)
        yield
        return
    with copies_share(given):
        yield


def clone_model(model: Model, **kwargs: object) -> Model:
    """Clone a model like `keras.models.clone_model`, keeping shared inner networks shared.

    Args:
        model: A Keras model: Sequential, functional, nested, or subclassed with a `get_config`.
        **kwargs: Passed to `keras.models.clone_model`.

    Returns:
        A model with newly initialized weights; `copy.set_weights(model.get_weights())` copies their values.

    Examples:
        >>> inner = InnerNetwork()
        >>> model = keras.Sequential([keras.Input((8,)), TwoArgActivation(inner), TwoArgActivation(inner)])
        >>> clone_model(model).count_params()
        4417
    """
    with sharing_scope():
        return keras.models.clone_model(model, **kwargs)


def assert_shared(model: Model) -> None:
    """Raise a ValueError if a model holds several copies of one inner network.

    Args:
        model: A Keras model or layer.

    Raises:
        ValueError: If the model holds several copies of one inner network, or a Sequential model holds one layer object
            several times, which Keras does not save.

    Examples:
        >>> assert_shared(keras.Sequential([keras.Input((4,)), TwoArgActivation(), keras.layers.Dense(3)]))
    """
    layers = flatten_layers(model)
    originals: dict[str, InnerNetwork] = {}
    for layer in layers:
        if isinstance(layer, keras.Sequential) and len(set(map(id, layer.layers))) < len(layer.layers):
            raise ValueError(
                f"The Sequential model {layer.name!r} holds one layer object several times, which Keras does not save. "
                "Use one TwoArgActivation(inner) for each place, all with the same inner network."
            )
        if isinstance(layer, InnerNetwork):
            key = layer.copy_of or layer.share_key
            if originals.setdefault(key, layer) is not layer:
                raise ValueError(f"The model {model.name!r} holds several copies of one inner network. {_REMEDY}")


class KeepsPhi:
    """Mixin for layers that hold a phi: copies and pickles of several layers, in a list or a torch Module, share it.

    Keras pickles each layer as a file of its own. Python recognizes networks that are pickled beside it.
    """

    @property
    def _networks(self) -> list[InnerNetwork]:
        inner = getattr(self, "inner", [])
        return inner if isinstance(inner, list) else [inner]

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        """Call the layer after checking that a rebuilt graph still shares its phi; places within it see no graph."""
        for inner in self._networks:
            check_graph(inner, (args, kwargs))
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def get_config(self) -> Config:
        """Return the constructor's arguments, each inner network with its identity."""
        config: Config = super().get_config()  # type: ignore[misc]
        return {**config, **{name: _written(getattr(self, name)) for name in ("inner", "evaluation")}}

    @classmethod
    def from_config(cls: type[LayerWithPhi], config: Config) -> LayerWithPhi:
        """Rebuild a layer, with the inner networks that its neighbours have (see `sharing_scope`).

        A frozen layer freezes no phi here: phi is frozen or trainable as its own config says.
        """
        inner: Outputs = _each(lambda one: _revive_inner(one) if isinstance(one, dict) else one, config["inner"])
        evaluation = _each(
            lambda one: Interpolation(**one) if isinstance(one, dict) else one, config.get("evaluation", "auto")
        )
        trainable = [(one, one.trainable) for one in (inner if isinstance(inner, list) else [inner])]
        layer = cls(**{**config, "inner": inner, "evaluation": evaluation})
        for one, before in trainable:
            one.trainable = before
        return layer

    def __reduce__(self) -> Reduced:
        """Return how the layer is copied and pickled."""
        return _load_with, (super().__reduce__(), {one.share_key: one for one in self._networks})


def _load_with(reduced: Reduced, networks: Networks) -> object:
    """Load a pickled layer with these networks by the keys in its config, unless the scope has others for them."""
    load, arguments = reduced
    with copies_share({**networks, **(networks_of_copy.get() or {})}):
        return load(*arguments)


def _each(function: Callable[[object], object], value: object) -> object:
    return [function(one) for one in value] if isinstance(value, list | tuple) else function(value)


def _written(value: object) -> object:
    if isinstance(value, list):
        return [_written(one) for one in value]
    if isinstance(value, InnerNetwork):
        return _inner_config(value)
    return asdict(value) if isinstance(value, Interpolation) else value


def _inner_config(inner: InnerNetwork) -> Config:
    """Return the inner network's config with the identity by which Keras recognizes it when loading a file."""
    config = keras.saving.serialize_keras_object(inner)
    # Keras marks only later occurrences, in dicts that it has already copied, so mark each one here.
    config["shared_object_id"] = inner.share_key
    # Layers build the network when they are built; its config alone must not create weights.
    config.pop("build_config", None)
    return config


def _revive_inner(config: Config) -> InnerNetwork:
    """Return the inner network of a config: the existing one if the scope or Keras' loading has made it already."""
    key, networks, loaded = config["config"]["share_key"], networks_of_copy.get(), loaded_so_far()
    owner = owner_of(key)
    # Bidirectional serializes a network that it has just rebuilt, which may have a new key by then.
    known = [*(loaded or {}).values(), *(networks or {}).values()]
    if owner is not None and any(owner is one for one in known):
        return owner
    if networks is not None and key in networks:
        return networks[key]
    inner: InnerNetwork = keras.saving.deserialize_keras_object(config)
    if loaded is None and networks is None:
        inner.copy_of = key
    if networks is not None:  # a subclass with a `from_config` of its own has not entered it
        return networks.setdefault(key, inner)
    return inner


def check_graph(inner: InnerNetwork, inputs: object) -> None:
    """Raise a ValueError if another copy of `inner` computed symbolic `inputs`: the rebuilt graph is not shared.

    If no graph connects the copies, warn when the second one is used.
    """
    if inner.copy_of is None:
        return
    for layer in _upstream_layers(inputs):
        if isinstance(layer, InnerNetwork) and layer is not inner and layer.copy_of == inner.copy_of:
            raise ValueError(f"The layers of this model shared one inner network, and now each has a copy. {_REMEDY}")
    _note_use(inner, inner.copy_of)


def _note_use(inner: InnerNetwork, original: str) -> None:
    """Warn if another copy of the original network is in use; drop originals without live copies."""
    for key in [key for key, copies in _copies.items() if not copies]:
        del _copies[key]
    used = _copies.setdefault(original, WeakSet())
    if len(used) and inner not in used:
        warnings.warn(
            "A second copy of one inner network, rebuilt from a config, is in use. If both belong to one model, it no "
            f"longer shares one phi. {_REMEDY}",
            stacklevel=3,
        )
    used.add(inner)


def _upstream_layers(inputs: object) -> Iterator[Layer]:
    """Yield the layers, including nested ones, that computed symbolic tensors."""
    waiting, seen = list(keras.tree.flatten(inputs)), set()
    while waiting:
        source = producer(waiting.pop())
        if source is None or (id(source.operation), source.call) in seen:
            continue
        seen.add((id(source.operation), source.call))
        if isinstance(source.operation, keras.layers.Layer):
            yield from flatten_layers(source.operation)
        waiting += source.inputs
