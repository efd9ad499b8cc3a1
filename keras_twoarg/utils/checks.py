"""Checks of arguments."""

from collections.abc import Collection
from typing import TypeGuard, TypeVar

import numpy as np

T = TypeVar("T")


def one_of(name: str, value: T, known: Collection[T]) -> T:
    """Return a value if it is one of the known ones.

    Args:
        name: The argument's name, for the error.
        value: Its value.
        known: The valid values, which the error lists.

    Raises:
        ValueError: If it is another one.

    Examples:
        >>> one_of("pairing", "halves", ("adjacent", "halves"))
        'halves'
    """
    if value not in known:
        raise ValueError(f"`{name}` must be one of {tuple(known)}. Received: {name}={value!r}")
    return value


def positive_integer(name: str, value: object, more: str = "") -> int:
    """Return a positive integer of Python or NumPy as a Python `int`.

    Args:
        name: The argument's name, for the error.
        value: Its value.
        more: Text for the error after "a positive integer". Defaults to none.

    Raises:
        ValueError: If the value is anything else.

    Examples:
        >>> positive_integer("units", np.int64(3))
        3
    """
    if not is_positive_integer(value):
        raise ValueError(f"`{name}` must be a positive integer{more}. Received: {name}={value!r}")
    return int(value)


def is_positive_integer(value: object) -> TypeGuard[int]:
    """Return whether a value is a positive integer of Python or NumPy."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1
