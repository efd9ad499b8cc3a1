"""One phi for each kind of activation in a model."""

import re
from dataclasses import dataclass

import numpy as np

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models.conversion import phi
from keras_twoarg.models.conversion.elementwise import ArrayFunction
from keras_twoarg.models.conversion.places import Place
from keras_twoarg.ops.interpolation import Interpolation


@dataclass(frozen=True, eq=False)
class Phi:
    """The inner network of some places.

    Attributes:
        inner: The network.
        error: Its largest distance from the old activation on [-10, 10], if it is meant to start as that.
        table: The table that represents it, if the default one does not.
    """

    inner: InnerNetwork
    error: float | None = None
    table: Interpolation | None = None


def one_phi(places: list[Place], inner: InnerNetwork | None, arity: int) -> dict[int, Phi]:
    """Return one phi for all places, by the place's identity, whatever the activations were."""
    if inner is None:
        inner = InnerNetwork(arity=arity, name="phi", dtype=places[0].policy)
    inner.ensure_built()
    return {id(place): Phi(inner) for place in places}


def phi_for_each_kind(places: list[Place], inner: InnerNetwork | None, arity: int) -> dict[int, Phi]:
    """Return phis that start as the old activations, by the place's identity.

    A place whose activation phi cannot start as gets a reason instead.

    Raises:
        ValueError: If `inner` cannot start as the activation of all places.
    """
    kinds = _kinds(places)
    if inner is not None and len(kinds) > 1:
        labels = ", ".join(kind.label for kind in kinds)
        raise ValueError(
            f"One `inner` cannot start as several activations. Received: {labels}. Leave `inner` out, choose places "
            "of one kind with `where`, or use keep='parameters'"
        )
    phis: dict[int, Phi] = {}
    names: set[str] = set()
    for kind in kinds:
        try:
            network = _users_own(inner, kind) if inner else _new(kind, names, arity, only=len(kinds) == 1)
        except _Misfit as misfit:
            for place in kind.places:
                place.reason = str(misfit)
        else:
            phis |= {id(place): network for place in kind.places}
    return phis


class _Misfit(Exception):
    """An activation that phi cannot start as."""


@dataclass(frozen=True, eq=False)
class _Kind:
    """The places whose activations are one function.

    Attributes:
        function: That function.
        places: The places, at least one.
    """

    function: ArrayFunction
    places: list[Place]

    @property
    def label(self) -> str:
        return self.places[0].label


def _kinds(places: list[Place]) -> list[_Kind]:
    """Group places by the values of their activations."""
    points = np.concatenate([np.linspace(-12, 12, 193), phi.FAR_OUT]).astype("float32")
    kinds: dict[bytes, _Kind] = {}
    for place in places:
        function = place.activation.function
        if function is not None:
            values = np.round(np.asarray(function(points), "float64"), 5) + 0.0  # no -0.0
            kinds.setdefault(values.tobytes(), _Kind(function, [])).places.append(place)
    return list(kinds.values())


def _new(kind: _Kind, names: set[str], arity: int, only: bool) -> Phi:
    label = re.sub(r"[^\w.]", "", kind.label)  # TensorFlow has no scope of the name "<lambda>"
    name, number = "phi" if only else f"phi_{label}", 2
    while name in names:
        name, number = f"phi_{label}_{number}", number + 1
    names.add(name)
    return _written(InnerNetwork(arity=arity, name=name, dtype=kind.places[0].policy), kind.function)


def _written(inner: InnerNetwork, function: ArrayFunction) -> Phi:
    try:
        total = phi.write(inner, function)
    except phi.NotFinite as not_finite:
        raise _Misfit(str(not_finite)) from not_finite
    error = phi.error(inner, function)
    if error > phi.LARGEST_ERROR:
        raise _Misfit(f"a phi of {inner.hidden_units[0]} ReLUs misses it by {error:.2g} on [-10, 10]")
    if not phi.far_error(inner, function) <= phi.LARGEST_ERROR:
        raise _Misfit("it bends beyond [-10, 10], where phi cannot follow")
    inner.table_resolution = inner.table_resolution or phi.TABLE_RESOLUTION
    return Phi(inner, error, phi.table_for(total))


def _users_own(inner: InnerNetwork, kind: _Kind) -> Phi:
    if not inner.built:
        return _written(inner, kind.function)
    error = max(phi.error(inner, kind.function), phi.far_error(inner, kind.function))
    if not error <= phi.LARGEST_ERROR:
        raise ValueError(
            f"keep='function' needs a phi that starts as the old activation {kind.label!r}. This one misses it "
            f"by {error:.2g}. Leave `inner` out, pass a network without weights, or use keep='parameters'"
        )
    return Phi(inner, error)
