"""Populations: phi learned by eight networks together, compared with phi learned by one."""

from functools import partial

import numpy as np

from results.tables.documents import markdown
from results.tables.records import accuracy, against, interval, runs, spread, table
from results.tables.soft_xor import phis
from results.tables.surfaces import POPULATION, analysed

STARTS = {"a random surface": "random", "Glorot's weights": "glorot"}
FIRST, AGAIN = "", "-again"
"""Ends of folders' names: networks that began anew took too long steps the first time, and planned ones the second."""


def folder(start, networks, series=AGAIN):
    """Return the folder of a population's records."""
    return f"{POPULATION}-{start}-{networks}{series}"


def reached(start, networks, stage, series=AGAIN):
    """Return test accuracies by seed."""
    return accuracy(runs(folder(start, networks, series), "two_arg", stage))


def accuracies(series):
    """Test accuracy with a phi that one or eight networks learned."""
    rows = []
    for label, start in STARTS.items():
        for stage in ("joint", "frozen"):
            one, eight = (reached(start, number, stage, series) for number in (1, 8))
            rows.append((label, stage, str(len(one)), spread(one), spread(eight), interval(against(eight, one))))
    columns = ("phi from", "stage", "seeds", "1 network", "8 networks", "8 minus 1 (95 % interval)")
    return markdown(columns, rows)


def learned_phis(series):
    """The similarity of the phis of different seeds, and whether they are soft XORs."""
    rows = []
    for label, start in STARTS.items():
        for networks in (1, 8):
            own = folder(start, networks, series)
            members, apart = phis(own), analysed()[own]["apart"]
            scores = [members[seed]["paper"] for seed in sorted(members)]
            between = f"{np.median(apart):.2f} ({min(apart):.2f} to {max(apart):.2f})"
            rows.append((label, str(networks), between, ", ".join(f"{score:+.2f}" for score in scores)))
    return markdown(("phi from", "networks", "distance between two seeds' phis", "soft-XOR score of each seed"), rows)


for name, series in {"population-first": FIRST, "population": AGAIN}.items():
    table(name)(partial(accuracies, series))
    table(f"{name}-phis")(partial(learned_phis, series))
