"""What tables say of phi, from records and arrays alone."""

import importlib.util
import re
import shutil

import keras
import numpy as np
import pytest

from keras_twoarg import analysis
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.reports import surface_tables
from keras_twoarg.experiments.reports.learned_surfaces import learned_section
from keras_twoarg.experiments.reports.surface_tables import (
    Surface,
    chance,
    glorot_surface,
    read_surfaces,
    soft_xor_table,
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
    assert all(f"<td>{name}</td>" in section for name in names)


def test_phi_of_a_run_that_diverged_is_in_no_table(tmp_path):
    for name in ("finished", "diverged"):
        shutil.copytree(ROOT / "tests" / "golden" / "run", tmp_path / name)
    stage = tmp_path / "diverged" / "session2.json"
    files.write_json(stage, {**files.read_json(stage), "status": "diverged", "seed": 9})
    assert [surface.record.seed for surface in read_surfaces([tmp_path])] == [3]
