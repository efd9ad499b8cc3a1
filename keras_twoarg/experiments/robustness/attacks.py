"""Adversarial attacks on any Keras classifier: the original AutoAttack, and FGSM and PGD.

AutoAttack is the authors' code (`pyautoattack`) and runs on torch. The Keras model, on any backend, is wrapped in a
function that torch can differentiate.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_twoarg.experiments.robustness.pixel_classifier import PixelClassifier, check_images
from keras_twoarg.experiments.training.bounds import OURS, Bounds
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.optional import optional
from keras_twoarg.utils.progress import Progress, no_progress
from keras_twoarg.utils.types import Model

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor
    from torch.autograd.function import FunctionCtx
    from torch.nn import Module

AUTOATTACK = ("apgd-ce", "apgd-t", "fab-t", "square")
"""The parts of the standard AutoAttack, in its order."""
ATTACKS = ("fgsm", "pgd", *AUTOATTACK)
P_NORMS = ("Linf", "L2")
_PGD_STEPS = 40
_BATCH = 250
_SLACK = 1e-5
_NO_APGD_T = "apgd-t was not run: its loss needs four classes"
_ROUNDING = 1e-4
"""Largest margin, relative to the logits, that rounding may turn."""


@dataclass
class Attacked:
    """The result of attacks on a classifier.

    Attributes:
        eps: Largest perturbation, in pixels within [0, 1].
        p_norm: Its norm.
        robust: Whether each image is still classified correctly after all attacks so far.
        images: The adversarial images; unchanged where no attack succeeded.
        accuracy: Accuracy by name: `"clean"`, then after each attack. FGSM and PGD are separate attacks; each part of
            AutoAttack attacks what the previous parts left. With fewer than four classes apgd-t is not defined: it
            leaves the accuracy as it is, with a warning.
        seconds: Time of each attack.
        warnings: Reasons to doubt the numbers.
        left: Whether each image is still classified correctly after the parts of AutoAttack so far, whatever FGSM and
            PGD did.
    """

    eps: float
    p_norm: str
    robust: np.ndarray
    images: np.ndarray
    accuracy: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    left: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.robust.copy()


def attack(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    eps: float,
    attacks: Sequence[str] = AUTOATTACK,
    *,
    p_norm: str = "Linf",
    bounds: Bounds = OURS,
    seed: int = 0,
    before: Attacked | None = None,
    on_attack: Callable[[Attacked], None] = lambda so_far: None,
    progress: Progress = no_progress,
) -> Attacked:
    """Attack a classifier in pixel space and in inference mode.

    Args:
        model: A Keras classifier of images. A softmax at its end is removed.
        x: Images, uint8 or within [0, 1].
        y: Labels: integers, `(N,)` or `(N, 1)`, or one-hot.
        eps: Largest perturbation, in pixels within [0, 1]: `8 / 255`, not `8`.
        attacks: Among `ATTACKS`. Defaults to the standard AutoAttack.
        p_norm: `"Linf"` or `"L2"`. Defaults to `"Linf"`.
        bounds: The model's inputs for pixels of 0 and 1. Defaults to `(-1, 1)`, as `datasets.scale` returns.
        seed: Seed of the attacks. Defaults to `0`.
        before: The result of an earlier call; its attacks are not run again. Defaults to `None`.
        on_attack: Called with the result after each attack.
        progress: Called with the attack, the images done, the total and a note.

    Returns:
        An `Attacked`. Its accuracies are counted on the final images, whose perturbation and range were checked.

    Raises:
        ValueError: If the images, the labels, eps or the model are not suitable.
        ImportError: If torch or pyautoattack is not installed.

    References:
        - [Croce, Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    check_settings(attacks, p_norm, eps, np.shape(x))
    classifier = PixelClassifier(model, bounds)
    x, y = check_images(x, y, classifier)
    attacked = _unattacked(classifier, x, y, eps, p_norm) if before is None else before
    target = _Target(classifier, x, y, attacked, seed, progress)
    for name in attacks:
        if name in attacked.accuracy:
            continue
        start = time.perf_counter()
        target.attack(name)
        attacked.seconds[name] = time.perf_counter() - start
        target.prove()
        on_attack(attacked)
    return attacked


def check_settings(attacks: Sequence[str], p_norm: str, eps: float, shape: tuple[int, ...]) -> None:
    """Raise a ValueError for settings with which images of a shape, batch first, cannot be attacked."""
    if unknown := [name for name in attacks if name not in ATTACKS]:
        raise ValueError(f"Attacks are {ATTACKS}. Received: {unknown}")
    one_of("p_norm", p_norm, P_NORMS)
    largest = 1.0 if p_norm == "Linf" else float(np.sqrt(np.prod(shape[1:])))
    if not 0 < eps <= largest:
        meant = "in pixels within [0, 1]" if p_norm == "Linf" else "an L2 norm of pixels within [0, 1]"
        example = ", such as 8/255 = 0.0314 for 8 grey levels" if p_norm == "Linf" else " for images of this size"
        raise ValueError(f"`eps` is {meant}, above 0 and at most {largest:.4g}{example}. Received: eps={eps}")


def _unattacked(classifier: PixelClassifier, x: np.ndarray, y: np.ndarray, eps: float, p_norm: str) -> Attacked:
    """Return the state before any attack."""
    right = classifier.correct(x, y)
    attacked = Attacked(eps, p_norm, right, x.copy(), {"clean": float(right.mean())})
    attacked.warnings += _doubts(classifier, x, y)
    return attacked


def _doubts(classifier: PixelClassifier, x: np.ndarray, y: np.ndarray) -> list[str]:
    """Return warnings about the classifier: vanished gradients, few classes."""
    doubts = []
    some = slice(0, min(len(x), 500))
    gradients = classifier.pulled_back(x[some], _cross_entropy_weights(classifier.logits(x[some]), y[some]))
    share = float((gradients.reshape(len(gradients), -1) == 0).all(-1).mean())
    if share > 0.01:
        doubts.append(f"the gradient of the cross-entropy is exactly zero for {share:.0%} of the images")
    if classifier.classes < 10:
        doubts.append(
            f"{classifier.classes} classes: targeted attacks have {classifier.classes - 1} targets instead of 9"
        )
    return doubts


@dataclass(frozen=True)
class _Target:
    """A classifier under attack: the images and labels, and the results so far, which each attack changes."""

    classifier: PixelClassifier
    x: np.ndarray
    y: np.ndarray
    attacked: Attacked
    seed: int
    progress: Progress

    def attack(self, name: str) -> None:
        """Run one attack, and count the accuracy after it."""
        attacked = self.attacked
        if name in ("fgsm", "pgd"):
            attacked.accuracy[name] = float(self._by_gradients(name, 1 if name == "fgsm" else _PGD_STEPS).mean())
            return
        if name == "apgd-t" and self.classifier.classes < 4:
            if _NO_APGD_T not in attacked.warnings:  # as in records of earlier versions
                attacked.warnings.append(_NO_APGD_T)
        else:
            self._by_autoattack(name)
        attacked.accuracy[name] = float(attacked.left.mean())

    def _by_gradients(self, name: str, steps: int) -> np.ndarray:
        """Run FGSM (one step of eps) or PGD on the margin of logits; return which images resist it."""
        classifier, attacked, rng = self.classifier, self.attacked, np.random.default_rng(self.seed)
        robust = classifier.correct(self.x, self.y)
        step = attacked.eps if steps == 1 else 2.5 * attacked.eps / steps
        for start in range(0, len(self.x), _BATCH):
            chosen = np.arange(start, min(start + _BATCH, len(self.x)))
            origin, labels = self.x[chosen], self.y[chosen]
            moved = origin if steps == 1 else _inside(origin + _random_step(origin, attacked, rng), origin, attacked)
            for i in range(steps):
                logits = classifier.logits(moved)
                weights = _cross_entropy_weights(logits, labels) if steps == 1 else _margin_weights(logits, labels)
                gradient = classifier.pulled_back(moved, weights)
                moved = _inside(moved + step * _direction(gradient, attacked.p_norm), origin, attacked)
                broken = ~classifier.correct(moved, labels)  # any step counts, not only the last
                fresh = chosen[broken & attacked.robust[chosen]]
                attacked.images[fresh], attacked.robust[fresh] = moved[np.isin(chosen, fresh)], False
                robust[chosen[broken]] = False
                self.progress(name, start * steps + (i + 1) * len(chosen), len(self.x) * steps, "")
        return robust

    def _by_autoattack(self, name: str) -> None:
        """Run one part of AutoAttack on the images that its earlier parts left."""
        torch, attacked, runner = _torch(), self.attacked, self._runner(name)
        left = np.flatnonzero(attacked.left)
        for start in range(0, len(left), _BATCH):
            chosen = left[start : start + _BATCH]
            self.progress(name, start, len(left), f"{attacked.left.mean():.1%} robust")
            inputs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.x[chosen], -1, 1)))
            labels = self.y[chosen]
            with _one_thread(torch):
                moved, _ = runner.run_standard_evaluation(inputs, torch.from_numpy(labels), batch_size=_BATCH)
            images = np.ascontiguousarray(np.moveaxis(moved.numpy(), 1, -1))
            broken = ~self.classifier.correct(images, labels)
            attacked.images[chosen[broken]] = images[broken]
            attacked.left[chosen[broken]] = attacked.robust[chosen[broken]] = False
        self.progress(name, len(left), len(left), f"{attacked.left.mean():.1%} robust")
        white_box = [attacked.accuracy[n] for n in AUTOATTACK[:3] if n in attacked.accuracy]
        if name == "square" and white_box and min(white_box) - attacked.left.mean() > 0.002:
            gained = 100 * (min(white_box) - attacked.left.mean())
            attacked.warnings.append(
                f"Square, which uses no gradients, reduced accuracy by another {gained:.1f} points: gradients may be "
                "masked"
            )

    def _runner(self, name: str) -> Any:
        """Return the authors' AutoAttack, set to one of its parts."""
        package, attacked = optional("pyautoattack", "AutoAttack", "robust"), self.attacked
        network = _as_torch(self.classifier)
        runner = package.AutoAttack(network, norm=attacked.p_norm, eps=attacked.eps, seed=self.seed, device="cpu")
        runner.verbose = False
        targets = min(9, self.classifier.classes - 1)
        runner.apgd_targeted.n_target_classes = runner.fab.n_target_classes = targets
        runner.attacks_to_run = [name]
        return runner

    def prove(self) -> None:
        """Raise unless every image is within the ball and the range, and recounting gives the same up to rounding."""
        eps, images = self.attacked.eps, self.attacked.images
        far = float(_length(images - self.x, self.attacked.p_norm).max(initial=0.0))
        if far > eps * (1 + _SLACK) + _SLACK or images.min() < 0 or images.max() > 1:
            raise RuntimeError(f"An attack exceeded its limits: perturbation {far:.6f} of {eps:.6f}. This is a bug")
        changed = np.flatnonzero(self.classifier.correct(images, self.y) != self.attacked.robust)
        logits = self.classifier.logits(images[changed])
        margins = np.abs((logits * _margin_weights(logits, self.y[changed])).sum(-1))
        # In batches of another size the same logits are rounded otherwise, which decides where two are almost equal.
        if not (margins <= _ROUNDING * np.maximum(1, np.abs(logits).max(-1, initial=0))).all():
            raise RuntimeError("The model gives different answers for the same images, so it cannot be attacked")


def _cross_entropy_weights(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient of the cross-entropy with respect to the logits."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    weights = shifted / shifted.sum(-1, keepdims=True)
    weights[np.arange(len(labels)), labels] -= 1
    return weights.astype("float32")


def _margin_weights(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient of the margin, best wrong logit minus right one, which does not saturate."""
    rows, wrong = np.arange(len(labels)), logits.copy()
    wrong[rows, labels] = -np.inf
    weights = np.zeros_like(logits)
    weights[rows, wrong.argmax(-1)] = 1
    weights[rows, labels] = -1
    return weights


def _direction(gradient: np.ndarray, p_norm: str) -> np.ndarray:
    if p_norm == "Linf":
        return np.sign(gradient)
    length = np.sqrt((gradient**2).sum((1, 2, 3), keepdims=True))
    return gradient / np.maximum(length, 1e-12)


def _random_step(origin: np.ndarray, attacked: Attacked, rng: np.random.Generator) -> np.ndarray:
    if attacked.p_norm == "Linf":
        return rng.uniform(-attacked.eps, attacked.eps, origin.shape).astype("float32")
    return attacked.eps * _direction(rng.normal(size=origin.shape), "L2").astype("float32")


def _inside(moved: np.ndarray, origin: np.ndarray, attacked: Attacked) -> np.ndarray:
    """Project images onto the ball around the origin and the range of pixels."""
    offset = moved - origin
    if attacked.p_norm == "Linf":
        offset = np.clip(offset, -attacked.eps, attacked.eps)
    else:
        offset = offset * np.minimum(1, attacked.eps / np.maximum(_length(offset, "L2")[:, None, None, None], 1e-12))
    return np.clip(origin + offset, 0, 1).astype("float32")


def _length(offset: np.ndarray, p_norm: str) -> np.ndarray:
    flat = np.abs(offset.reshape(len(offset), -1))
    return np.asarray(flat.max(-1) if p_norm == "Linf" else np.sqrt((flat**2).sum(-1)))


def _as_torch(classifier: PixelClassifier) -> "Module":
    """Return the classifier as a torch module of images with channels first."""
    torch = _torch()

    class Bridge(torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(context: "FunctionCtx", images: "TorchTensor") -> "TorchTensor":
            context.pixels = np.ascontiguousarray(np.moveaxis(images.detach().numpy(), 1, -1).astype("float32"))
            return torch.from_numpy(classifier.logits(context.pixels))

        @staticmethod
        def backward(context: "FunctionCtx", gradient: "TorchTensor") -> "TorchTensor":
            pulled = classifier.pulled_back(context.pixels, gradient.numpy())
            return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pulled, -1, 1)))

    class Network(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, images: "TorchTensor") -> "TorchTensor":
            return Bridge.apply(images)

    return Network().eval()


@contextmanager
def _one_thread(torch: ModuleType) -> Iterator[None]:
    """Limit torch to one thread for its small part of the work; the model runs on Keras' backend."""
    before = torch.get_num_threads()
    if keras.backend.backend() != "torch":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch() -> ModuleType:
    return optional("torch", "AutoAttack", "robust")
