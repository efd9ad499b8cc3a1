"""`twoarg bake` and `twoarg export` overwrite and leave nothing that they should not."""

import errno
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_twoarg import TwoArgActivation, bake, models
from keras_twoarg.cli import export as export_command
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.run_data import data_of
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.export import bake as bake_module
from keras_twoarg.export import formats
from tests.helpers import blobs, save_npz
from tests.helpers import command as run

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npz(tmp_path / "blobs.npz", blobs())
    models.mlp((8, 8, 1), 3, widths=(8,), seed=0).save(tmp_path / "model.keras")
    return tmp_path


@pytest.mark.parametrize("out", ["model.keras", "other.keras", "run.keras"])
def test_bake_overwrites_only_what_it_made(folder, out):
    (folder / "other.keras").write_bytes(b"another model")
    (folder / "run.json").write_text('{"arm": "two_arg"}')
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = run("bake", "model.keras", "--data", "blobs.npz", "--out", out, status=2)
    assert "Use another --out" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("content", [b"mine", None])
def test_export_replaces_no_other_file_by_its_record(folder, content):
    record = folder / "recorded-1.npz"
    record.write_bytes(content or (folder / "blobs.npz").read_bytes())
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = run("export", "model.keras", "--out", "1", status=2)
    assert "recorded-1.npz exists, and `twoarg export` did not write it. Use another --out" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_bake_may_be_given_again(folder):
    for _ in range(2):
        run("bake", "model.keras", "--data", "blobs.npz", "--out", "baked.keras")
    assert sorted(path.name for path in folder.glob("*baked*")) == ["baked.json", "baked.keras"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6,), (8, 8, 1)])
def test_a_regression_of_ones_own_is_baked_by_the_change_of_its_outputs(folder, shape, rng):
    dense = [keras.layers.Flatten(), keras.layers.Dense(8), TwoArgActivation(), keras.layers.Dense(1)]
    keras.Sequential([keras.Input(shape), *dense]).save(folder / "numbers.keras")
    x, y = rng.uniform(size=(300, *shape)), rng.normal(size=(300, 1))
    np.savez(folder / "numbers.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    said = run("bake", "numbers.keras", "--data", "numbers.npz", "--out", "baked.keras")
    report = json.loads((folder / "baked.json").read_text())
    assert report["task"] == "regression" and report["relative"] <= 3e-3 and "Baked model: baked.keras" in said
    np.savez(folder / "numbers.npz", x_train=x, y_train=y * np.nan, x_test=x[:50], y_test=y[:50])
    said = run("bake", "numbers.keras", "--data", "numbers.npz", "--out", "baked.keras", status=2)
    assert "y_train: expected finite numbers. Received: 300 are not" in said


def test_a_model_that_cannot_be_written_leaves_no_report_and_no_other_one(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Sequential, "save", full)
    monkeypatch.setattr(keras.Model, "save", full)
    (folder / "before.json").write_text('{"places": [], "tolerance": 0.1}')
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for out in ("new.keras", "before.keras"):
        assert f"disk is full: {out}" in run("bake", "model.keras", "--data", "blobs.npz", "--out", out, status=2)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_each_version_of_an_export_has_its_own_record(folder):
    (folder / "served" / "partial-1").mkdir(parents=True)
    (folder / "served" / "partial-1" / "mine.txt").write_text("keep me")
    for version in (1, 2):
        run("export", "model.keras", "--out", f"served/{version}")
    assert (folder / "served" / "partial-1" / "mine.txt").read_text() == "keep me"
    assert {path.name for path in (folder / "served").iterdir()} == {
        "1", "2", "partial-1", "recorded-1.npz", "recorded-2.npz",
    }  # fmt: skip
    assert "already exists" in run("export", "model.keras", "--out", "served/1", status=2)


@pytest.mark.parametrize(
    ("out", "format_", "said"),
    [
        ("model.onnx", "litert", "The name of a file in the format 'litert' must end in .tflite. Received: model.onnx"),
        ("v [2]/1", "tf_saved_model", "Runtimes treat [ ] in a path as a pattern"),
    ],
)
def test_paths_that_runtimes_do_not_read_are_refused_and_leave_nothing(folder, out, format_, said):
    before = sorted(folder.rglob("*"))
    assert said in run("export", "model.keras", "--format", format_, "--out", out, status=2)
    assert sorted(folder.rglob("*")) == before


def test_an_export_that_is_there_is_told_before_a_model_is_loaded_and_baked(folder):
    (folder / "1").mkdir()
    (folder / "model.keras").write_bytes(b"not looked at")
    assert "already exists" in run("export", "model.keras", "--bake", "--out", "1", status=2)


def test_of_two_exports_to_one_path_the_first_keeps_its_record(folder, monkeypatch):
    pytest.importorskip("onnx")
    check, written = formats.check_target, []

    def another_is_faster(path, format_):
        check(path, format_)
        if not written:  # beside the first check, when nothing was there
            written.append(path)
            formats.export(keras.models.load_model("model.keras"), path, format=format_)

    monkeypatch.setattr(formats, "check_target", another_is_faster)
    assert "already exists" in run("export", "model.keras", "--format", "onnx", "--out", "m.onnx", status=2)
    assert (folder / "m.onnx").exists() and not (folder / "recorded-m.onnx.npz").exists()


def test_an_export_that_its_runtime_cannot_run_is_not_left(folder, monkeypatch):
    def no_such_operation(*_):
        raise RuntimeError("an operation is not supported by this interpreter")

    monkeypatch.setattr(formats, "compare", no_such_operation)
    assert "not supported" in run("export", "model.keras", "--out", "served/1", status=2)
    assert not any((folder / "served").iterdir())


def test_a_second_file_that_is_there_stays(folder):
    pytest.importorskip("openvino")
    (folder / "model.bin").write_bytes(b"mine")
    said = run("export", "model.keras", "--format", "openvino", "--out", "model.xml", status=2)
    assert "model.bin already exists" in said and (folder / "model.bin").read_bytes() == b"mine"


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
    assert "cut.keras is not a readable .keras file" in run("export", "cut.keras", "--out", "served/1", status=2)
    shutil.copy(folder / "model.keras", folder / "whole.keras")
    assert "agrees with" in run("export", "whole.keras", "--out", "served/1")


@pytest.mark.slow
def test_a_network_of_text_is_trained_shown_baked_exported_and_served(folder):
    (folder / "letters.txt").write_text("the quick brown fox jumps over the lazy dog. " * 300)
    sizes = ("--widths", "8", "--sequence-width", "8", "--context", "16", "--epochs", "1", "--epoch-samples", "320")
    network = ("--architecture", "transformer", "--frozen-epochs", "0", "--phi-init", "glorot", *sizes)
    said = run("train", "--data", "letters.txt", "--out", "run", *network)
    assert "bits" in said
    said = run("show", "run/joint.keras", "--data", "letters.txt", "--out", "phi.png")
    assert "Picture: phi.png" in said and (folder / "phi.png").stat().st_size > 10_000
    run("bake", "run/joint.keras", "--data", "letters.txt", "--out", "baked.keras")
    for version, model in enumerate(("run/joint.keras", "baked.keras"), start=1):
        assert "agrees with" in run("export", model, "--out", f"served/{version}")
    checked = run("serve-check", "served", "--out", "check")
    assert checked.count("agrees") >= 3 and "DIFFERS" not in checked


@pytest.mark.slow
def test_a_plan_of_text_prints_what_its_network_writes(folder):
    (folder / "letters.txt").write_text("the quick brown fox jumps over the lazy dog. " * 300)
    small = {"widths": [8], "sequence_width": 8, "context": 16, "epochs": 1, "epoch_samples": 320, "frozen_epochs": 0}
    settings = {"data": "letters.txt", "arms": ["gelu"], "seeds": 1, "architecture": "transformer", **small}
    (folder / "plan.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))
    said = run("reproduce", "plan.toml", "--out", "runs")
    assert "gelu-0 writes, before training:" in said and "gelu-0 writes, after training:" in said
    assert (folder / "runs" / "report.html").stat().st_size > 10_000


def test_what_has_several_inputs_is_exported_without_comparing(folder):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    hidden = TwoArgActivation()(keras.layers.Dense(4)(keras.layers.Concatenate()(inputs)))
    keras.Model(inputs, keras.layers.Dense(2)(hidden)).save(folder / "two.keras")
    (folder / "served").mkdir()
    np.savez(folder / "served" / "recorded-1.npz", inputs=np.ones((1, 4)), outputs=np.ones((1, 2)))  # of an earlier one
    said = run("export", "two.keras", "--out", "served/1")
    assert "Not compared" in said and "Export: served/1" in said
    assert (folder / "served" / "1" / "saved_model.pb").is_file()
    assert not (folder / "served" / "recorded-1.npz").exists()


@pytest.mark.parametrize("command", [("show",), ("bake", "--out", "baked.keras")])
def test_data_of_another_shape_are_named(folder, command):
    models.mlp((7, 7, 1), 3, widths=(8,), seed=0).save(folder / "small.keras")
    said = run(*command, "small.keras", "--data", "blobs.npz", status=2)
    assert "takes samples of shape (7, 7, 1), and those of blobs.npz have (8, 8, 1)" in said
    tokens = [keras.Input((8, 8, 1), dtype="int32"), keras.layers.Flatten(), keras.layers.Dense(4), TwoArgActivation()]
    keras.Sequential(tokens).save(folder / "integers.keras")
    said = run(*command, "integers.keras", "--data", "blobs.npz", status=2)
    assert "takes integers, and blobs.npz has images" in said


@pytest.fixture
def of_pixels(folder):
    """The same model, which scales pixels by itself."""
    network = keras.models.load_model(folder / "model.keras")
    entry = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 127.5, offset=-1)]
    keras.Sequential([*entry, *network.layers]).save(folder / "pixels.keras")


@pytest.mark.slow
def test_a_model_that_scales_pixels_is_baked_with_pixels(folder, of_pixels):
    run("bake", "model.keras", "--data", "blobs.npz", "--out", "baked.keras")
    run("bake", "pixels.keras", "--data", "blobs.npz", "--bounds", 0, 255, "--out", "baked-pixels.keras")
    plain, pixels = (json.loads((folder / f"{name}.json").read_text()) for name in ("baked", "baked-pixels"))
    (one,), (other,) = plain["places"], pixels["places"]
    assert other["deviation"] == pytest.approx(one["deviation"], rel=1e-3)
    assert pixels["accuracy_before"] == plain["accuracy_before"]


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("bake", "--out", "baked.keras"),
        ("export", "--format", "litert", "--int8", "--out", "model.tflite"),
        ("robustness", "--attacks", "none", "--corruptions", "gaussian_noise", "--out", "measured"),
        ("play", "--out", "page.html"),
    ],
    ids=lambda command: command[0],
)
def test_images_for_a_model_that_scales_them_itself_need_bounds(folder, of_pixels, command):
    before = sorted(folder.iterdir())
    said = run(*command, "pixels.keras", "--data", "blobs.npz", status=2)
    assert "scales images by itself" in said
    if command[0] != "play":
        assert "--bounds 0 255" in said
        said = run(*command, "pixels.keras", "--data", "blobs.npz", "--bounds", 1, 0, status=2)
        assert "the lower one first. Received: 1 0" in said
    assert sorted(folder.iterdir()) == before


def test_bounds_that_would_have_no_effect_are_refused(folder, of_pixels):
    said = run("export", "pixels.keras", "--pixels", "--out", "1", status=2)
    assert "scales images by itself" in said and "Leave out --pixels" in said
    for option in (("--bounds", 0, 255), ("--data-dir", "here"), ("--most-changed", 0)):
        for baked in ((), ("--bake",)):
            said = run("export", "model.keras", *option, *baked, "--out", "1", status=2)
            assert f"{option[0]} is for data. Leave it out, or add --int8, or --bake and --data" in said
    both = ("--pixels", "--bounds", 0, 255, "--int8", "--data", "blobs.npz", "--format", "litert")
    assert "Leave out --bounds or --pixels" in run("export", "model.keras", *both, "--out", "1", status=2)


def save_run(folder, data="blobs.npz", seed=7, fingerprint=None):
    """Save the model as the one of a run."""
    (folder / "run").mkdir(exist_ok=True)
    shutil.copy(folder / "model.keras", folder / "run" / "joint.keras")
    Record("two_arg", "joint", seed, data, "mlp", [8], 1, "LayerNorm", {}, {}).write(folder / "run" / "joint.json")
    if fingerprint:
        (folder / "run" / "run.json").write_text(json.dumps({"dataset_fingerprint": fingerprint}))


@pytest.mark.parametrize("given", [(), ("--seed", 3)])
def test_a_models_run_gives_the_data_and_the_split(folder, monkeypatch, given):
    save_run(folder, fingerprint=blobs().fingerprint)
    seen, split = [], datasets.split
    monkeypatch.setattr(
        datasets, "split", lambda data, seed, bounds: seen.append((data.name, seed)) or split(data, seed)
    )
    said = run("bake", "run/joint.keras", *given, "--tolerance", 0.5, "--most-changed", 1, "--out", "baked.keras")
    assert seen == [("blobs.npz", 3 if given else 7)] and "no record" not in said


def test_a_run_on_some_of_the_data_has_been_validated_on_some(folder):
    save_run(folder, data="blobs.npz, 50 training images")
    model = keras.models.load_model(folder / "model.keras")
    for name in (None, "blobs.npz", str(folder / "blobs.npz")):
        assert len(data_of(folder / "run" / "joint.keras", model, name).dataset.x_train) == 50
    save_npz(folder / "other.npz", blobs(seed=1))
    assert len(data_of(folder / "run" / "joint.keras", model, "other.npz").dataset.x_train) == 300


@pytest.mark.parametrize(
    "command",
    [
        ("show", "--out", "phi.png"),
        ("bake", "--out", "baked.keras"),
        ("export", "--format", "litert", "--int8", "--out", "model.tflite"),
    ],
    ids=lambda command: command[0],
)
def test_a_model_of_no_known_data_needs_them(folder, command):
    said = run(*command, "model.keras", status=2)
    assert "model.keras has no record of a run beside it. Name the data it was trained on with --data" in said
    save_run(folder, fingerprint="of other data")
    said = run(*command, "run/joint.keras", status=2)
    assert "was trained on data named blobs.npz with the fingerprint of other data" in said
    save_run(folder, data="gone.npz")
    said = run(*command, "run/joint.keras", status=2)
    assert "was trained on gone.npz. There is no file gone.npz" in said and "Name these data with --data" in said
    assert sorted(path.name for path in folder.iterdir()) == ["blobs.npz", "model.keras", "run"]


def test_a_split_that_may_not_be_the_models_is_told(folder):
    options = ("--data", "blobs.npz", "--tolerance", 0.5, "--most-changed", 1, "--out", "baked.keras")
    assert "it was trained on most of these validation samples" in run("bake", "model.keras", *options)
    assert "validation samples" not in run("bake", "model.keras", *options, "--seed", 0)


def test_tables_that_do_not_hold_say_how_to_allow_more(folder, monkeypatch):
    count = bake_module.count_changes
    monkeypatch.setattr(bake_module, "count_changes", lambda a, b, tasks: count(a, [y[:, ::-1] for y in b], tasks))
    options = ("--data", "blobs.npz", "--tolerance", 1, "--out", "baked.keras")
    said = run("bake", "model.keras", *options, "--most-changed", 0, status=2)
    assert "(--most-changed)" in said
    assert "Baked model" in run("bake", "model.keras", *options, "--most-changed", 1)


def test_an_export_without_data_agrees_with_the_baked_model(folder):
    said = run("export", "model.keras", "--bake", "--out", "1")
    assert "as behind a LayerNorm" in said and "agrees with the baked model" in said
    assert "--data is for --int8 and --bake" in run(
        "export", "model.keras", "--data", "blobs.npz", "--out", "2", status=2
    )


@pytest.mark.slow
def test_an_export_is_baked_with_the_data_that_are_given(folder):
    said = run("export", "model.keras", "--bake", "--data", "blobs.npz", "--seed", 0, "--out", "1")
    assert "of 60 predictions changed" in said and "agrees with the baked model" in said


@pytest.mark.slow
def test_int8_counts_the_changes_of_the_model_that_was_baked(folder, monkeypatch):
    """Not those of its tables, which may have changed predictions before."""
    spoilt = models.mlp((8, 8, 1), 3, widths=(8,), seed=5)
    monkeypatch.setattr(bake_module, "bake", lambda model, *_, **__: (spoilt, "baked"))
    int8 = ("--int8", "--format", "litert", "--bake", "--data", "blobs.npz", "--most-changed", 0.1)
    assert "Too many" in run("export", "model.keras", *int8, "--out", "served/model.tflite", status=1)


def test_tables_of_an_export_in_int8_may_change_no_more_than_those_of_bake(folder, monkeypatch):
    def bake(model, *_, most_changed, **__):
        allowed.append(most_changed)
        raise KeyboardInterrupt

    allowed: list[float] = []
    monkeypatch.setattr(bake_module, "bake", bake)
    int8 = ("--int8", "--format", "litert", "--bake", "--data", "blobs.npz")
    run("export", "model.keras", *int8, "--out", "model.tflite", status=1)
    run("export", "model.keras", *int8, "--most-changed", 0.5, "--out", "model.tflite", status=1)
    assert allowed == [bake_module.MOST_CHANGED, 0.5]


def test_what_openvino_computes_otherwise_is_told(folder, monkeypatch):
    monkeypatch.setattr(formats, "export", lambda *_, **__: None)
    said = []
    monkeypatch.setattr(export_command, "say", said.append)
    model = keras.models.load_model("model.keras")
    for one, format_ in ((model, "openvino"), (bake(model)[0], "onnx"), (bake(model)[0], "openvino")):
        assert not said
        export_command._write(one, Path("model"), format_)
    assert said[0].startswith("Beyond twice a table's extent OpenVINO returns the value at that border")


def test_an_export_that_is_stopped_before_its_record_is_there_is_not_left(folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    assert "Stopped." in run("export", "model.keras", "--out", "served/1", status=1)
    assert not any((folder / "served").iterdir())
