"""The measurement of one model's robustness, which resumes after the last corruption or attack."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.experiments.robustness.attacks import ATTACKS, AUTOATTACK, Attacked, attack, check_settings
from keras_twoarg.experiments.robustness.corruption_error import CorruptionError, corruption_error
from keras_twoarg.experiments.robustness.corruptions import NAMES, check_size, corrupt, prepared, published
from keras_twoarg.experiments.robustness.pixel_classifier import PixelClassifier, check_images
from keras_twoarg.experiments.training.bounds import OURS, Bounds
from keras_twoarg.experiments.training.datasets import Dataset, require_images, to_pixels
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.utils import files, versions
from keras_twoarg.utils.progress import Progress, no_progress
from keras_twoarg.utils.types import JsonObject, Model

EPS = {"mnist": 0.3, "mnist5k": 0.3, "fashion_mnist": 0.1, "cifar10": 8 / 255}
"""Usual L-inf perturbations by data set; those of MNIST and CIFAR-10 are the paper's."""
REFERENCE = "reference"
"""The folder of a reference's measurement, next to that of the model that is compared with it."""
_WHAT = "record of robustness"


@dataclass
class Robustness:
    """The robustness of one model.

    Attributes:
        settings: What was measured: model, data, number of points, eps, norm, bounds, seed.
        clean: Accuracy on the unchanged points.
        corrupted: Accuracy under each corruption, at severities 1 to 5.
        attacked: Accuracy after each attack; see `Attacked.accuracy`.
        seconds: Time of each attack.
        warnings: Reasons to doubt the numbers.
    """

    settings: JsonObject
    clean: float | None = None
    corrupted: dict[str, list[float]] = field(default_factory=dict)
    attacked: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def against(self, reference: "Robustness") -> CorruptionError:
        """Return mCE and relative mCE relative to another model, on the corruptions that both have."""
        shared = [name for name in self.corrupted if name in reference.corrupted]
        own, theirs = ({n: [1 - a for a in r.corrupted[n]] for n in shared} for r in (self, reference))
        return corruption_error(own, theirs, 1 - (self.clean or 0.0), 1 - (reference.clean or 0.0))

    @classmethod
    def read(cls, file: Path) -> "Robustness":
        """Read what `evaluate` has written."""
        return files.read_as(cls, file, _WHAT, _in_todays_words)

    @classmethod
    def parse(cls, data: object, where: str, remedy: str = files.ANEW) -> "Robustness":
        """Return the robustness from JSON, or raise a ValueError that names its location and a remedy."""
        return files.parse_as(cls, data, where, _WHAT, _in_todays_words, remedy)


def evaluate(
    model: Model,
    dataset: Dataset,
    out: str | os.PathLike[str],
    progress: Progress = no_progress,
    *,
    points: int = 1000,
    eps: float | None = None,
    p_norm: str = "Linf",
    corruptions: Sequence[str] = NAMES,
    attacks: Sequence[str] = AUTOATTACK,
    bounds: Bounds = OURS,
    seed: int = 0,
    data_dir: str | None = None,
) -> Robustness:
    """Measure a classifier on test images, and write `robustness.json` after each corruption and attack.

    Args:
        model: A Keras classifier.
        dataset: The data, of which only test images are used.
        out: Folder for the results. Results in it are not measured again.
        progress: Called with the stage, the steps done, the total and a note.
        points: Number of test images, drawn with the seed; the same ones for every model. Defaults to `1000`.
        eps: Largest perturbation in pixels within [0, 1]; required for `"L2"`. Defaults to `EPS` for the data.
        p_norm: As in `attack`.
        corruptions: Among `corruptions.NAMES`; empty for none. Defaults to all 15.
        attacks: Among `attacks.ATTACKS`; empty for none. Defaults to the standard AutoAttack.
        bounds: As in `attack`.
        seed: Seed of the points, the corruptions and the attacks. Defaults to `0`.
        data_dir: Folder of prepared TensorFlow Datasets. If it has all of `cifar10_corrupted`, its images are used for
            `"cifar10"`; others are corrupted here. Defaults to theirs.

    Returns:
        A `Robustness`.

    Raises:
        ValueError: If a name, eps or the data are not suitable, or the folder holds another model's results.
        ImportError: If a package is missing.
    """
    _check_arguments(corruptions, attacks, points)
    if eps is None and p_norm == "L2":
        raise ValueError('p_norm="L2" needs `eps`, such as 0.5: the usual ones are of L-inf, and next to nothing in L2')
    require_images(dataset, "Robustness")
    check_possible(dataset, corruptions, attacks, data_dir)
    name = Path(dataset.name.split(",")[0]).stem  # a subset's name is longer
    eps = EPS.get(name, 8 / 255) if eps is None else eps
    pixels, labels = draw_points(dataset, points, seed)
    classifier = PixelClassifier(model, bounds)
    _check_model(model, classifier, dataset)
    check_images(pixels, labels, classifier)
    if attacks:
        check_settings(attacks, p_norm, eps, pixels.shape)  # before the folder, which would keep a mistake
    out = Path(out)
    settings = {
        "model": _fingerprint(model), "data": name, "fingerprint": dataset.fingerprint, "points": len(labels),
        "eps": eps, "p_norm": p_norm, "bounds": list(bounds), "seed": seed,
    }  # fmt: skip
    corrupted_images = partial(_corrupted, pixels, labels, seed)
    if _has_published(dataset, data_dir):
        settings["corrupted"] = "cifar10_corrupted"
        corrupted_images = partial(published, number=points, seed=seed, data_dir=data_dir)
    with result_folder(out, settings, "settings.json", translate=_settings_in_todays_words):
        file = out / "robustness.json"
        record = Robustness.read(file) if file.exists() else Robustness({**settings, "commit": versions.commit()})
        record.clean = float(classifier.correct(pixels / np.float32(255), labels).mean())
        _corruptions(classifier, corrupted_images, record, corruptions, file, progress)
        _attacks(model, pixels, labels, record, attacks, file, progress)
        files.write_json(file, vars(record))
    return record


def _check_arguments(corruptions: Sequence[str], attacks: Sequence[str], points: int) -> None:
    if unknown := [n for n in corruptions if n not in NAMES] + [n for n in attacks if n not in ATTACKS]:
        raise ValueError(f"Corruptions are {NAMES}, attacks are {ATTACKS}. Received: {unknown}")
    if points < 1:
        raise ValueError(f"`points` must be at least 1. Received: points={points}")


def check_possible(dataset: Dataset, corruptions: Sequence[str], attacks: Sequence[str], data_dir: str | None) -> None:
    """Raise an ImportError if a required package is missing, or a ValueError if the images cannot be corrupted."""
    if corruptions:
        check_size(dataset.input_shape)
    needed = ["torch", "pyautoattack"] if set(attacks) & set(AUTOATTACK) else []
    if corruptions and not _has_published(dataset, data_dir):
        needed += ["scipy", "PIL", *(["imagecorruptions"] if "frost" in corruptions else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ImportError(f"Robustness: not installed: {', '.join(missing)}: pip install 'keras_twoarg[robust]'")


def _has_published(dataset: Dataset, data_dir: str | None) -> bool:
    """Return whether the published corrupted images are available."""
    return dataset.name.split(",")[0] == "cifar10" and prepared(data_dir)


class UnusableModel(ArithmeticError):
    """A model whose robustness would be meaningless."""


def _check_model(model: Model, classifier: PixelClassifier, dataset: Dataset) -> None:
    if classifier.classes != dataset.classes:
        raise ValueError(
            f"Expected a model with one output for each of the {dataset.classes} classes of {dataset.name!r}. "
            f"Received: {classifier.classes} outputs"
        )
    if not all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in model.weights):
        raise UnusableModel(f"The model {model.name!r} diverged: its weights are not finite. Nothing was measured")


def draw_points(dataset: Dataset, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return test images as uint8 and their labels, drawn with a seed."""
    chosen = np.random.default_rng(seed).permutation(len(dataset.x_test))[:number]
    return to_pixels(dataset.x_test[chosen]), dataset.y_test[chosen].reshape(-1)


def _fingerprint(model: Model) -> str:
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def _corrupted(
    pixels: np.ndarray, labels: np.ndarray, seed: int, name: str, severity: int
) -> tuple[np.ndarray, np.ndarray]:
    return corrupt(pixels, name, severity, seed), labels


def _corruptions(
    classifier: PixelClassifier,
    corrupted_images: Callable[[str, int], tuple[np.ndarray, np.ndarray]],
    record: Robustness,
    names: Sequence[str],
    file: Path,
    progress: Progress,
) -> None:
    for done, name in enumerate(names):
        progress("corruptions", done, len(names), name)
        if name not in record.corrupted:
            changed = (corrupted_images(name, severity) for severity in range(1, 6))
            record.corrupted[name] = [float(classifier.correct(x / np.float32(255), y).mean()) for x, y in changed]
            files.write_json(file, vars(record))
    if names:
        progress("corruptions", len(names), len(names), "")


def _attacks(
    model: Model,
    pixels: np.ndarray,
    labels: np.ndarray,
    record: Robustness,
    names: Sequence[str],
    file: Path,
    progress: Progress,
) -> None:
    if not [name for name in names if name not in record.attacked]:
        return
    settings, adversarial = record.settings, file.with_name("adversarial.npz")

    def keep(so_far: Attacked) -> None:
        files.write_whole(
            adversarial,
            lambda opened: np.savez_compressed(opened, images=so_far.images, robust=so_far.robust, left=so_far.left),
        )
        record.attacked, record.seconds, record.warnings = so_far.accuracy, so_far.seconds, so_far.warnings
        files.write_json(file, vars(record))

    before = None
    if record.attacked:
        try:
            with np.load(adversarial) as arrays:
                before = Attacked(settings["eps"], settings["p_norm"], arrays["robust"], arrays["images"])
                # Without FGSM and PGD the two are the same, and files of earlier versions hold only one.
                before.left = arrays["left" if {"fgsm", "pgd"} & set(record.attacked) else "robust"]
        except files.UNREADABLE as error:
            raise ValueError(f"{adversarial} cannot be read ({error}). Move its folder away to measure anew") from error
        before.accuracy, before.seconds, before.warnings = record.attacked, record.seconds, record.warnings
    attack(
        model, pixels, labels, settings["eps"], names, p_norm=settings["p_norm"], bounds=tuple(settings["bounds"]),
        seed=settings["seed"], before=before, on_attack=keep, progress=progress,
    )  # fmt: skip


def _in_todays_words(data: JsonObject) -> JsonObject:
    """Return a record's entries, renamed if version 0.1.0 wrote them."""
    if not isinstance(settings := data.get("settings"), dict):
        return data
    return {**data, "settings": _settings_in_todays_words(settings)}


def _settings_in_todays_words(settings: JsonObject) -> JsonObject:
    return {"p_norm" if key == "norm" else key: value for key, value in settings.items()}
