"""The programs in results/ that made records use the package as it is."""

import json
import os
import random
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.training import datasets
from keras_twoarg.export import calibration
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.two_arg_activation import places_of
from results import converged, convert, null_by_pretraining, ridges, smooth_phi, stalls
from results.tables.records import ROOT, against, interval, verdict
from tests.helpers import blobs

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")


def test_ridges_are_beside_tables_of_so_many_nodes(rng):
    network = models.mlp((8, 8, 1), 3, widths=(4, 4), seed=0)
    x = rng.normal(size=(50, 8, 8, 1)).astype("float32")
    arguments = calibration.arguments(network, places_of(network, "to fit"), x)
    tables = [layer for layer in ridges.with_table(network, 25, arguments).layers if isinstance(layer, BakedActivation)]
    assert [(one.name, one.grid.resolution) for one in tables] == [(name, 25) for name in arguments]
    assert [one.grid.extent for one in tables] == [pytest.approx(1.05 * one.largest) for one in arguments.values()]


def test_the_epoch_of_equal_accuracy_is_the_first_that_is_nearest():
    validation = {"val_accuracy": [0.4, 0.62, 0.7, 0.58, 0.62]}
    record = SimpleNamespace(curve=validation.__getitem__)
    assert [converged.nearest_epoch(record, accuracy) for accuracy in (0.61, 0.9, 0.1)] == [2, 3, 1]


def test_a_file_that_was_begun_with_other_settings_is_not_continued(tmp_path, monkeypatch, capsys):
    """A look at few epochs writes into the same file by default as the whole run."""
    out = tmp_path / "out.json"
    for program, arguments, begun, told in (
        (null_by_pretraining, ["--surfaces", "3"], {"seed": 10**6, "epochs": 5}, "epochs=5"),
        (smooth_phi, ["--epochs", "20"], {"nodes": 81, "penalty": 0.0, "seed": 0, "epochs": 1}, "epochs=1"),
    ):
        out.write_text(json.dumps([begun]))
        monkeypatch.setattr(sys, "argv", ["program", *arguments, "--out", str(out)])
        with pytest.raises(SystemExit):
            program.main()
        assert told in capsys.readouterr().err and json.loads(out.read_text()) == [begun]


def test_packing_what_a_file_holds_already_packs_it_once(tmp_path):
    folder, file = tmp_path / "runs", tmp_path / "convert.json"
    folder.mkdir()
    (folder / "100-converted.json").write_text(json.dumps({"arm": "converted", "seed": 100}))
    (folder / "test.json").write_text(json.dumps({"converted": {"100": 0.5}}))
    convert.pack([folder], file)
    first = json.loads(file.read_text())
    convert.pack([file, folder], file)
    assert json.loads(file.read_text()) == first and len(first) == 1


@pytest.mark.slow
def test_a_converted_run_does_not_depend_on_those_before_it():
    """A comparison that is stopped and resumed has fewer of them in its process."""
    data = datasets.split(blobs(), 0)

    def network():
        layers = [keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((8, 8, 1)), *layers])

    base, recipe, found = network(), convert.Recipe(1e-2), []
    for seeds in ((5, 6), (6,)):
        trainer = convert.Trainer("as it is", base, keras.models.clone_model(base), recipe)
        for seed in seeds:
            told = trainer.run(base.get_weights(), data, recipe, 2, seed)["epochs"]
        found.append((told, trainer.model.get_weights()))
    (unbroken, weights), (resumed, others) = found
    assert unbroken == resumed
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_are_counted_without_drawing_numbers(monkeypatch):
    """They are counted once in a process: what a widened network draws later would depend on that."""
    before = random.getstate()
    monkeypatch.setattr(convert, "mobilenet", lambda *_: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert convert.parameters("mobilenet", (4, 4, 3), 2, (77,)) == 10
    assert random.getstate() == before


def test_two_seeds_show_nothing():
    comparison = against({1: 2.0, 2: 2.001}, {1: 1.0, 2: 1.0})
    assert comparison.low > 0 and interval(comparison) == "+1.00" and verdict(comparison) == "not shown"


def test_the_penalty_on_curvature_is_that_of_a_product_and_of_a_plane():
    axis = np.linspace(-5, 5, 21)
    for phi, curvature in ((lambda x: x[:, :1] * x[:, 1:], 2 / np.mean(axis**2) ** 2), (lambda x: x[:, :1], 0.0)):
        layer = smooth_phi.CurvaturePenalty(phi, 0.5)
        layer(np.zeros((1, 2), "float32"))
        np.testing.assert_allclose(float(layer.losses[0]), 0.5 * curvature, rtol=1e-4, atol=1e-6)


def test_packed_trials_are_complete_and_nothing_is_overwritten(tmp_path):
    for seed in (7, 8):
        (tmp_path / str(seed) / "relu").mkdir(parents=True)
        (tmp_path / str(seed) / "search.json").write_text(json.dumps({"seed": seed}))
        trials = [{"trial": 1, "score": 0.5}, {"trial": 0, "score": 0.25}]
        (tmp_path / str(seed) / "relu" / "trials.json").write_text(json.dumps(trials))

    def pack(*searches):
        command = [sys.executable, "tuning/pack.py", *map(str, searches), "--out", str(tmp_path / "trials.jsonl")]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})

    assert pack(tmp_path / "9").returncode == 2 and not (tmp_path / "trials.jsonl").exists()
    assert pack(tmp_path / "7", tmp_path / "8").returncode == 0
    written = (tmp_path / "trials.jsonl").read_text()
    packed = [(t["search"], t["arm"], t["trial"]) for t in map(json.loads, written.splitlines())]
    assert packed == [(7, "relu", 0), (7, "relu", 1), (8, "relu", 0), (8, "relu", 1)]
    again = pack(tmp_path / "7")
    assert again.returncode == 2 and "already exists" in again.stderr
    assert (tmp_path / "trials.jsonl").read_text() == written


@pytest.mark.slow
def test_stalls_are_measured_with_their_predictors(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (240, 32, 32, 3)).astype("uint8"), rng.permutation(240) % 10
    np.savez(data := tmp_path / "noise.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    out = tmp_path / "stalls.json"
    command = ["stalls.py", "--data", str(data), "--seeds", "1", "--steps", "2", "--out", str(out), "--starts"]
    for starts in ("glorot", "glorot,relu"):
        monkeypatch.setattr(sys, "argv", [*command, starts])
        stalls.main()
    glorot, relu = json.loads(out.read_text())
    assert [glorot["start"], relu["start"]] == ["glorot", "relu"]
    assert glorot["gain"] > 0 and relu["gain"] is None
    assert 0 < glorot["share"] < 1 and 0 < relu["share"] < 1
