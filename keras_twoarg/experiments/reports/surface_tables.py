"""What phi has become, run by run and over seeds: the paper's third claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_twoarg import analysis
from keras_twoarg.analysis import Density, SoftXOR, Spectrum
from keras_twoarg.experiments.reports.run_groups import Group, group_runs
from keras_twoarg.experiments.training.phi_snapshots import Trace, evaluate_weights
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage, stage_file, stage_files
from keras_twoarg.utils.table import Table

_GLOROT_NETWORKS = 50


@dataclass(frozen=True)
class Surface:
    """phi of one run's joint stage, with what the analyses say of it.

    Attributes:
        record: The run's record.
        trace: phi and its arguments.
    """

    record: Record
    trace: Trace

    @cached_property
    def density(self) -> Density:
        """Where phi's arguments fall, all places pooled."""
        return self.trace.density

    @cached_property
    def soft_xor(self) -> SoftXOR:
        """The verdict on the fit weighted by the density."""
        return self.verdict(self.density)

    @cached_property
    def paper(self) -> SoftXOR:
        """The verdict on the paper's fit: unweighted, on the densest cells that hold 90 % of the arguments."""
        return self.verdict(self.density, mass=0.9, weighted=False)

    @cached_property
    def places(self) -> dict[str, SoftXOR]:
        """The verdict at each place of the network by itself."""
        return {name: self.verdict(density) for name, density in self.trace.places.items()}

    @cached_property
    def spectrum(self) -> Spectrum:
        """The angular power spectrum."""
        return analysis.spectrum(self.trace.learned, self.density)

    @cached_property
    def nearest(self) -> analysis.Nearest:
        """The named functions that describe it."""
        return analysis.nearest(self.trace.learned, self.density)

    @cached_property
    def distances(self) -> dict[int, float]:
        """How far phi was from its shape of the best epoch, for each epoch that was kept."""
        return {
            epoch: analysis.distance(self.trace.at(epoch), self.trace.learned, self.density)
            for epoch in self.trace.weights
            if epoch <= (self.record.best_epoch or 0)
        }

    def verdict(self, density: Density, *, mass: float = 1.0, weighted: bool = True) -> SoftXOR:
        """Fit a quadratic over a density and judge it."""
        used = density.support(mass) & (density.values > 0)
        fit = analysis.fit_quadratic(lambda _: self.trace.learned[used], density, mass=mass, weighted=weighted)
        return analysis.soft_xor(fit)


def read_surfaces(folders: Sequence[Path], seed: int | None = None) -> list[Surface]:
    """Read phi of every finished joint stage with two arguments below folders."""
    files = stage_files(folders, "-surface.npz", [Stage.JOINT])
    found = [(Record.read(stage_file(file.parent, Stage.JOINT, ".json")), file) for file in files]
    traces = [(r, Trace.read(file)) for r, file in found if seed is None or r.seed == seed]
    return [Surface(record, trace) for record, trace in traces if trace.learned.ndim == 2]


def group_surfaces(surfaces: Sequence[Surface]) -> list[tuple[Group, list[Surface]]]:
    """Group surfaces as their records are grouped, by seed in each group."""
    by_record = {id(surface.record): surface for surface in surfaces}
    return [
        (group, [by_record[id(r)] for r in sorted(group.records, key=lambda r: r.seed)])
        for group in group_runs([surface.record for surface in surfaces])
    ]


def surface_table(surfaces: Sequence[Surface]) -> Table | None:
    """Return the verdict on each phi: score, fit, the places by themselves, spectrum, nearest function, maturation."""
    if not surfaces:
        return None
    columns = ("phi", "soft XOR", "R²", "as paper", "by layer", "quadrupole", "nearest function", "settled")
    rows = [
        (f"{group.name}, seed {surface.record.seed}", *_row(surface))
        for group, members in group_surfaces(surfaces)
        for surface in members
    ]
    caption = (
        "soft XOR: -2 det H / ||H||² of the quadratic fit weighted by the density of the arguments, +1 for a pure "
        "saddle, -1 for a bowl; R²: of that fit. as paper: the same score of an unweighted fit where 90 % of the "
        "arguments fall. by layer: the score at each place alone. quadrupole: share of order 2 in the angular power. "
        "nearest function: up to affine maps of arguments and output, with its R²; the simplest within 0.01 of the "
        "best. settled: first epoch from which on at least 90 % of the final surface is there."
    )
    return Table("What phi has become", columns, tuple(rows), caption, ("by layer", "nearest function"))


def _row(surface: Surface) -> tuple[str, ...]:
    best = surface.nearest
    return (
        f"{surface.soft_xor.score:+.2f}",
        f"{surface.soft_xor.r2:.2f}",
        f"{surface.paper.score:+.2f}",
        " ".join(f"{verdict.score:+.2f}" for verdict in surface.places.values()),
        f"{surface.spectrum.quadrupole:.0%}",
        f"{best.name} {best.r2[best.name]:.2f}",
        f"{analysis.settled(surface.distances)}" if surface.distances else "-",
    )


def soft_xor_table(surfaces: Sequence[Surface]) -> Table | None:
    """Return the claim over seeds: mean score with its interval, share of soft XORs, and the test against chance."""
    if not surfaces:
        return None
    columns = ("phi", "score", "95 % interval", "soft XOR", "by chance", "p", "quadrupole", "at start", "Glorot")
    groups = group_surfaces(surfaces)
    rows = [_summary(group.name, members) for group, members in groups]
    if sum(group.arm == "two_arg" for group, _ in groups) > 1:
        rows.append(_summary("two_arg, all", [s for group, m in groups if group.arm == "two_arg" for s in m]))
    caption = (
        "score: mean over seeds; interval: bootstrap. soft XOR: surfaces of negative curvature. by chance: share among "
        "1,000 random surfaces drawn as in pretraining, fitted over the same density. p: exact binomial test against "
        "that share, two-sided. quadrupole: mean share of order 2 in the angular power; at start: of phi after "
        f"pretraining; Glorot: of {_GLOROT_NETWORKS} inner networks with Glorot's initial weights."
    )
    return Table("Is phi a soft XOR?", columns, tuple(rows), caption)


def _summary(name: str, members: Sequence[Surface]) -> tuple[str, ...]:
    pooled = analysis.pool([surface.density for surface in members])
    scores = [surface.soft_xor.score for surface in members if np.isfinite(surface.soft_xor.score)]
    if not scores:
        return name, *["-"] * 8
    mean, low, high = analysis.mean_interval(scores)
    test = analysis.curvature_test(scores, analysis.null_share(pooled))
    return (
        name,
        f"{mean:+.2f}",
        f"{low:+.2f} to {high:+.2f}" if len(scores) > 1 else "-",
        f"{test.negative} of {test.number}",
        f"{test.null:.0%}",
        f"{test.p:.3f}",
        *(f"{np.mean(shares[:, 1]):.0%}" if len(shares) else "-" for shares in spectra(members).values()),
    )


def spectra(members: Sequence[Surface]) -> dict[str, np.ndarray]:
    """Return the shares of the angular orders 1 to 6, one row for each surface: learned, at the start, and Glorot's."""
    pooled = analysis.pool([surface.density for surface in members])
    starts = [(s.trace.start, s.density) for s in members if s.trace.start is not None]
    return {
        "learned": np.array([surface.spectrum.shares for surface in members]),
        "after pretraining": np.array([analysis.spectrum(start, density).shares for start, density in starts]),
        "Glorot's weights": np.array(
            [analysis.spectrum(glorot_surface(i, pooled), pooled).shares for i in range(_GLOROT_NETWORKS)]
        ),
    }


def glorot_surface(seed: int, density: Density) -> np.ndarray:
    """Return phi with Glorot's initial weights on a density's grid."""
    rng = np.random.default_rng(seed)
    weights: list[np.ndarray] = []
    for fan_in, fan_out in ((2, 64), (64, 64), (64, 1)):
        limit = np.sqrt(6 / (fan_in + fan_out))
        weights += [rng.uniform(-limit, limit, (fan_in, fan_out)), np.zeros(fan_out)]
    return evaluate_weights(weights, density.nodes).reshape(density.values.shape)
