"""The analyses of every phi in the results, stored in `results/surfaces.json`.

Each surface takes seconds. `python -m results.tables` analyses new and changed surfaces.
"""

import hashlib
from functools import cache

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.experiments.reports.stored_runs import ARRAYS
from keras_twoarg.experiments.reports.surface_tables import Surface, chance
from keras_twoarg.utils import files
from results.tables.records import ROOT, stored

FILE = ROOT / "results" / "surfaces.json"
POPULATION = "results/population"
"""Prefix of the comparisons in which the phis of different seeds are compared."""
UNTRAINED = 1000
"""Number of untrained surfaces of each start, whose share of saddles is the chance level."""


def folders():
    """Return the comparisons that hold phi."""
    return sorted(file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "results").rglob(ARRAYS))


def digest(folder):
    """Return a digest of a comparison's arrays."""
    return hashlib.sha256((ROOT / folder / ARRAYS).read_bytes()).hexdigest()[:16]


def outdated():
    """Return the comparisons whose arrays have changed since they were analysed."""
    known = files.read_json(FILE) if FILE.exists() else {}
    return [folder for folder in folders() if known.get(folder, {}).get("arrays") != digest(folder)]


@cache
def analysed():
    """Return the stored analyses."""
    return files.read_json(FILE)


def refresh():
    """Analyse new and changed surfaces, and drop those of removed folders."""
    known = files.read_json(FILE) if FILE.exists() else {}
    for folder in outdated():
        print(f"Analysing phi in {folder}", flush=True)
        known[folder] = _analyse(folder, known.get(folder, {"runs": {}}))
        files.write_json(FILE, known)
    if set(known) - set(folders()):
        files.write_json(FILE, {folder: known[folder] for folder in folders()})
    analysed.cache_clear()


def _analyse(folder, before):
    joint = [run for run in stored(folder) if run.has_phi and run.record.stage == "joint"]
    surfaces = {}
    for run in joint:
        surface = Surface(run.record, run.phi())
        if surface.trace.learned.ndim == 2:
            surfaces[run.location.relative_to((ROOT / folder).resolve()).as_posix()] = surface
    runs, starts = {}, {}
    for name, surface in surfaces.items():
        content = b"".join(np.ascontiguousarray(a).tobytes() for a in (surface.trace.learned, surface.density.values))
        own = hashlib.sha256(content).hexdigest()[:16]
        old = before["runs"].get(name, {})
        runs[name] = old if old.get("phi") == own else {"phi": own, **_describe(surface, folder != "results/claim-c")}
        if surface.record.arm == "two_arg":
            starts.setdefault(surface.record.settings["phi_init"], []).append(surface)
    by_chance = {
        start: {fit: chance(members, UNTRAINED, paper=fit == "paper") for fit in ("paper", "weighted")}
        for start, members in starts.items()
        if start in ("random", "glorot")
    }
    analyses = {"arrays": digest(folder), "runs": runs, "chance": by_chance}
    return {**analyses, "apart": _apart(list(surfaces.values()))} if folder.startswith(POPULATION) else analyses


def _apart(members):
    """Return the distance of each phi from each other one, up to symmetry."""
    return [
        analysis.distance_up_to_symmetry(one.trace.learned, other.trace.learned, one.density)
        for one in members
        for other in members
        if one is not other
    ]


def _describe(surface, nearest):
    start = analysis.spectrum(surface.trace.start, surface.density)
    return {
        "weighted": surface.soft_xor.score,
        "weighted_at_start": surface.soft_xor_at_start.score,
        "r2": surface.soft_xor.r2,
        "paper": surface.paper.score,
        "paper_at_start": surface.paper_at_start.score,
        "quadrupole": surface.spectrum.quadrupole,
        "quadrupole_at_start": start.quadrupole,
        "settled": surface.settled,
        "nearest": surface.nearest.name if nearest else None,  # takes longer than everything else
    }
