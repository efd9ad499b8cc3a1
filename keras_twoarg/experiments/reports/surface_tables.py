"""The shape of the learned phi, by run and over seeds: the paper's third claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.analysis import Density, SoftXOR, Spectrum
from keras_twoarg.experiments.reports.run_groups import Group, group_items
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.phi_snapshots import Trace, evaluate_weights
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.utils.table import Table, p_value
from keras_twoarg.utils.types import Config

PAPER_FIT: Config = {"mass": 0.9, "weighted": False}
"""The paper's fit of a quadratic: unweighted, on the densest cells that hold 90 % of the arguments in [-5, 5]."""

_GLOROT_NETWORKS = 50
_RANDOM_SURFACES, _GLOROT_SURFACES = 1000, 300


@dataclass(frozen=True)
class Surface:
    """phi of one run's joint stage, and its analyses.

    Attributes:
        record: The run's record.
        trace: phi and the density of its arguments.
    """

    record: Record
    trace: Trace

    @cached_property
    def density(self) -> Density:
        """Where phi's arguments fall, all places pooled."""
        return self.trace.density

    @property
    def measurable(self) -> bool:
        """Whether enough of phi's arguments fall on the grid to fit a quadratic; without normalization they may not."""
        return self.soft_xor.determined

    @cached_property
    def soft_xor(self) -> SoftXOR:
        """The verdict on the fit weighted by the density."""
        return self.verdict(self.trace.learned, self.density)

    @cached_property
    def paper(self) -> SoftXOR:
        """The verdict on the paper's fit: unweighted, on the densest cells with 90 % of the arguments on the grid."""
        return self.verdict(self.trace.learned, self.density, **PAPER_FIT)

    @cached_property
    def soft_xor_at_start(self) -> SoftXOR | None:
        """The verdict on phi before training, fitted where the arguments of the learned phi fall."""
        return None if self.trace.start is None else self.verdict(self.trace.start, self.density)

    @cached_property
    def paper_at_start(self) -> SoftXOR | None:
        """The verdict on the paper's fit to phi before training, over the same cells."""
        return None if self.trace.start is None else self.verdict(self.trace.start, self.density, **PAPER_FIT)

    @cached_property
    def places(self) -> dict[str, SoftXOR]:
        """The verdict at each place of the network separately."""
        return {name: self.verdict(self.trace.learned, density) for name, density in self.trace.places.items()}

    @cached_property
    def spectrum(self) -> Spectrum | None:
        """The angular power spectrum; None if too few arguments are on the grid."""
        return analysis.spectrum(self.trace.learned, self.density) if self.measurable else None

    @cached_property
    def nearest(self) -> analysis.Nearest | None:
        """The nearest named functions; None for a flat phi, or if too few arguments are on the grid."""
        flat = not np.isfinite(self.soft_xor.r2)
        return None if flat or not self.measurable else analysis.nearest(self.trace.learned, self.density)

    @cached_property
    def distances(self) -> dict[int, float]:
        """The distance of phi from its shape at the best epoch, for each epoch; empty if it is flat or not known."""
        if 1 not in self.trace.weights or not self.measurable or not np.isfinite(self.soft_xor.r2):
            return {}
        return {
            epoch: analysis.distance(self.trace.at(epoch), self.trace.learned, self.density)
            for epoch in self.trace.weights
            if epoch <= (self.record.best_epoch or 0)
        }

    @property
    def settled(self) -> int | None:
        """The first epoch from which phi stays near its shape at the best epoch; None if it is not known."""
        try:
            return analysis.settled(self.distances)
        except ValueError:  # phi still moved after the last epoch at which it was kept, before the best one
            return None

    def verdict(self, surface: np.ndarray, density: Density, *, mass: float = 1.0, weighted: bool = True) -> SoftXOR:
        """Fit a quadratic to a surface over a density and judge it; NaN if too few arguments are on the grid."""
        try:
            fit = analysis.fit_quadratic(surface, density, mass=mass, weighted=weighted)
        except ValueError:
            return SoftXOR(np.nan, np.nan, determined=False)
        return analysis.soft_xor(fit)


def group_surfaces(surfaces: Sequence[Surface]) -> list[tuple[Group, list[Surface]]]:
    """Group surfaces as their records are grouped, and sort each group by seed."""
    groups = group_items(surfaces, lambda surface: surface.record)
    return [(group, sorted(members, key=lambda surface: surface.record.seed)) for group, members in groups]


def named_surfaces(surfaces: Sequence[Surface]) -> list[tuple[str, Surface]]:
    """Return surfaces in the order of tables and figures, each with the name of its run."""
    return [
        (f"{group.name}, seed {surface.record.seed}", surface)
        for group, members in group_surfaces(surfaces)
        for surface in members
    ]


def surface_table(surfaces: Sequence[Surface]) -> Table | None:
    """Return the verdict on each phi: score, fit, score by place, spectrum, nearest function and maturation."""
    if not surfaces:
        return None
    columns = ("phi", "soft XOR", "R²", "as paper", "by layer", "quadrupole", "nearest function", "settled")
    rows = [(name, *_row(surface)) for name, surface in named_surfaces(surfaces)]
    caption = (
        "soft XOR: -2 det H / ||H||² of the quadratic fit weighted by the density of the arguments, +1 for a pure "
        "saddle, -1 for a bowl; R²: of that fit. as paper: the score of an unweighted fit where 90 % of the arguments "
        "in [-5, 5] fall. by layer: the score for each layer's arguments. quadrupole: share of order 2 in the angular "
        "power. nearest function: up to affine maps of arguments and output, with its R²; the simplest within 0.01 of "
        "the best. settled: the first epoch from which 1 - r² with the final surface stays below 0.1; none if it did "
        "so only between the epochs at which phi was kept (the first 20, and every 25th)."
    )
    return Table("The shape of phi", columns, tuple(rows), caption, ("by layer", "nearest function"))


def _row(surface: Surface) -> tuple[str, ...]:
    best = surface.nearest
    return (
        shown(surface.soft_xor.score, "+.2f"),
        shown(surface.soft_xor.r2, ".2f"),
        shown(surface.paper.score, "+.2f"),
        " ".join(shown(verdict.score, "+.2f") for verdict in surface.places.values()),
        "-" if surface.spectrum is None else shown(surface.spectrum.quadrupole, ".0%"),
        "-" if best is None else f"{best.name} {best.r2[best.name]:.2f}",
        "-" if surface.settled is None else f"{surface.settled}",
    )


def shown(number: float, form: str) -> str:
    """Return a number as text, or a dash if it is not finite: a flat phi has no score."""
    return format(number, form) if np.isfinite(number) else "-"


def soft_xor_table(surfaces: Sequence[Surface]) -> Table | None:
    """Return the claim over seeds: mean score with interval, saddles at the start and after training, and the test."""
    if not surfaces:
        return None
    columns = (
        "phi", "score", "95 % interval", "saddles at start", "learned", "became", "ceased", "p", "by chance",
        "quadrupole", "at start", "Glorot",
    )  # fmt: skip
    rows = tuple(_summary(group.name, members) for group, members in group_surfaces(surfaces))
    caption = (
        "score: of the weighted fit, mean over seeds, or over those whose phi is curved (2 of 4); interval: Student's "
        "t, whose ends may lie beyond -1 and +1. saddles: by the paper's fit, at the start over the same cells as "
        "after training, of the seeds whose arguments determine it; a flat phi is none. Only finished runs count. "
        "became, ceased: seeds whose phi became or ceased to be one; p: exact two-sided McNemar test of these. by "
        f"chance: share of saddles among untrained surfaces of the same start, {_RANDOM_SURFACES:,} random ones or "
        f"{_GLOROT_SURFACES} networks with Glorot's weights; a named start has none. quadrupole: mean share of order 2 "
        f"in the angular power; at start: before training; Glorot: of {_GLOROT_NETWORKS} networks with Glorot's "
        "weights."
    )
    return Table("Is phi a soft XOR?", columns, rows, caption)


def _summary(name: str, members: Sequence[Surface]) -> tuple[str, ...]:
    members = list({surface.record.seed: surface for surface in members}.values())  # the last run of each seed
    scored = [surface.soft_xor.score for surface in members if np.isfinite(surface.soft_xor.score)]
    measurable = [surface for surface in members if surface.measurable]
    if not measurable:
        return name, *["-"] * 11
    share = chance(measurable)
    return (
        name,
        *_mean_score(scored, len(members)),
        *_saddles(measurable),
        "-" if share is None else f"{share:.0%}",
        *(f"{np.mean(shares[:, 1]):.0%}" if len(shares) else "-" for shares in spectra(measurable).values()),
    )


def _mean_score(scores: Sequence[float], seeds: int) -> tuple[str, str]:
    """Return the mean score, with the number of phis that have one unless all have, and its interval."""
    if not scores:
        return "-", "-"
    mean, low, high = analysis.mean_interval(scores)
    said = f", {len(scores)} of {seeds}" if len(scores) < seeds else ""
    return f"{mean:+.2f}{said}", f"{low:+.2f} to {high:+.2f}" if np.isfinite(low) else "-"


def _saddles(members: Sequence[Surface]) -> tuple[str, ...]:
    """Return the saddles at the start and after training, those that became and ceased to be one, and the p-value."""
    verdicts = [(s.paper_at_start, s.paper) for s in members if s.paper_at_start is not None]
    pairs = [(start, learned) for start, learned in verdicts if start.determined and learned.determined]
    if not pairs:
        return ("-",) * 5
    # Without curvature there is no score, and no saddle: without these phis the others would favour the claim.
    starts, ends = (np.nan_to_num([verdict.score for verdict in each]) for each in zip(*pairs, strict=True))
    test = analysis.saddle_test(starts.tolist(), ends.tolist())
    shown = (f"{test.start} of {test.number}", f"{test.learned} of {test.number}", f"{test.became}", f"{test.ceased}")
    return *shown, p_value(test.p)


def chance(members: Sequence[Surface], number: int | None = None, *, paper: bool = True) -> float | None:
    """Return the share of saddles among untrained surfaces, over the densities of some runs with the same start.

    None if they start from a named function, which is always the same.

    Args:
        members: Surfaces of runs with the same start and the same kind of phi.
        number: Number of untrained surfaces. Defaults to 1,000 random ones, or 300 networks with Glorot's weights.
        paper: Whether to use the paper's fit instead of the weighted one. Defaults to `True`.
    """
    densities, fit = [surface.density for surface in members], PAPER_FIT if paper else {}
    start = members[0].record.settings.get("phi_init", Configuration.phi_init)
    if start == "glorot":
        glorot = partial(glorot_surface, density=densities[0], like=members[0])
        return analysis.null_share(densities, number or _GLOROT_SURFACES, glorot, **fit)
    if start != "random":
        return None
    return analysis.null_share(densities, number or _RANDOM_SURFACES, **fit)


def spectra(members: Sequence[Surface]) -> dict[str, np.ndarray]:
    """Return the shares of the angular orders 1 to 6: learned, at the start, and for Glorot's weights.

    Each surface is a row; flat surfaces are left out. Networks with Glorot's weights are of the kinds of the members.
    """
    pooled = analysis.pool([surface.density for surface in members])
    learned = [(surface.trace.learned, surface.density) for surface in members]
    starts = [(s.trace.start, s.density) for s in members if s.trace.start is not None]
    kinds = [members[i * len(members) // _GLOROT_NETWORKS] for i in range(_GLOROT_NETWORKS)]
    glorot = [(glorot_surface(i, pooled, kind), pooled) for i, kind in enumerate(kinds)]
    return {"learned": _shares(learned), "at the start": _shares(starts), "Glorot's weights": _shares(glorot)}


def _shares(drawn: Sequence[tuple[np.ndarray, Density]]) -> np.ndarray:
    shares = np.array([analysis.spectrum(surface, density).shares for surface, density in drawn])
    return shares[np.isfinite(shares).all(axis=1)] if len(shares) else shares


def glorot_surface(seed: int, density: Density, like: Surface) -> np.ndarray:
    """Return phi of the same kind as a run's, with Glorot's initial weights, on a density's grid."""
    rng, quadratic = np.random.default_rng(seed), like.record.arm == "quadratic"
    units = like.record.settings.get("inner_units", Configuration.inner_units)
    sizes = (6, 1) if quadratic else (2, *units, 1)
    weights: list[np.ndarray] = []
    for fan_in, fan_out in pairwise(sizes):
        limit = np.sqrt(6 / (fan_in + fan_out))
        weights += [rng.uniform(-limit, limit, (fan_in, fan_out)), np.zeros(fan_out)]
    weights = weights[:1] if quadratic else weights  # its six coefficients
    return evaluate_weights(weights, density.nodes, like.trace.activation).reshape(density.values.shape)
