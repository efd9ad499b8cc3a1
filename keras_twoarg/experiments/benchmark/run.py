"""All parts of `twoarg bench`, each in a process of its own.

All variants take turns in one process, so that noise falls on all of them; reported are medians over the rounds, and
half the distance between the quartiles. Each part and network has a process of its own, and each peak of memory too.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_twoarg.experiments.benchmark import exports, networks, pairs, places, use
from keras_twoarg.utils import files, subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject
from keras_twoarg.utils.versions import commit, versions

PARTS = ("pairs", "networks", "memory", "exports", "places", "one_sample", "epoch", "first_step")


def run(
    names: Sequence[str],
    variants: Sequence[str],
    rounds: int,
    parts: Sequence[str],
    out: Path,
    progress: Progress,
    seed: int = 0,
) -> JsonObject:
    """Measure everything that is asked for, each part and network in a process of its own.

    Args:
        names: Networks, of `NETWORKS`, for the parts that are of the paper's networks.
        variants: What fills their units, of `VARIANTS`; all are related to `"relu"`, which is always measured.
        rounds: Timed rounds.
        parts: Of `PARTS`.
        out: JSON file, written after each part. Parts that it holds already are kept.
        progress: Called with the part, the rounds done and in all, and a note.
        seed: Of weights and data.

    Returns:
        What is in the file: for each part and network the results, and under `"machine"` what they were measured on.

    Raises:
        ValueError: If the file was measured in another way: on other code, or with other settings.
    """
    variants = ["relu", *(variant for variant in variants if variant != "relu")]
    machine = {"cores": os.cpu_count(), "commit": commit(), "rounds": rounds, "seed": seed, **versions()}
    machine["variants"] = ", ".join(variants)
    measured: JsonObject = files.read_json(out) if out.exists() else {}
    before = measured.setdefault("machine", machine)
    if differing := sorted(key for key in {*before, *machine} if before.get(key) != machine.get(key)):
        changes = ", ".join(f"{key}={before.get(key)!r} there, {machine.get(key)!r} here" for key in differing)
        raise ValueError(f"{out} was measured in another way: {changes}. Use another file")
    for part in parts:
        for name in _names(part, names):
            done = measured.setdefault(part, {})
            if "failed" in done.get(name, ["failed"]):  # not there, or to be tried again
                ended = subprocesses.call(
                    "keras_twoarg.experiments.benchmark.run:measure", progress, part, name, variants, rounds, seed
                )
                done[name] = ended.result if not ended.status else {"failed": ended.reason}
                files.write_json(out, measured)
    return measured


def _names(part: str, names: Sequence[str]) -> Sequence[str]:
    """Return what a part is measured on, where these networks were asked for."""
    if part == "pairs":
        return [str(pairs.PAIRS)]
    if part == "places":
        return list(places.MODELS)
    if part == "one_sample":
        return [name for name in names if "mlp" in name]
    return [*names, use.MOBILENET] if part == "first_step" else names


def measure(progress: Progress, part: str, name: str, variants: Sequence[str], rounds: int, seed: int) -> JsonObject:
    """Measure one part for one network, in this process."""
    if part == "pairs":
        return pairs.per_pair(int(name), rounds, progress, seed)
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
