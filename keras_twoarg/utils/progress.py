"""Progress reports of long-running work."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, the work done, the total, and a note for people."""

WARNING = "warning"
"""Name, or end of the name, of stages whose note is a sentence that should stay on the screen."""

StepProgress = Callable[[int, int], None]
"""Called with the steps done and the total."""


def warning_to(progress: Progress, name: str = "") -> Callable[[str], None]:
    """Return a function that reports sentences as warnings from `name` through a progress function."""
    return lambda text: progress(f"{name} {WARNING}".strip(), 1, 1, text)


def no_progress(stage: str, done: int, total: int, note: str) -> None:
    """Report nothing."""
