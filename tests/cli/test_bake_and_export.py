"""`twoarg bake` and `twoarg export` overwrite and leave nothing that they should not."""

import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import models
from keras_twoarg.cli import twoarg
from tests.helpers import blobs, save_npz

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npz(tmp_path / "blobs.npz", blobs())
    models.mlp((8, 8, 1), 3, widths=(8,), seed=0).save(tmp_path / "model.keras")
    return tmp_path


def run(*arguments, status=0):
    result = CliRunner().invoke(twoarg, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("out", ["model.keras", "other.keras", "run.keras"])
def test_bake_overwrites_only_what_it_made(folder, out):
    (folder / "other.keras").write_bytes(b"another model")
    (folder / "run.json").write_text('{"arm": "two_arg"}')
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = run("bake", "model.keras", "--data", "blobs.npz", "--out", out, status=2)
    assert "Give another name" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_bake_may_be_given_again(folder):
    for _ in range(2):
        run("bake", "model.keras", "--data", "blobs.npz", "--out", "baked.keras")
    assert sorted(path.name for path in folder.glob("*baked*")) == ["baked.json", "baked.keras"]
    assert not list(folder.glob(".bake*"))


def test_each_version_of_an_export_has_its_own_record(folder):
    (folder / "served" / "partial-1").mkdir(parents=True)
    (folder / "served" / "partial-1" / "mine.txt").write_text("keep me")
    for version in (1, 2):
        run("export", "model.keras", "--out", f"served/{version}")
    assert (folder / "served" / "partial-1" / "mine.txt").read_text() == "keep me"
    assert {path.name for path in (folder / "served").iterdir()} == {
        "1", "2", "partial-1", "recorded-1.npz", "recorded-2.npz",
    }  # fmt: skip
    assert "exists already" in run("export", "model.keras", "--out", "served/1", status=2)


def test_a_second_file_that_is_there_stays(folder):
    pytest.importorskip("openvino")
    (folder / "model.bin").write_bytes(b"mine")
    said = run("export", "model.keras", "--format", "openvino", "--out", "model.xml", status=2)
    assert "model.bin exists already" in said and (folder / "model.bin").read_bytes() == b"mine"


def test_a_model_with_weights_that_are_no_numbers_is_not_exported(folder):
    model = keras.models.load_model(folder / "model.keras")
    model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.nan))
    model.save(folder / "nan.keras")
    assert "holds NaN or infinity" in run("export", "nan.keras", "--out", "served/1", status=1)
    assert not (folder / "served" / "1").exists()
    said = run("bake", "nan.keras", "--data", "blobs.npz", "--out", "baked.keras", status=1)
    assert "holds NaN or infinity" in said and not (folder / "baked.keras").exists()


def test_a_truncated_file_is_named(folder):
    content = (folder / "model.keras").read_bytes()
    (folder / "cut.keras").write_bytes(content[: len(content) // 2])
    assert "cut.keras is no readable .keras file" in run("export", "cut.keras", "--out", "served/1", status=2)
    shutil.copy(folder / "model.keras", folder / "whole.keras")
    assert "agrees with" in run("export", "whole.keras", "--out", "served/1")
