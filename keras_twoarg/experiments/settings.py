"""Settings declared once, as dataclass fields with their help and limits, and the check of their values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_LEAST_ABOVE_ZERO = 1.2e-38
"""Smaller numbers are 0 in float32, in which networks compute."""


@dataclass(frozen=True)
class Limits:
    """The help and the valid values of a setting.

    Attributes:
        help: One line for the command line.
        choices: Valid names; empty if any name is.
        least: Smallest valid number.
        above: Exclusive lower limit.
        below: Exclusive upper limit.
        most: Largest valid number.
        longest: Largest number of entries in a list.
    """

    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None
    longest: int = 64

    @property
    def range(self) -> str:
        """The limits of a number, in words."""
        words = [("of at least ", self.least), ("above ", self.above), ("below ", self.below), ("at most ", self.most)]
        return " and ".join(f"{word}{limit:,.12g}" for word, limit in words if limit is not None)

    def hold(self, number: float) -> bool:
        """Return whether a number is finite and within the limits."""
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > (self.above or _LEAST_ABOVE_ZERO))
            and (self.below is None or number < self.below)
            and (self.most is None or number <= self.most)
        )


def setting(default: object, help: str, **limits: Any) -> Any:
    """Return a dataclass field with a default (`MISSING` for none), and the help and limits of `Limits`."""
    return field(default=default, metadata={"limits": Limits(help, **limits)})


def limits_of(kind: "type[DataclassInstance]") -> dict[str, Limits]:
    """Return the limits of a dataclass's settings, by name."""
    return {f.name: f.metadata["limits"] for f in fields(kind) if "limits" in f.metadata}


def check_settings(settings: "DataclassInstance") -> None:
    """Check every field of a frozen dataclass, and store it in its declared type: lists as tuples, 1 as 1.0.

    Raises:
        ValueError: If a field has an invalid value. The message names the first such field, what was expected and what
            was received.
    """
    hints = get_type_hints(type(settings))
    for name, limits in limits_of(type(settings)).items():
        value = getattr(settings, name)
        if not _fits(value, hints[name], limits):
            raise ValueError(f"`{name}` must be {expected(hints[name], limits)}. Received: {name}={_short(value)}")
        object.__setattr__(settings, name, _as_declared(value, hints[name]))


def from_flat(kind: type[T], flat: Mapping[str, object], what: str) -> T:
    """Build a dataclass that holds a `configuration` from a flat dictionary, such as a file or a command line gives.

    Args:
        kind: The dataclass; settings that are not given keep its defaults.
        flat: Its fields and those of its configuration, by name. Lists become tuples.
        what: What the dictionary is, as the start of error messages.

    Raises:
        ValueError: If a name is unknown or missing, or a value is invalid.
    """
    configuration = default_configuration(kind)
    own = {f.name for f in fields(kind)} - {"configuration"}
    inner = {f.name for f in fields(configuration)} - own
    if unknown := sorted(map(str, set(flat) - own - inner)):
        raise ValueError(f"{what} has unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(own | inner))}")
    if missing := sorted(required(kind) - set(flat)):
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    values = dict(flat)
    try:
        configuration = replace(configuration, **{key: values.pop(key) for key in inner & set(values)})
        return kind(**values, **{"configuration": configuration})
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def default_configuration(kind: "type[DataclassInstance]") -> Any:
    """Return the default configuration of a dataclass that holds one."""
    (configuration,) = (f for f in fields(kind) if f.name == "configuration")
    return configuration.default if configuration.default_factory is MISSING else configuration.default_factory()


def required(kind: "type[DataclassInstance]") -> set[str]:
    """Return the names of the fields without a default."""
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def expected(hint: object, limits: Limits) -> str:
    """Describe the valid values of a setting in words."""
    kinds = [kind for kind in alternatives(hint) if kind is not type(None)]
    return " or ".join(_expected(kind, limits) for kind in kinds)


def alternatives(hint: object) -> tuple[object, ...]:
    """Return the parts of a union of types, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _expected(kind: object, limits: Limits) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(repr(value) for value in get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        items = "names" if inner is str else f"positive integers {limits.range}"
        return f"a list of 1 to {limits.longest} {items}"
    if kind is str:
        return f"one of {limits.choices}" if limits.choices else "a name"
    if kind is bool:
        return "true or false"
    return f"{'an integer' if kind is int else 'a number'} {limits.range}".strip()


def _fits(value: object, hint: object, limits: Limits) -> bool:
    return any(_fits_one(value, kind, limits) for kind in alternatives(hint))


def _fits_one(value: object, kind: object, limits: Limits) -> bool:
    if kind is type(None):
        return value is None
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and 1 <= len(value) <= limits.longest
            and all(_fits_one(item, inner, limits) for item in value)
        )
    if kind is str:
        return isinstance(value, str) and bool(value) and (not limits.choices or value in limits.choices)
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    try:
        return limits.hold(value)
    except OverflowError:  # an integer too large for a float
        return False


def _as_declared(value: object, hint: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in alternatives(hint):
        return float(value)
    return value


def _short(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


TUNERS = ("random", "bayesian", "hyperband", "grid")


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search besides its configuration and space; needs no KerasTuner, see `tuning.Search`."""

    data: str = setting(MISSING, "mnist5k, fashion_mnist, a prepared TFDS name, or an .npz.")
    arms: tuple[str, ...] = setting(MISSING, "The arms.")
    tuner: str = setting("bayesian", "How values are chosen.", choices=TUNERS)
    trials: int = setting(20, "Trials for each arm.", least=1, most=1_000_000)
    subset: int = setting(0, "Training samples, drawn at random; 0 for all.", least=0)
