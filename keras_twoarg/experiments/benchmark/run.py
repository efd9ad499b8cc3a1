"""All parts of `twoarg bench`.

Each part and network has its own process, and so has each peak of memory. All variants take turns within a process, so
that noise affects all of them. The results are medians over the rounds and half the interquartile range.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_twoarg.experiments.benchmark import exports, networks, places, use
from keras_twoarg.experiments.training.result_folder import differences
from keras_twoarg.utils import files, subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject
from keras_twoarg.utils.versions import commit, versions


def run(
    names: Sequence[str],
    variants: Sequence[str],
    rounds: int,
    parts: Sequence[str],
    out: Path,
    progress: Progress,
    seed: int = 0,
) -> JsonObject:
    """Measure some parts of some networks, each in its own process.

    Args:
        names: Names in `NETWORKS`, for the parts that measure the paper's networks.
        variants: Names in `VARIANTS`; `"relu"`, the baseline, is always measured.
        rounds: Number of timed rounds.
        parts: Names in `tables.PARTS`.
        out: JSON file, written after each part. Finished parts in it are kept.
        progress: Called with the part, the rounds done, the total and a note.
        seed: Seed of weights and data.

    Returns:
        The contents of the file: the results by part and network, and under `"machine"` what they were measured on.

    Raises:
        ValueError: If the file was measured on another commit, machine, or with other settings.
    """
    variants = ["relu", *(variant for variant in variants if variant != "relu")]
    machine = {"cores": os.cpu_count(), "commit": commit(), "rounds": rounds, "seed": seed, **versions()}
    machine["variants"] = ", ".join(variants)
    measured: JsonObject = files.read_json(out) if out.exists() else {}
    before = measured.setdefault("machine", machine)
    if changes := differences(before, machine):
        raise ValueError(f"{out} was measured under other conditions: {changes}. Use another file")
    for part in parts:
        for name in _names(part, names):
            done = measured.setdefault(part, {})
            if "failed" in done.get(name, ["failed"]):  # missing, or failed before
                ended = subprocesses.call(
                    "keras_twoarg.experiments.benchmark.run:measure", progress, part, name, variants, rounds, seed
                )
                done[name] = ended.result if not ended.status else {"failed": ended.reason}
                files.write_json(out, measured)
    return measured


def _names(part: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names that a part measures, given the chosen networks."""
    if part == "places":
        return list(places.MODELS)
    if part == "one_sample":
        return [name for name in names if "mlp" in name]
    return [*names, use.MOBILENET] if part == "first_step" else names


def measure(progress: Progress, part: str, name: str, variants: Sequence[str], rounds: int, seed: int) -> JsonObject:
    """Measure one part for one network, in this process."""
    if part == "places":
        return places.places(name, rounds, progress, seed)
    if part == "one_sample":
        return use.one_sample(name, rounds, progress, seed)
    if part == "epoch":
        return use.epoch(name, rounds, progress, seed)
    if part == "first_step":
        return use.first_step(name, progress)
    if part == "exports":
        return exports.exports(name, rounds, progress, seed)
    if "mlp" in name:
        variants = [variant for variant in variants if variant != networks.KERAS_NORM]
    if part == "networks":
        return networks.network(name, variants, rounds, progress, seed)
    return networks.memory(name, variants, progress)
