"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, what is done of it and in all, and a note for people."""

WARNING = "warning"
"""The stage, or the end of its name, whose note is a sentence that should stay on the screen."""

StepProgress = Callable[[int, int], None]
"""Called with the steps done and in all."""


def warning_to(progress: Progress, name: str = "") -> Callable[[str], None]:
    """Return a function that sends sentences through a progress function, as warnings of what has the name."""
    return lambda text: progress(f"{name} {WARNING}".strip(), 1, 1, text)


def no_progress(stage: str, done: int, total: int, note: str) -> None:
    """Say nothing."""
