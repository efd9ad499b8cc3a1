"""The peak memory of a training step."""

import resource
from collections.abc import Sequence

from keras_twoarg.experiments.benchmark.networks import NETWORKS, build, compile_, data
from keras_twoarg.utils import subprocesses
from keras_twoarg.utils.progress import Progress


def memory(name: str, variants: Sequence[str], progress: Progress) -> dict[str, float | None]:
    """Return the peak memory of a training step in MB over what the process held before, for each variant."""
    peaks = {}
    for done, variant in enumerate(variants):
        progress(f"memory: {name}", done, len(variants), variant)
        if variant != "baked":
            peaks[variant] = subprocesses.call(
                "keras_twoarg.experiments.benchmark.memory:peak", progress, name, variant
            ).result
    progress(f"memory: {name}", len(variants), len(variants), "")
    return peaks


def peak(_: Progress, name: str, variant: str) -> float:
    """Train three steps in this process, and return the peak memory over what was held before, in MB."""
    model = build(name, variant)
    compile_(model)
    x, y = data(name, 3, seed=0)
    model.evaluate(x[:2], y[:2], verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.fit(x, y, batch_size=NETWORKS[name][2], verbose=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
