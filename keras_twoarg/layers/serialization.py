"""How layers write their phi and its evaluation into their config, and read them back."""

from collections.abc import Callable
from dataclasses import asdict

from keras_twoarg.layers import sharing
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.ops.table import Interpolation
from keras_twoarg.utils.types import Config


def phi_config(inner: object, evaluation: object) -> Config:
    """Return the entries `inner` and `evaluation` of a config, of one inner network or of a list of them."""
    return {"inner": _write(inner), "evaluation": _write(evaluation)}


def revive_phi(config: Config) -> Config:
    """Return a config with the inner networks that the layer's neighbours have (see `sharing_scope`)."""
    evaluation = config.get("evaluation", "auto")
    return {**config, "inner": _each(_network, config["inner"]), "evaluation": _each(_evaluation, evaluation)}


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
