"""Populations: phi learned by eight networks together, compared with phi learned by one."""

import numpy as np

from results.tables.documents import markdown
from results.tables.records import accuracy, against, interval, runs, spread, table
from results.tables.soft_xor import phis
from results.tables.surfaces import POPULATION, analysed

STARTS = {"a random surface": "random", "Glorot's weights": "glorot"}


def folder(start, networks):
    """Return the folder of a population's records."""
    return f"{POPULATION}-{start}-{networks}"


def reached(start, networks, stage):
    """Return test accuracies by seed."""
    return accuracy(runs(folder(start, networks), "two_arg", stage))


@table("population")
def population():
    """Test accuracy with a phi that one or eight networks learned."""
    rows = []
    for label, start in STARTS.items():
        for stage in ("joint", "frozen"):
            one, eight = (reached(start, number, stage) for number in (1, 8))
            rows.append((label, stage, str(len(one)), spread(one), spread(eight), interval(against(eight, one))))
    columns = ("phi from", "stage", "seeds", "1 network", "8 networks", "8 minus 1 (95 % interval)")
    return markdown(columns, rows)


@table("population-phis")
def population_phis():
    """The similarity of the phis of different seeds, and whether they are soft XORs."""
    rows = []
    for label, start in STARTS.items():
        for networks in (1, 8):
            members, apart = phis(folder(start, networks)), analysed()[folder(start, networks)]["apart"]
            scores = [members[seed]["paper"] for seed in sorted(members)]
            between = f"{np.median(apart):.2f} ({min(apart):.2f} to {max(apart):.2f})"
            rows.append((label, str(networks), between, ", ".join(f"{score:+.2f}" for score in scores)))
    return markdown(("phi from", "networks", "distance between two seeds' phis", "soft-XOR score of each seed"), rows)
