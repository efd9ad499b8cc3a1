"""Attacks against closed forms, and corruptions against their statistics."""

import runpy
from importlib import util

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import cli, models, set_evaluation
from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.reports.robustness_tables import read_robustness, robustness_table
from keras_twoarg.experiments.robustness import corruptions
from keras_twoarg.experiments.robustness.measure import Robustness, evaluate
from keras_twoarg.experiments.training import datasets
from keras_twoarg.utils import files
from tests.helpers import blobs, record

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("scipy")
from tests.helpers import ROOT

SHAPE = (4, 4, 1)


def linear(classes=10, softmax=False):
    """A linear classifier of pixels, and its weights and bias for them."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(classes)])
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(16, classes)), 0.1 * rng.normal(size=classes)
    model.set_weights([kernel, bias])
    if softmax:
        model.add(keras.layers.Softmax())
    return model, kernel, bias


def points(model, number=120):
    """Images far from black and white, with the model's own answers as labels."""
    x = np.random.default_rng(1).uniform(0.35, 0.65, (number, *SHAPE)).astype("float32")
    return x, keras.ops.convert_to_numpy(model(x)).argmax(-1)


def margin(x, y, kernel, bias, p_norm):
    """The distance from each image to the nearest plane behind which another class is."""
    logits = x.reshape(len(x), -1) @ kernel + bias
    differences = kernel[:, y].T[:, :, None] - kernel[None]
    lengths = np.abs(differences).sum(1) if p_norm == "Linf" else np.sqrt((differences**2).sum(1))
    gaps = logits[np.arange(len(x)), y][:, None] - logits
    lengths[np.arange(len(x)), y] = 1
    gaps[np.arange(len(x)), y] = np.inf
    return (gaps / lengths).min(-1)


@pytest.mark.parametrize("p_norm", ["Linf", "L2"])
@pytest.mark.parametrize("softmax", [False, True])
def test_a_linear_model_is_as_robust_as_its_planes_are_far(p_norm, softmax):
    pytest.importorskip("pyautoattack")
    model, kernel, bias = linear(softmax=softmax)
    x, y = points(model)
    far = margin(x, y, kernel, bias, p_norm)
    eps = float(np.median(far))
    clear = np.abs(far / eps - 1) > 0.02
    names = ("apgd-ce", "apgd-t", "fab-t") if p_norm == "L2" or softmax else robustness.AUTOATTACK
    attacked = robustness.attack(model, x, y, eps, names, p_norm=p_norm, bounds=(0, 1))
    np.testing.assert_array_equal(attacked.robust[clear], (far > eps)[clear])
    assert 0.1 < attacked.robust.mean() < 0.9 and attacked.accuracy["clean"] == 1.0
    steps = [attacked.accuracy[name] for name in names]
    assert steps == sorted(steps, reverse=True)


def test_fgsm_on_two_classes_is_exact_and_pgd_no_weaker_on_many():
    model, kernel, bias = linear(classes=2)
    x, y = points(model)
    far = margin(x, y, kernel, bias, "Linf")
    eps = float(np.median(far))
    attacked = robustness.attack(model, x, y, eps, ("fgsm",), bounds=(0, 1))
    clear = np.abs(far / eps - 1) > 0.02
    np.testing.assert_array_equal(attacked.robust[clear], (far > eps)[clear])
    assert "2 classes" in attacked.warnings[0]
    model, kernel, bias = linear()
    x, y = points(model)
    eps = float(np.median(margin(x, y, kernel, bias, "Linf")))
    attacked = robustness.attack(model, x, y, eps, ("fgsm", "pgd"), bounds=(0, 1))
    assert attacked.accuracy["pgd"] <= attacked.accuracy["fgsm"] < 1


def test_bounds_measure_the_perturbation_in_pixels():
    pytest.importorskip("pyautoattack")
    model, kernel, bias = linear()
    scaled, *_ = linear()
    scaled.set_weights([kernel / 2, bias + kernel.sum(0) / 2])  # takes images within [-1, 1]
    x, y = points(model)
    eps = float(np.median(margin(x, y, kernel, bias, "Linf")))
    first = robustness.attack(model, x, y, eps, ("apgd-ce",), bounds=(0, 1))
    second = robustness.attack(scaled, x, y, eps, ("apgd-ce",), bounds=(-1, 1))
    np.testing.assert_array_equal(first.robust, second.robust)
    assert 0 < first.robust.mean() < 1


def test_a_dropout_network_is_attacked_in_inference_mode_and_goes_on_where_it_was():
    pytest.importorskip("pyautoattack")
    model = models.mlp(SHAPE, 10, widths=(8,), dropout=0.5, seed=0)
    x, _ = points(linear()[0])
    y = keras.ops.convert_to_numpy(model(2 * x - 1)).argmax(-1)
    whole = robustness.attack(model, x, y, 0.05, ("apgd-ce", "apgd-t"))
    half = robustness.attack(model, x, y[:, None].astype("uint8"), 0.05, ("apgd-ce",))
    seen = []
    resumed = robustness.attack(
        model,
        x,
        np.eye(10)[y],
        0.05,
        ("apgd-ce", "apgd-t"),
        before=half,
        on_attack=lambda a: seen.append(list(a.accuracy)),
    )
    assert resumed.accuracy == whole.accuracy and seen == [["clean", "apgd-ce", "apgd-t"]]
    np.testing.assert_array_equal(resumed.images, whole.images)
    assert np.abs(whole.images - x).max() <= 0.05 + 1e-6 and not whole.robust.all()


def test_a_table_of_phi_hides_no_gradient():
    pytest.importorskip("pyautoattack")
    model = models.mlp(SHAPE, 10, widths=(16,), seed=0)
    x, _ = points(linear()[0])
    y = keras.ops.convert_to_numpy(model(2 * x - 1)).argmax(-1)
    exact = robustness.attack(model, x, y, 0.02, ("apgd-ce", "apgd-t"))
    set_evaluation(model, "interpolated")
    table = robustness.attack(model, x, y, 0.02, ("apgd-ce", "apgd-t"))
    assert abs(exact.accuracy["apgd-t"] - table.accuracy["apgd-t"]) <= 0.03
    assert not table.warnings and 0 < table.accuracy["apgd-t"] < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 8}, "give 8/255"),
        ({"x": np.full((3, *SHAPE), 3.0)}, r"within \[0, 1\].*3 to 3"),
        ({"x": np.zeros((3, 5, 5, 1))}, r"Expected images \(N, 4, 4, 1\)"),
        ({"y": np.array([0, 1, 10])}, "from 0 to 9"),
        ({"y": np.array([0, 1])}, "Expected 3 integer labels"),
        ({"y": np.array([0, 1, 0.5])}, "must be integers"),
        ({"attacks": ("deepfool",)}, "Attacks are"),
        ({"p_norm": "L1"}, "`p_norm` must be one of"),
        ({"bounds": (1, 0)}, "the lower one first"),
        (
            {"model": keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])},
            "classifier's",
        ),
    ],
)
def test_mistakes_are_told(changes, message):
    arguments = {"model": linear()[0], "x": np.full((3, *SHAPE), 0.5), "y": np.zeros(3, int), "eps": 0.1, **changes}
    with pytest.raises(ValueError, match=message):
        robustness.attack(**arguments)


def test_probabilities_whose_softmax_cannot_be_found_are_refused():
    class Hidden(keras.layers.Layer):
        def call(self, x):
            return keras.ops.softmax(x)

    model, *_ = linear()
    model.add(Hidden())
    with pytest.raises(ValueError, match="probabilities.*build the model without its softmax"):
        robustness.attack(model, np.full((3, *SHAPE), 0.5), np.zeros(3, int), 0.1)


def images(channels, number=24, size=32):
    """Smooth pictures with edges and colours."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    waves = rng.uniform(1, 8, (number, 2, channels))
    bands = np.sin(x[None, ..., None] * waves[:, None, None, 0] * 3 + y[None, ..., None] * waves[:, None, None, 1] * 3)
    bands = 0.5 + 0.35 * bands
    bands[:, 8:20, 10:14] = rng.uniform(0.1, 0.9, (number, 1, 1, channels))
    return np.round(255 * bands).astype("uint8")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", corruptions.NAMES)
def test_corruptions_are_seeded_and_keep_shape_and_type(name, channels):
    if name == "frost" and util.find_spec("imagecorruptions") is None:  # its photographs alone are used
        pytest.skip("without imagecorruptions-imaug")
    clean = images(channels, 6, 28 if channels == 1 else 32)
    before = clean.copy()
    corrupted = robustness.corrupt(clean, name, 3, seed=1)
    assert corrupted.shape == clean.shape and corrupted.dtype == np.uint8
    np.testing.assert_array_equal(clean, before)
    np.testing.assert_array_equal(corrupted, robustness.corrupt(clean, name, 3, seed=1))
    change = np.abs(corrupted.astype(int) - clean).mean()
    assert 0.3 < change < 90
    if name not in ("zoom_blur", "defocus_blur", "brightness", "contrast", "pixelate", "jpeg_compression"):
        assert (corrupted != robustness.corrupt(clean, name, 3, seed=2)).any()


def test_noise_has_the_published_strength():
    flat = np.full((200, 32, 32, 3), 128, "uint8")
    x = 128 / 255
    for severity in (1, 3, 5):
        c = corruptions.SEVERITIES["gaussian_noise"][severity - 1]
        corrupted = robustness.corrupt(flat, "gaussian_noise", severity) / 255
        np.testing.assert_allclose(corrupted.std(), c, rtol=0.02)
        np.testing.assert_allclose(corrupted.mean(), x - 0.5 / 255, atol=3e-4)  # truncation takes half a grey level
        c = corruptions.SEVERITIES["shot_noise"][severity - 1]
        np.testing.assert_allclose(
            robustness.corrupt(flat, "shot_noise", severity).std() / 255, (x / c) ** 0.5, rtol=0.02
        )
        c = corruptions.SEVERITIES["impulse_noise"][severity - 1]
        corrupted = robustness.corrupt(flat, "impulse_noise", severity)
        np.testing.assert_allclose([(corrupted == 255).mean(), (corrupted == 0).mean()], c / 2, rtol=0.05)


def test_brightness_and_contrast_are_exact():
    clean = images(3)
    x = clean / 255
    raised = np.clip(x.max(-1, keepdims=True) + 0.15, 0, 1) / x.max(-1, keepdims=True)
    np.testing.assert_allclose(
        robustness.corrupt(clean, "brightness", 3), np.floor(255 * np.minimum(x * raised, 1)), atol=1
    )
    flat = x.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(
        robustness.corrupt(clean, "contrast", 4), np.floor(255 * ((x - flat) * 0.3 + flat)), atol=1
    )


CHANGE = {
    "gaussian_noise": (8.13, 12.21, 16.24, 18.19, 20.14),
    "shot_noise": (6.21, 8.82, 13.84, 15.85, 19.29),
    "impulse_noise": (1.26, 2.55, 3.74, 6.46, 8.84),
    "defocus_blur": (1.38, 3.49, 5.35, 6.69, 10.46),
    "glass_blur": (21.43, 21.54, 21.69, 39.64, 39.23),
    "motion_blur": (13.03, 19.69, 26.90, 25.97, 30.74),
    "zoom_blur": (19.78, 20.00, 23.88, 27.38, 31.29),
    "snow": (11.29, 25.02, 26.85, 38.81, 55.83),
    "frost": (30.95, 45.08, 49.77, 46.67, 42.39),
    "fog": (11.95, 23.48, 29.96, 35.01, 41.54),
    "brightness": (8.43, 17.53, 26.56, 32.87, 40.73),
    "contrast": (14.15, 28.30, 33.96, 39.63, 48.12),
    "elastic_transform": (42.77, 35.75, 34.27, 30.62, 23.33),
    "pixelate": (3.17, 5.53, 7.31, 11.22, 13.43),
    "jpeg_compression": (12.28, 14.40, 15.18, 16.47, 18.05),
}
"""Mean absolute change in grey levels of `images(3)` at severities 1 to 5, mean of three seeds."""
SPREAD = {"impulse_noise": 0.1, "motion_blur": 0.15, "snow": 0.1, "frost": 0.2, "fog": 0.05, "elastic_transform": 0.15}
"""What another seed may change of it, relatively; else 2 %."""


@pytest.mark.parametrize("name", corruptions.NAMES)
def test_the_strength_of_each_corruption_at_each_severity(name):
    if name == "frost" and util.find_spec("imagecorruptions") is None:  # its photographs alone are used
        pytest.skip("without imagecorruptions-imaug")
    clean = images(3)
    distances = [np.abs(robustness.corrupt(clean, name, s, seed=7).astype(int) - clean).mean() for s in range(1, 6)]
    np.testing.assert_allclose(distances, CHANGE[name], rtol=SPREAD.get(name, 0.02))


def published_resize(picture):
    """cv2.resize(picture, (0, 0), fx=0.2, fy=0.2), as in the published code: linear between pixels, not smoothed."""
    for axis in (0, 1):
        size = picture.shape[axis]
        at = (np.arange(round(0.2 * size)) + 0.5) / 0.2 - 0.5
        low = np.floor(at + 1e-9).astype(int)
        share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, size - 1)
        picture = (1 - share) * np.take(picture, low, axis) + share * np.take(picture, high, axis)
    return picture


@pytest.mark.parametrize("height", [200, 201, 202, 203, 204])  # the size is rounded
def test_frost_is_made_smaller_as_the_published_code_does(height, tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    frost = np.random.default_rng(0).integers(0, 256, (height, 230 - height % 5, 3)).astype("uint8")
    (tmp_path / "imagecorruptions" / "frost").mkdir(parents=True)
    (tmp_path / "imagecorruptions" / "__init__.py").touch()
    image.fromarray(frost).save(tmp_path / "imagecorruptions" / "frost" / "frost1.png")
    monkeypatch.syspath_prepend(tmp_path)
    (small,) = corruptions._frost_pictures(grey=False)
    np.testing.assert_allclose(255 * small, published_resize(frost.astype(float)), atol=1e-3)
    assert corruptions._frost_pictures(grey=True)[0].shape == (*small.shape[:2], 1)


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur", "pixelate", "contrast"])
def test_blurs_take_detail_away_more_at_the_highest_severity(name):
    clean = images(3)

    def detail(pixels):
        return np.abs(np.diff(pixels.astype(float), axis=2)).mean()

    mild, strong = (detail(robustness.corrupt(clean, name, severity)) for severity in (1, 5))
    assert strong < mild <= detail(clean) * 1.01


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


@pytest.mark.parametrize(
    ("pixels", "name", "severity"),
    [
        (np.zeros((1, 8, 8, 3)), "fog", 1),
        (images(3, 1), "rain", 1),
        (images(3, 1), "fog", 6),
        (images(3, 1)[0], "fog", 1),
        (images(3, 1, 64), "fog", 1),
        (images(3, 1)[:, :28], "snow", 1),
    ],
)
def test_what_cannot_be_corrupted_is_told(pixels, name, severity):
    with pytest.raises(ValueError, match="Received"):
        robustness.corrupt(pixels, name, severity)


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
    done = run("--eps", "8", "--attacks", "fgsm", "--corruptions", "none")
    assert done.exit_code == 2 and "another configuration: eps=0.1 there, 8.0 here" in done.output
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


def test_arms_are_compared_over_seeds(tmp_path):
    for arm, lift in (("two_arg", 0.1), ("relu", 0.0)):
        for seed in (0, 1, 2):
            folder = tmp_path / f"{arm}-{seed}"
            (folder / "joint-robustness").mkdir(parents=True)
            record(arm, seed=seed).write(folder / "joint.json")
            settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": 0.1}
            corrupted = dict.fromkeys(robustness.NAMES, [0.5 + lift + seed / 100] * 5)
            attacked = Robustness(settings, 0.9, corrupted, dict.fromkeys(robustness.AUTOATTACK, 0.2 + lift))
            if (arm, seed) == ("two_arg", 2):  # killed halfway: it must not count as if it were done
                corrupted.pop("fog"), attacked.attacked.pop("square")
            files.write_json(folder / "joint-robustness" / "robustness.json", vars(attacked))
    table = robustness_table(read_robustness([tmp_path]))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["relu"]["robust"] == "20.0% ± 0.0" and rows["relu"]["two_arg minus it"].startswith("+10.0")
    assert rows["two_arg joint"]["robust"].endswith(", 2 of 3") and rows["two_arg joint"]["mCE"].endswith(", 2 of 3")
    assert rows["relu"]["mCE"].startswith("100.0%") and rows["two_arg joint"]["mCE"].startswith("79.8%")
    assert rows["relu"]["two_arg minus it, corrupted"].startswith("+10.0")


def test_the_penalty_on_curvature_is_that_of_a_product_and_of_a_plane():
    script = runpy.run_path(str(ROOT / "results" / "smooth_phi.py"))
    axis = np.linspace(-5, 5, 21)
    for phi, curvature in ((lambda x: x[:, :1] * x[:, 1:], 2 / np.mean(axis**2) ** 2), (lambda x: x[:, :1], 0.0)):
        layer = script["CurvaturePenalty"](phi, 0.5)
        layer(np.zeros((1, 2), "float32"))
        np.testing.assert_allclose(float(layer.losses[0]), 0.5 * curvature, rtol=1e-4, atol=1e-6)


def test_networks_that_were_attacked_in_two_ways_are_compared_within_each(tmp_path):
    for arm, lift in (("two_arg", 0.1), ("relu", 0.0)):
        for seed in (0, 1):
            folder = tmp_path / f"{arm}-{seed}"
            folder.mkdir()
            record(arm, seed=seed).write(folder / "joint.json")
            for eps, robust in ((0.1, 0.2), (0.01, 0.7)):
                settings = {"data": "digits", "points": 10, "p_norm": "Linf", "eps": eps}
                attacked = dict.fromkeys(robustness.AUTOATTACK, robust + lift)
                measured = vars(Robustness(settings, 0.9, {}, attacked))
                (folder / f"eps-{eps}").mkdir()
                files.write_json(folder / f"eps-{eps}" / "robustness.json", measured)
    table = robustness_table(read_robustness([tmp_path]))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert len(rows) == 4 and rows["relu, Linf 0.1, 10 images"]["robust"] == "20.0% ± 0.0"
    for label in ("Linf 0.1", "Linf 0.01"):
        assert rows[f"relu, {label}, 10 images"]["two_arg minus it"].startswith("+10.0")
