"""How layers write their phi and its evaluation into their config, and read them back."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from keras_twoarg.layers import sharing
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.types import Config

LayerWithPhi = TypeVar("LayerWithPhi")


def phi_config(inner: object, evaluation: object) -> Config:
    """Return the entries `inner` and `evaluation` of a config, of one inner network or of a list of them."""
    return {"inner": _write(inner), "evaluation": _write(evaluation)}


def revive(kind: type[LayerWithPhi], config: Config) -> LayerWithPhi:
    """Return a layer of a config, with the inner networks that the layer's neighbours have (see `sharing_scope`).

    A frozen layer freezes no phi here: phi is frozen or trainable as its own config says.
    """
    inner: Any = _each(_network, config["inner"])
    evaluation = _each(_evaluation, config.get("evaluation", "auto"))
    settings = [(one, one.trainable) for one in (inner if isinstance(inner, list) else [inner])]
    layer = kind(**{**config, "inner": inner, "evaluation": evaluation})
    for one, trainable in settings:
        one.trainable = trainable
    return layer


def _write(value: object) -> object:
    if isinstance(value, list):
        return [_write(one) for one in value]
    if isinstance(value, InnerNetwork):
        return sharing.serialize_inner(value)
    return asdict(value) if isinstance(value, Interpolation) else value


def _network(value: object) -> object:
    return sharing.revive_inner(value) if isinstance(value, dict) else value


def _evaluation(value: object) -> object:
    return Interpolation(**value) if isinstance(value, dict) else value


def _each(function: Callable[[object], object], value: object) -> object:
    return [function(one) for one in value] if isinstance(value, list | tuple) else function(value)
