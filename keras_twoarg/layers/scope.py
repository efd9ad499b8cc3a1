"""What `sharing_scope` opens: the inner networks of the copy that is being made, by the key that their configs hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

networks: ContextVar[dict[str, Any] | None] = ContextVar("keras_twoarg_sharing_scope", default=None)
"""Those of the innermost scope; None where none is open."""


@contextmanager
def opened(of_scope: dict[str, Any] | None) -> Iterator[None]:
    """Have these networks be those of the innermost scope; None: rebuild within as if no scope were open around it."""
    token = networks.set(of_scope)
    try:
        yield
    finally:
        networks.reset(token)
