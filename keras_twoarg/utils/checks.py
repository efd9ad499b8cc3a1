"""Checks of arguments that several layers have."""

import numpy as np


def positive_integer(name: str, value: object, more: str = "") -> int:
    """Return a whole number above 0, of Python or NumPy, as Python's own.

    Args:
        name: The argument, for the error.
        value: What it was given.
        more: What else the error should say, behind "a positive integer". Defaults to nothing.

    Raises:
        ValueError: If the value is anything else.

    Examples:
        >>> positive_integer("units", np.int64(3))
        3
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer{more}. Received: {name}={value!r}")
    return int(value)
