"""Corruptions against their statistics and the published code."""

from importlib import util

import keras
import numpy as np
import pytest

from keras_twoarg.experiments import robustness
from keras_twoarg.experiments.robustness import corruptions

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)
pytest.importorskip("scipy")


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
