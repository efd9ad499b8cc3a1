"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, what is done of it and in all, and a note for people."""

StepProgress = Callable[[int, int], None]
"""Called with the steps done and in all."""


def no_progress(stage: str, done: int, total: int, note: str) -> None:
    """Say nothing."""
