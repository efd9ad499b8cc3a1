"""The measurement of a network: what it writes, where it resumes, and the mCE."""

import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import cli, models
from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.robustness import corruptions
from keras_twoarg.experiments.robustness.measure import Robustness, evaluate
from keras_twoarg.experiments.training import datasets
from tests.helpers import blobs

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("scipy")


def test_the_mce_is_a_mean_of_ratios_of_sums():
    own, reference = {"fog": [0.1, 0.3], "snow": [0.2, 0.2]}, {"fog": [0.2, 0.6], "snow": [0.1, 0.1]}
    error = robustness.corruption_error(own, reference, 0.05, 0.1)
    assert error.by_corruption == {"fog": 0.5, "snow": 2.0}
    np.testing.assert_allclose(error.mce, 1.25)
    assert error.unusable == ("snow",)  # the reference's error does not rise under it
    assert np.isnan(error.relative_mce)  # a mean over the rest would be another measure
    np.testing.assert_allclose(error.relative_by_corruption["fog"], (0.4 - 0.1) / (0.8 - 0.2))
    # Mean accuracies 0.8 and 0.75, clean 0.95 and 0.9.
    np.testing.assert_allclose(error.relative_drop, 0.15 / 0.15)
    np.testing.assert_allclose(error.mean_accuracy, 0.8)
    same = robustness.corruption_error(reference, reference, 0.05, 0.05)
    assert same.mce == same.relative_mce == 1.0
    with pytest.raises(ValueError, match="same corruptions and severities"):
        robustness.corruption_error(own, {"fog": [0.1]}, 0, 0)


def test_a_reference_without_errors_under_a_corruption_gives_no_mce():
    error = robustness.corruption_error({"fog": [0.1], "snow": [0.1]}, {"fog": [0.0], "snow": [0.2]}, 0.0, 0.0)
    assert error.by_corruption["snow"] == 0.5 and np.isnan(error.by_corruption["fog"])
    assert np.isnan([error.mce, error.relative_mce]).all() and error.unusable == ("fog",)
    np.testing.assert_allclose(error.relative_drop, 1.0)


def test_a_mistake_in_eps_does_not_claim_the_folder(tmp_path):
    data = blobs()
    model = models.mlp(data.input_shape, data.classes, widths=(4,), seed=0)
    with pytest.raises(ValueError, match="`eps` is in pixels"):
        evaluate(model, data, tmp_path / "out", points=2, corruptions=(), attacks=("fgsm",), eps=8)
    assert not (tmp_path / "out").exists()
    evaluate(model, data, tmp_path / "out", points=2, corruptions=(), attacks=("fgsm",), eps=8 / 255)


def test_an_l2_ball_has_no_usual_size(tmp_path):
    data = blobs()
    model = models.mlp(data.input_shape, data.classes, widths=(4,), seed=0)
    with pytest.raises(ValueError, match="L2.* needs `eps`"):
        evaluate(model, data, tmp_path / "out", points=2, corruptions=(), attacks=("fgsm",), p_norm="L2")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_attacks_go_on_where_they_were_or_not_at_all(tmp_path):
    data = blobs()
    model = models.mlp(data.input_shape, data.classes, widths=(4,), seed=0)

    def attacked(*names):
        return evaluate(model, data, tmp_path, points=20, corruptions=(), attacks=names, eps=0.1)

    attacked("fgsm")
    kept, earlier, away = tmp_path / "adversarial.npz", tmp_path / "earlier.npz", tmp_path / "away.npz"
    with np.load(kept) as arrays:
        assert arrays["left"].mean() > arrays["robust"].mean()  # AutoAttack would attack what FGSM broke, too
        np.savez(earlier, images=arrays["images"], robust=arrays["robust"])  # a file of earlier versions
    kept.rename(away)
    for _ in range(2):
        with pytest.raises(ValueError, match="adversarial.npz cannot be read .* Move its folder away"):
            attacked("fgsm", "pgd")
        assert set(Robustness.read(tmp_path / "robustness.json").attacked) == {"clean", "fgsm"}
        if earlier.exists():
            earlier.rename(kept)
    away.rename(kept)
    record = attacked("fgsm", "pgd")
    assert list(record.attacked) == ["clean", "fgsm", "pgd"] and list(record.seconds) == ["fgsm", "pgd"]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--attacks", "none"], "nothing to measure"), (["--reference", "model.keras"], "--reference is for the mCE")],
)
def test_a_measurement_of_nothing_is_refused(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.keras").touch()
    command = ["robustness", "model.keras", "--data", "d.npz", "--out", "out", "--corruptions", "none", *words]
    done = CliRunner().invoke(cli.twoarg, command)
    assert done.exit_code == 2 and message in " ".join(done.output.split()), done.output


def test_without_matplotlib_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    model = models.mlp((28, 28, 1), classes=10, widths=(4,))
    model.save(tmp_path / "model.keras")
    command = ["robustness", str(tmp_path / "model.keras"), "--data", "digits.npz", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli.twoarg, [*command, "--corruptions", "none", "--attacks", "fgsm"])
    assert done.output == "Error: Drawing: matplotlib is not installed: pip install 'keras_twoarg[plot]'\n"
    assert done.exit_code == 2 and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_measures_reports_and_goes_on(tmp_path):
    data = blobs()
    path = tmp_path / "blobs.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **{name: getattr(data, name) for name in names})
    model = models.mlp(data.input_shape, data.classes, widths=(8,), seed=0)
    model.save(tmp_path / "model.keras")

    def run(*words):
        out = ["--data", str(path), "--points", "20", "--out", str(tmp_path / "out")]
        return CliRunner().invoke(cli.twoarg, ["robustness", str(tmp_path / "model.keras"), *out, *words])

    same = ["--reference", str(tmp_path / "model.keras"), "--eps", "0.1"]
    done = run(*same, "--attacks", "fgsm", "--corruptions", "brightness,contrast")
    assert done.exit_code == 0, done.output
    record = Robustness.read(tmp_path / "out" / "model" / "robustness.json")
    assert list(record.corrupted) == ["brightness", "contrast"] and len(record.corrupted["contrast"]) == 5
    page = (tmp_path / "out" / "model" / "report.html").read_text()
    assert "What the corruptions look like" in page and "100.0%" in page  # it is its own reference
    before = record.seconds["fgsm"]
    done = run(*same, "--attacks", "fgsm,pgd", "--corruptions", "brightness,contrast,pixelate")
    assert done.exit_code == 0, done.output
    record = Robustness.read(tmp_path / "out" / "model" / "robustness.json")
    assert record.seconds["fgsm"] == before and set(record.attacked) == {"clean", "fgsm", "pgd"}
    assert len(record.corrupted) == 3
    done = run("--eps", "0.2", "--attacks", "fgsm", "--corruptions", "none")
    assert done.exit_code == 2 and "another configuration: eps=0.1 there, 0.2 here" in done.output
    done = run("--attacks", "deepfool")
    assert done.exit_code == 2 and "Received: ['deepfool']" in done.output


def test_the_published_images_are_used_where_they_are_prepared(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    assert not corruptions.prepared(str(tmp_path))
    with pytest.raises(ValueError, match="has not been prepared for 'fog' at severity 2"):
        corruptions.published("fog", 2, 10, seed=0, data_dir=str(tmp_path))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "is_prepared", lambda self: True)
    asked = []
    original = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name, **kwargs: asked.append(name) or original(name, **kwargs))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 32, 32, 3)).astype("uint8")
    data = datasets.Dataset("cifar10, 5 training images", pixels, np.arange(30) % 10, pixels, np.arange(30) % 10, 10)
    model = models.mlp(data.input_shape, 10, widths=(4,), seed=0)
    with tfds.testing.mock_data(num_examples=12):
        record = evaluate(model, data, tmp_path / "out", points=10, corruptions=["glass_blur", "fog"], attacks=())
    assert record.settings["corrupted"] == "cifar10_corrupted" and record.settings["eps"] == 8 / 255
    assert {len(accuracies) for accuracies in record.corrupted.values()} == {5}
    assert {"cifar10_corrupted/frosted_glass_blur_3", "cifar10_corrupted/elastic_5"} <= set(asked)
