"""Settings that are declared once: a dataclass field with its help and its limits, and one check of all of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Limits:
    """What a setting is for, and the values that it may take.

    Attributes:
        help: One line for the command line.
        choices: Values of a name; empty for any.
        least: Smallest number.
        above: Number that all are larger than.
        below: Number that all are smaller than.
        most: Largest number.
        longest: Most entries of a list.
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
        """Tell whether a number is within the limits; what is not finite is not."""
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (self.most is None or number <= self.most)
        )


def setting(default: object, help: str, **limits: Any) -> Any:
    """Return a dataclass field with a default (`MISSING` for none), and the help and limits of `Limits`."""
    return field(default=default, metadata={"limits": Limits(help, **limits)})


def limits_of(kind: "type[DataclassInstance]") -> dict[str, Limits]:
    """Return what is known of each setting of a dataclass, by its name."""
    return {f.name: f.metadata["limits"] for f in fields(kind) if "limits" in f.metadata}


def check_settings(settings: "DataclassInstance") -> None:
    """Check every field of a frozen dataclass, and store it as it is declared: lists as tuples, 1 as 1.0.

    Raises:
        ValueError: If a field has a value that it may not have. The message names the first one, what was expected and
            what was received.
    """
    hints = get_type_hints(type(settings))
    for name, limits in limits_of(type(settings)).items():
        value = getattr(settings, name)
        if not _fits(value, hints[name], limits):
            raise ValueError(f"`{name}` must be {expected(hints[name], limits)}. Received: {name}={_short(value)}")
        object.__setattr__(settings, name, _as_declared(value, hints[name]))


def from_flat(kind: type[T], flat: Mapping[str, object], what: str) -> T:
    """Build a dataclass that holds a `configuration` from one flat table, as it stands in a file or on a command line.

    Args:
        kind: The dataclass; what the table does not say is as in its own defaults.
        flat: Its fields and those of its configuration, by name; a list stands for a tuple.
        what: What the table is, the start of an error's message.

    Raises:
        ValueError: If a name is unknown or missing, or a value is unusable.
    """
    configuration = default_configuration(kind)
    own = {f.name for f in fields(kind)} - {"configuration"}
    inner = {f.name for f in fields(configuration)} - own
    if unknown := sorted(map(str, set(flat) - own - inner)):
        raise ValueError(f"{what} names what is unknown: {', '.join(unknown)}. Known: {', '.join(sorted(own | inner))}")
    if missing := sorted(required(kind) - set(flat)):
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    values = dict(flat)
    try:
        configuration = replace(configuration, **{key: values.pop(key) for key in inner & set(values)})
        return kind(**values, **{"configuration": configuration})
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def default_configuration(kind: "type[DataclassInstance]") -> Any:
    """Return the configuration that a dataclass holds where nothing else is said."""
    (configuration,) = (f for f in fields(kind) if f.name == "configuration")
    return configuration.default if configuration.default_factory is MISSING else configuration.default_factory()


def required(kind: "type[DataclassInstance]") -> set[str]:
    """Return the names of the fields without a default."""
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def expected(hint: object, limits: Limits) -> str:
    """Say in words what a setting may be."""
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


def _fits_one(value: Any, kind: object, limits: Limits) -> bool:
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
    except OverflowError:  # an integer beyond all floating-point numbers
        return False


def _as_declared(value: Any, hint: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and float in alternatives(hint) else value


def _short(value: object) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."
