"""The 15 common corruptions of CIFAR-10-C, for small images.

Names, order and severities are those of the published CIFAR-10-C (Hendrycks and Dietterich, 2019), which are milder
than those of ImageNet-C. As there, results are truncated to whole grey levels, and photographs of frost are reduced to
every fifth pixel without smoothing. Random numbers are drawn anew, so images match the published ones only in
distribution. If TensorFlow Datasets has prepared the published images, `published` reads them.
"""

import io
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from keras_twoarg.utils.optional import optional

if TYPE_CHECKING:
    import tensorflow_datasets as tfds
    from PIL.Image import Image

Images = np.ndarray
Generator = np.random.Generator

SEVERITIES: dict[str, tuple[float | tuple[float, ...], ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": (1.06, 1.11, 1.16, 1.21, 1.26),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": (80, 65, 58, 50, 40),
}
"""The constants of each corruption at severities 1 to 5."""

NAMES = tuple(SEVERITIES)
LARGEST = 32
_OTHER_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


def corrupt(images: Images, name: str, severity: int, seed: int = 0) -> Images:
    """Return corrupted copies of images.

    Args:
        images: uint8, `(N, size, size, 3)` or `(N, size, size, 1)`, of about 28 to 32 pixels and no more: the strength
            of blurs is in pixels, and fog is made for 32.
        name: One of `NAMES`.
        severity: 1 to 5.
        seed: Seed of the random numbers. Defaults to `0`.

    Returns:
        uint8, of the same shape.

    Examples:
        >>> grey = np.full((2, 28, 28, 1), 100, "uint8")
        >>> int(robustness.corrupt(grey, "brightness", severity=3)[0, 0, 0, 0])
        138

    Raises:
        ValueError: If the images, the name or the severity are not as above.
        ImportError: If SciPy or Pillow is not installed or, for `"frost"`, the package with its photographs.

    References:
        - [Hendrycks, Dietterich, 2019](https://arxiv.org/abs/1903.12261)
    """
    if name not in SEVERITIES or severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"Corruptions are {NAMES} at severity 1 to 5. Received: {name!r}, severity={severity!r}")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"Corruptions take uint8 images (N, size, size, 1 or 3). Received: {images.dtype} of shape {images.shape}"
        )
    check_size(images.shape[1:])
    constants = SEVERITIES[name][severity - 1]
    rng = np.random.default_rng((seed, NAMES.index(name), severity))
    changed = _FUNCTIONS[name](images / 255.0, constants, rng)
    return np.clip(255 * changed, 0, 255).astype(np.uint8)  # truncated like the published images


def check_size(shape: Sequence[int]) -> None:
    """Raise a ValueError unless images of a shape `(height, width, channels)` can be corrupted."""
    if shape[0] != shape[1] or shape[0] > LARGEST:
        raise ValueError(
            f"Corruptions take square images of at most {LARGEST}x{LARGEST} pixels. Received: {shape[0]}x{shape[1]}. "
            f"Crop or scale the images, or measure attacks alone: corruptions=()"
        )


def _gaussian_noise(x: Images, c: float, rng: Generator) -> Images:
    return x + rng.normal(scale=c, size=x.shape)


def _shot_noise(x: Images, c: float, rng: Generator) -> Images:
    return rng.poisson(x * c) / c


def _impulse_noise(x: Images, c: float, rng: Generator) -> Images:
    drawn = rng.uniform(size=x.shape)
    return np.where(drawn < c / 2, 0.0, np.where(drawn < c, 1.0, x))


def _defocus_blur(x: Images, c: tuple[float, float], rng: Generator) -> Images:
    radius, alias = c
    steps = np.arange(-8, 9)
    disk = (steps[:, None] ** 2 + steps[None, :] ** 2 <= radius**2).astype(float)
    bell = np.exp(-(np.arange(-1, 2) ** 2) / (2 * alias**2))
    kernel = _ndimage().convolve(disk / disk.sum(), np.outer(bell, bell) / bell.sum() ** 2, mode="constant")
    return _ndimage().convolve(x, kernel[None, :, :, None], mode="mirror")


def _glass_blur(x: Images, c: tuple[float, int, int], rng: Generator) -> Images:
    sigma, reach, rounds = c
    x = np.floor(255 * _blurred(x, sigma)) / 255
    every = np.arange(len(x))
    for _ in range(rounds):
        for row in range(x.shape[1] - reach, reach, -1):
            for column in range(x.shape[2] - reach, reach, -1):
                # The published "swap" of two pixels copies one onto the other; offsets are -1 or 0.
                down, right = rng.integers(-reach, reach, size=(2, len(x)))
                x[:, row, column] = x[every, row + down, column + right]
    return _blurred(x, sigma)


def _motion_blur(x: Images, c: tuple[float, float], rng: Generator) -> Images:
    return np.stack([_moved(image, *c, rng.uniform(-45, 45)) for image in x])


def _moved(image: Images, radius: float, sigma: float, angle: float) -> Images:
    """Blur along a line, one-sided, as ImageMagick does: whole pixels, edges repeated, 16 bits."""
    taps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    right = np.ceil(taps * np.cos(np.radians(angle)) - 0.5).astype(int)
    down = np.ceil(taps * np.sin(np.radians(angle)) - 0.5).astype(int)
    rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])
    total = np.zeros_like(image)
    for weight, dy, dx in zip(weights, down, right, strict=True):
        total += weight * image[np.clip(rows + dy, 0, len(rows) - 1)][:, np.clip(columns + dx, 0, len(columns) - 1)]
    return np.floor(np.round(total * 65535) / 257) / 255


def _zoom_blur(x: Images, c: float, rng: Generator) -> Images:
    factors = np.arange(1, c, 0.01)
    return np.stack([(image + sum(_zoomed(image, f) for f in factors)) / (len(factors) + 1) for image in x])


def _zoomed(image: Images, factor: float) -> Images:
    size = image.shape[0]
    part = int(np.ceil(size / factor))
    top = (size - part) // 2
    zoomed = _ndimage().zoom(image[top : top + part, top : top + part], (factor, factor, 1), order=1)
    trim = (zoomed.shape[0] - size) // 2
    return zoomed[trim : trim + size, trim : trim + size]


def _snow(x: Images, c: tuple[float, ...], rng: Generator) -> Images:
    mean, deviation, zoom, threshold, radius, sigma, mix = c
    corrupted = []
    for image in x:
        flakes = _zoomed(rng.normal(mean, deviation, size=(*image.shape[:2], 1)), zoom)
        flakes[flakes < threshold] = 0
        flakes = np.floor(255 * np.clip(flakes, 0, 1)) / 255
        flakes = _moved(flakes, radius, sigma, rng.uniform(-135, -45))
        grey = image @ [[0.299], [0.587], [0.114]] if image.shape[-1] == 3 else image
        image = mix * image + (1 - mix) * np.maximum(image, 1.5 * grey + 0.5)
        corrupted.append(image + flakes + np.rot90(flakes, 2))
    return np.stack(corrupted)


def _frost(x: Images, c: tuple[float, float], rng: Generator) -> Images:
    pictures = _frost_pictures(grey=x.shape[-1] == 1)
    corrupted = []
    for image in x:
        picture = pictures[rng.integers(len(pictures))]
        top, left = (rng.integers(0, picture.shape[i] - image.shape[i]) for i in (0, 1))
        crop = picture[top : top + image.shape[0], left : left + image.shape[1]]
        corrupted.append(c[0] * image + c[1] * crop)
    return np.stack(corrupted)


def _frost_pictures(grey: bool) -> list[Images]:
    from importlib import util
    from pathlib import Path

    package = util.find_spec("imagecorruptions")
    if package is None or package.origin is None:
        raise ImportError("The photographs of frost come with another package: pip install imagecorruptions-imaug")
    image = _pillow()
    pictures = []
    for file in sorted(Path(package.origin).parent.rglob("frost[1-5].*")):  # the published code never draws the 6th
        picture = np.asarray(image.open(file).convert("L" if grey else "RGB"))
        picture = picture[2::5, 2::5]  # what cv2.resize makes of it at a fifth, linear: it does not smooth
        pictures.append(picture.reshape(*picture.shape[:2], -1) / 255.0)
    if not pictures:
        raise ImportError(
            "The package imagecorruptions has no photographs of frost: pip install imagecorruptions-imaug"
        )
    return pictures


def _fog(x: Images, c: tuple[float, float], rng: Generator) -> Images:
    amount, decay = c
    corrupted = []
    for image in x:
        fog = _plasma(decay, rng)[: image.shape[0], : image.shape[1], None]
        corrupted.append((image + amount * fog) * image.max() / (image.max() + amount))
    return np.stack(corrupted)


def _plasma(decay: float, rng: Generator) -> Images:
    """Return a plasma fractal within [0, 1], by the diamond-square algorithm on a torus."""
    field, step, wibble = np.zeros((32, 32)), 32, 100.0

    def drawn(total: Images) -> Images:
        return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

    while step > 1:
        half = step // 2
        corners = field[::step, ::step]
        total = corners + np.roll(corners, -1, 0)
        field[half::step, half::step] = drawn(total + np.roll(total, -1, 1))
        middles = field[half::step, half::step]
        sides = corners + np.roll(corners, -1, 1) + middles + np.roll(middles, 1, 0)
        ends = corners + np.roll(corners, -1, 0) + middles + np.roll(middles, 1, 1)
        field[::step, half::step], field[half::step, ::step] = drawn(sides), drawn(ends)
        step, wibble = half, wibble / decay
    field -= field.min()
    return field / field.max()


def _brightness(x: Images, c: float, rng: Generator) -> Images:
    value = x.max(-1, keepdims=True)  # of hue, saturation, value: the colour keeps the first two
    raised = np.clip(value + c, 0, 1)
    return np.where(value > 0, x * raised / np.maximum(value, 1e-9), raised)


def _contrast(x: Images, c: float, rng: Generator) -> Images:
    mean = x.mean((1, 2), keepdims=True)
    return (x - mean) * c + mean


def _elastic_transform(x: Images, c: tuple[float, float, float], rng: Generator) -> Images:
    alpha, sigma, affine = (32 * value for value in c)
    return np.stack([_stretched(image, alpha, sigma, affine, rng) for image in x])


def _stretched(image: Images, alpha: float, sigma: float, affine: float, rng: Generator) -> Images:
    ndimage, shape = _ndimage(), np.array(image.shape[:2])
    centre, third = shape // 2, shape.min() // 3
    before = np.array([centre + third, [centre[0] + third, centre[1] - third], centre - third], float)  # as (x, y)
    after = before + rng.uniform(-affine, affine, before.shape)
    # Rows of `back` take (x, y, 1) of the result to x and y of the image.
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before).T
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    from_x, from_y = (row[0] * x + row[1] * y + row[2] for row in back)
    moved = [
        ndimage.map_coordinates(plane, [from_y, from_x], order=1, mode="mirror") for plane in np.moveaxis(image, -1, 0)
    ]
    dx, dy = (
        alpha * ndimage.gaussian_filter(rng.uniform(-1, 1, tuple(shape)), sigma, mode="reflect", truncate=3)
        for _ in range(2)
    )
    bent = [ndimage.map_coordinates(plane, [y + dy, x + dx], order=1, mode="reflect") for plane in moved]
    return np.stack(bent, -1)


def _pixelate(x: Images, c: float, rng: Generator) -> Images:
    image = _pillow()

    def coarse(picture: "Image") -> "Image":
        small = picture.resize((int(picture.width * c), int(picture.height * c)), image.BOX)
        return small.resize(picture.size, image.BOX)

    return _through_pillow(x, coarse)


def _jpeg_compression(x: Images, c: int, rng: Generator) -> Images:
    image = _pillow()

    def compressed(picture: "Image") -> "Image":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=c)
        return image.open(file)

    return _through_pillow(x, compressed)


def _through_pillow(x: Images, change: "Callable[[Image], Image]") -> Images:
    image = _pillow()
    pixels = np.round(255 * x).astype(np.uint8)
    pictures = [image.fromarray(p[..., 0] if p.shape[-1] == 1 else p) for p in pixels]
    return np.stack([np.asarray(change(p)) for p in pictures]).reshape(x.shape) / 255.0


def _blurred(x: Images, sigma: float) -> Images:
    return np.clip(_ndimage().gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest", truncate=4), 0, 1)


def _ndimage() -> ModuleType:
    return optional("scipy.ndimage", "Corruptions", "robust")


def _pillow() -> ModuleType:
    return optional("PIL.Image", "Corruptions", "robust")


_FUNCTIONS: dict[str, Callable[..., Images]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}


def prepared(data_dir: str | None) -> bool:
    """Return whether TensorFlow Datasets has prepared all 15 corruptions at all severities."""
    return all(_builder(name, severity, data_dir) is not None for name in NAMES for severity in range(1, 6))


def published(
    name: str, severity: int, number: int, seed: int, data_dir: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return published corrupted test images as uint8 and their labels, drawn at random from the 10,000."""
    builder = _builder(name, severity, data_dir)
    if builder is None:
        raise ValueError(f"cifar10_corrupted has not been prepared for {name!r} at severity {severity}")
    batches = list(builder.as_dataset(split="test", batch_size=1000).as_numpy_iterator())
    images, labels = (np.concatenate([batch[key] for batch in batches]) for key in ("image", "label"))
    chosen = np.random.default_rng(seed).permutation(len(images))[:number]
    return images[chosen], labels[chosen]


def _builder(name: str, severity: int, data_dir: str | None) -> "tfds.core.DatasetBuilder | None":
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return None
    config = f"{_OTHER_NAMES.get(name, name)}_{severity}"
    builder = tfds.builder(f"cifar10_corrupted/{config}", data_dir=data_dir)
    return builder if builder.is_prepared() else None
