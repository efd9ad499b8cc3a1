"""What tables say of phi, from records and arrays alone."""

import importlib.util
import re
import shutil

import keras
import numpy as np
import pytest

from keras_twoarg import analysis
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.reports import learned_surfaces, surface_tables
from keras_twoarg.experiments.reports.learned_surfaces import learned_section
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.reports.surface_tables import (
    Surface,
    chance,
    glorot_surface,
    soft_xor_table,
    surface_table,
)
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.networks import make_phi
from keras_twoarg.experiments.training.phi_snapshots import Trace, evaluate_weights
from keras_twoarg.utils import files
from tests.helpers import ROOT, record

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)

DENSITY = analysis.density(np.random.default_rng(0).normal(size=(2000, 2)))


def surface(arm="two_arg", activation="relu", **settings):
    axes = np.meshgrid(DENSITY.axis, DENSITY.axis, indexing="ij")
    trace = Trace(surfaces.product(*axes), {"layer_0": DENSITY}, activation=activation)
    return Surface(record(arm, settings=settings), trace)


@pytest.mark.parametrize(
    ("arm", "units", "activation"),
    [("two_arg", (64, 64), "relu"), ("two_arg", (8,), "tanh"), ("quadratic", (64, 64), "relu")],
)
def test_the_untrained_phi_is_of_the_runs_kind(arm, units, activation):
    settings = {"inner_units": list(units), "inner_activation": activation}
    drawn = [glorot_surface(seed, DENSITY, surface(arm, activation, **settings)) for seed in range(60)]
    made = [make_phi(Configuration(arm=arm, inner_units=units, inner_activation=activation, seed=s)) for s in range(60)]
    initial = [evaluate_weights(inner.get_weights(), DENSITY.nodes, activation) for inner in made]
    assert drawn[0].shape == DENSITY.values.shape
    np.testing.assert_allclose(np.mean(np.std(drawn, (1, 2))), np.mean(np.std(initial, (1, 2))), rtol=0.3)


def test_a_quadratic_phi_from_glorots_weights_is_a_saddle_as_often_as_its_coefficients_are():
    c = np.random.default_rng(0).uniform(-1, 1, (100_000, 3))
    expected = (4 * c[:, 0] * c[:, 1] < c[:, 2] ** 2).mean()
    assert chance([surface("quadratic", phi_init="glorot")], 300) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize(("last", "settled"), [((0, 0, 0, 1, 0, 0), "-"), ((0, 0, 1.1, 0, 0, 0), "25")])
def test_a_phi_that_moves_until_its_best_epoch_is_not_settled(last, settled):
    plane = (0, 0, 0, 1, 0, 0)
    weights = {epoch: [np.array([plane], float).T] for epoch in range(21)} | {25: [np.array([last], float).T]}
    axes = np.meshgrid(DENSITY.axis, DENSITY.axis, indexing="ij")
    trace = Trace(surfaces.product(*axes), {"layer_0": DENSITY}, weights=weights)
    best = Surface(record("quadratic", accuracies=[0.5] * 50, best_epoch=49), trace)
    table = surface_table([best])
    assert table.rows[0][table.columns.index("settled")] == settled


def test_a_spectrum_compares_with_untrained_networks_of_every_kind(monkeypatch):
    made = []
    drawn = surface_tables.glorot_surface
    monkeypatch.setattr(surface_tables, "_GLOROT_NETWORKS", 6)
    monkeypatch.setattr(surface_tables, "glorot_surface", lambda *args: made.append(args[2]) or drawn(*args))
    members = [surface(inner_units=units) for units in ([4], [8, 8], [2])]
    assert list(surface_tables.spectra(members)) == ["learned", "at the start", "Glorot's weights"]
    assert [made.count(member) for member in members] == [2, 2, 2]


def test_a_named_start_has_no_chance():
    table = soft_xor_table([surface(phi_init="product")])
    assert table.rows[0][table.columns.index("by chance")] == "-"


@pytest.mark.slow
def test_surfaces_of_several_plans_are_told_apart_wherever_they_are_shown(monkeypatch):
    pytest.importorskip("matplotlib")
    for number in ("_GLOROT_NETWORKS", "_RANDOM_SURFACES", "_GLOROT_SURFACES"):
        monkeypatch.setattr(surface_tables, number, 2)
    starts = [surface(phi_init="random"), surface(phi_init="product")]
    section = learned_section(starts, turnable=importlib.util.find_spec("plotly") is not None)
    menu = re.findall(r'"label":"([^"]*)"', section)
    verdicts = re.findall(r"<li>([^:]*):", section)
    names = [f"two_arg joint, phi init {start}, seed 1" for start in ("product", "random")]
    assert verdicts == names and menu in ([], [f"{name}, score +1.00" for name in names])
    assert all(f"<th scope=row>{name}</th>" in section for name in names)


X1, X2 = DENSITY.axis[:, None], DENSITY.axis[None, :]
BOWL = X1**2 + X2**2


def trained(seed, start, learned, density=DENSITY, **changes):
    return Surface(record("two_arg", seed=seed, **changes), Trace(learned, {"layer_0": density}, start))


def summary(members, monkeypatch):
    for number in ("_GLOROT_NETWORKS", "_RANDOM_SURFACES", "_GLOROT_SURFACES"):
        monkeypatch.setattr(surface_tables, number, 2)
    table = soft_xor_table(members)
    return dict(zip(table.columns, table.rows[0], strict=True))


def test_a_phi_without_curvature_is_no_saddle_and_the_mean_says_how_many_have_a_score(monkeypatch):
    saddles = [trained(seed, BOWL, X1 * X2) for seed in (1, 2)]
    straight = [trained(3, X1 * X2, 0 * X1 * X2), trained(4, BOWL, X1 + X2)]
    row = summary(saddles + straight, monkeypatch)
    assert row["score"] == "+1.00, 2 of 4" and row["95 % interval"] == "-"  # of equal scores
    assert (row["saddles at start"], row["learned"], row["became"], row["ceased"]) == ("1 of 4", "2 of 4", "2", "1")
    row = summary(straight, monkeypatch)
    assert (row["score"], row["95 % interval"], row["learned"], row["ceased"]) == ("-", "-", "0 of 2", "1")


def test_a_seed_that_was_run_twice_counts_once(monkeypatch):
    runs = [trained(1, BOWL, X1 * X2), trained(2, X1 * X2, X1 * X2 + 0.2 * X1**2)]
    once = summary(runs, monkeypatch)
    again = trained(1, BOWL, X1 * X2, seconds=7.0)
    assert summary([*runs, again], monkeypatch) == once
    assert (once["learned"], once["became"]) == ("2 of 2", "1")


def test_an_interval_beyond_every_score_is_told(monkeypatch):
    seeds = [trained(1, None, X1 * X2), trained(2, None, X1 * X2 + 0.6 * X1**2)]
    assert float(summary(seeds, monkeypatch)["95 % interval"].split()[-1]) > 1
    assert "beyond -1 and +1" in soft_xor_table(seeds).caption


def test_the_lines_are_of_the_pairs_on_the_grid_and_the_figure_says_how_many_are_not(monkeypatch):
    pytest.importorskip("matplotlib")
    drawn = []
    monkeypatch.setattr(learned_surfaces, "figure_section", lambda *section: drawn.append(section) or "")
    far = analysis.density(np.concatenate([np.random.default_rng(0).normal(size=(400, 2)), np.full((600, 2), 20.0)]))
    learned_surfaces._surface_figure([trained(1, None, X1 * X2, far), trained(2, None, X1 * X2)])
    ((_, figure, caption),) = drawn
    titles = [ax.get_title() for ax in figure.axes if ax.get_title().startswith("learned")]
    assert "60.0 % outside" in titles[0] and "outside" not in titles[1]
    assert "pre-activations within [-5, 5]" in caption


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_phi_whose_arguments_lie_in_a_corner_has_a_verdict_and_no_spectrum(monkeypatch):
    pytest.importorskip("matplotlib")
    corner = analysis.density(np.random.default_rng(0).normal((4.5, 4.5), 0.1, (1000, 2)))
    far, near = trained(1, BOWL, X1 * X2, corner), trained(2, BOWL, X1 * X2)
    assert summary([far], monkeypatch)["quadrupole"] == "-"
    row = dict(zip((table := surface_table([far])).columns, table.rows[0], strict=True))
    assert (row["soft XOR"], row["quadrupole"]) == ("+1.00", "-")
    assert "Angular power" not in learned_section([far], turnable=False)
    assert "Angular power" in learned_section([far, near], turnable=False)


OUTSIDE = analysis.density(np.full((500, 2), 9.0))
ON_A_LINE = analysis.density(np.stack([np.linspace(-2, 2, 500)] * 2, axis=-1))
TWO_CELLS = analysis.density(np.array([[0.0, 0.0], [1.0, 1.0]] * 50 + [[9.0, 9.0]] * 400))
UNMEASURED = {
    "flat": (np.full(DENSITY.values.shape, 0.1), DENSITY, "flat: no curvature"),
    "outside": (surface().trace.learned, OUTSIDE, "100.00% of 500 pairs lie outside"),
    "on a line": (surface().trace.learned, ON_A_LINE, "0.00% of 500 pairs lie outside"),
    "in two cells": (surface().trace.learned, TWO_CELLS, "80.00% of 500 pairs lie outside"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("learned", "density", "said"), UNMEASURED.values(), ids=UNMEASURED)
def test_a_phi_of_which_nothing_can_be_said_leaves_the_report_of_the_others(learned, density, said, monkeypatch):
    pytest.importorskip("matplotlib")
    for number in ("_GLOROT_NETWORKS", "_RANDOM_SURFACES", "_GLOROT_SURFACES"):
        monkeypatch.setattr(surface_tables, number, 2)
    weights = {epoch: make_phi(Configuration()).get_weights() for epoch in (0, 1)}
    lost = Surface(record("two_arg", seed=5), Trace(learned, {"layer_0": density}, learned, weights))
    rows = {row[0]: row[1:] for row in surface_table([lost, surface()]).rows}
    assert rows["two_arg joint, seed 1"][:3] == ("+1.00", "1.00", "+1.00")
    row = rows["two_arg joint, seed 5"]
    assert (row[0], *row[2:6], row[6]) == ("-",) * 6 and row[1] in ("-", "1.00")
    assert soft_xor_table([lost]).rows[0][1:3] == ("-", "-")
    assert soft_xor_table([lost, surface()]).rows[0][1] == "+1.00, 1 of 2"
    section = learned_section([lost, surface()], turnable=importlib.util.find_spec("plotly") is not None)
    text = re.sub(r"<(svg|script)\b.*?</\1>|<[^>]*>", " ", section, flags=re.S)
    assert said in text and not re.search(r"\bnan\b", text)
    assert said in learned_section([lost], turnable=False)


def test_phi_of_a_run_that_diverged_is_in_no_table(tmp_path):
    for name in ("finished", "diverged"):
        shutil.copytree(ROOT / "tests" / "golden" / "run", tmp_path / name)
    stage = tmp_path / "diverged" / "session2.json"
    files.write_json(stage, {**files.read_json(stage), "status": "diverged", "seed": 9})
    assert [surface.record.seed for surface in read_runs([tmp_path]).surfaces] == [3]
