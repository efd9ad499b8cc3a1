"""Times of several tasks that take turns, so that noise affects all of them alike."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypedDict, TypeVar

import numpy as np

Task = Callable[[], object]
Key = TypeVar("Key", bound=Hashable)


class Times(TypedDict):
    """The times of a task, in seconds.

    Attributes:
        median: The median over the rounds.
        spread: Half the interquartile range.
        seconds: Every time.
    """

    median: float
    spread: float
    seconds: list[float]


def timed(
    tasks: Mapping[Key, Task],
    rounds: int,
    progress: Callable[[int], object],
    steps: Callable[[Key], int] = lambda _: 1,
) -> dict[Key, list[float]]:
    """Return the seconds of each task in each round; a first round, for compilation, is not counted.

    Args:
        tasks: The tasks by name.
        rounds: Number of rounds.
        progress: Called with the number of rounds done, including the first one.
        steps: How often a task runs in a round; the mean is taken. Defaults to once.
    """
    times: dict[Key, list[float]] = {name: [] for name in tasks}
    for round_ in range(rounds + 1):
        progress(round_)
        for name, task in tasks.items():
            start = time.perf_counter()
            for _ in range(steps(name)):
                task()
            if round_:
                times[name].append((time.perf_counter() - start) / steps(name))
    progress(rounds + 1)
    return times


def summary(seconds: Sequence[float]) -> Times:
    """Return the median, spread and all times of a task."""
    low, high = np.quantile(seconds, [0.25, 0.75])
    return {"median": float(np.median(seconds)), "spread": float(high - low) / 2, "seconds": list(seconds)}


def by_task(times: Mapping[tuple[str, str], Sequence[float]], owner: str) -> dict[str, Times]:
    """Return the summaries of the tasks of one owner, from times by owner and task."""
    return {task: summary(seconds) for (each, task), seconds in times.items() if each == owner}
