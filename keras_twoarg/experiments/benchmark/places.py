"""The cost of `evaluation="auto"` in other models than the paper's, for `twoarg bench`.

Times a training step and `predict` of one batch: exact, interpolated, `"auto"`, and the same model with a fixed
activation. The models have many places, small places or a loop, where a table costs most and saves least.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras
import numpy as np

from keras_twoarg import models
from keras_twoarg.experiments.timing import Times, by_task, timed
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, set_evaluation
from keras_twoarg.layers.two_arg_rnn_cell import TwoArgRNNCell
from keras_twoarg.models.convert import convert
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import Model

FIXED = "fixed"
"""The same model with its usual activation."""
VARIANTS = (FIXED, "exact", "interpolated", "auto")
COMPILED = ", compiled"
"""Suffix of variants whose whole model TensorFlow compiles (`jit_compile=True`); JAX always does."""


class Workload(NamedTuple):
    """The data of one step.

    Attributes:
        input_shape: Shape of one sample.
        classes: Number of classes or tokens.
        batch: Batch size.
        tokens: Whether inputs and targets are tokens.
        whole: Whether the model is also timed compiled as a whole; many convolutions take minutes to compile.
    """

    input_shape: tuple[int, ...]
    classes: int
    batch: int
    tokens: bool = False
    whole: bool = True

    def data(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return random inputs and targets."""
        rng = np.random.default_rng(seed)
        shape = (self.batch, *self.input_shape)
        if self.tokens:
            return rng.integers(0, self.classes, shape), rng.integers(0, self.classes, shape)
        return rng.normal(size=shape).astype("float32"), rng.integers(0, self.classes, self.batch)


class Subclassed(keras.Model):
    """A perceptron that calls its six layers in a loop."""

    def __init__(self, inner: InnerNetwork | None, classes: int) -> None:
        super().__init__()
        self.dense = [keras.layers.Dense(64 if inner is None else 128) for _ in range(6)]
        self.activations = [
            keras.layers.Activation("relu") if inner is None else TwoArgActivation(inner) for _ in self.dense
        ]
        self.logits = keras.layers.Dense(classes)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return logits."""
        for dense, activation in zip(self.dense, self.activations, strict=True):
            x = activation(dense(x))
        return self.logits(x)


def _transformer(workload: Workload, fixed: bool) -> Model:
    return models.transformer(workload.input_shape, workload.classes, "gelu" if fixed else "two_arg", seed=0)


def _subclassed(workload: Workload, fixed: bool) -> Model:
    model = Subclassed(None if fixed else InnerNetwork(), workload.classes)
    model(np.zeros((1, *workload.input_shape), "float32"))
    return model


def _recurrent(workload: Workload, fixed: bool) -> Model:
    cell = keras.layers.SimpleRNNCell(64) if fixed else TwoArgRNNCell(64, InnerNetwork())
    layers = [keras.Input(workload.input_shape), keras.layers.RNN(cell), keras.layers.Dense(workload.classes)]
    return keras.Sequential(layers)


def _mobilenet(workload: Workload, fixed: bool) -> Model:
    model = keras.applications.MobileNetV3Small(
        workload.input_shape,
        weights=None,
        classes=workload.classes,
        classifier_activation=None,
        include_preprocessing=False,
    )
    return model if fixed else convert(model)[0]


MODELS: dict[str, tuple[Callable[[Workload, bool], Model], Workload]] = {
    "transformer": (_transformer, Workload((64,), 80, 32, tokens=True)),
    "subclassed": (_subclassed, Workload((784,), 10, 128)),
    "recurrent": (_recurrent, Workload((50, 16), 10, 64)),
    "mobilenet": (_mobilenet, Workload((64, 64, 3), 10, 32, whole=False)),
}
"""The character Transformer, a subclassed perceptron with six places, a cell over 50 steps and a converted
MobileNetV3Small, each with its data."""


def variants_of(name: str) -> tuple[str, ...]:
    """Return the variants of one of `MODELS` on this backend."""
    whole = MODELS[name][1].whole and keras.backend.backend() == "tensorflow"
    return (*VARIANTS, *(f"{variant}{COMPILED}" for variant in (FIXED, "auto") if whole))


def build(name: str, variant: str) -> Model:
    """Return one of `MODELS` as one of its variants, compiled."""
    make, workload = MODELS[name]
    keras.utils.set_random_seed(0)
    evaluation = variant.removesuffix(COMPILED)
    model = make(workload, evaluation == FIXED)
    if evaluation != FIXED:
        set_evaluation(model, evaluation)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile="auto" if evaluation == variant else True)
    return model


def places(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, dict[str, Times]]:
    """Time a training step and `predict` of a model of `MODELS`, for each of its variants."""
    x, y = MODELS[name][1].data(seed)
    tasks, variants = {}, variants_of(name)
    total = len(variants) + rounds + 1
    for done, variant in enumerate(variants):
        progress(f"places: {name}", done, total, variant)
        model = build(name, variant)
        tasks[variant, "training_step"] = partial(model.train_on_batch, x, y)
        tasks[variant, "predict"] = partial(model.predict_on_batch, x)
    times = timed(tasks, rounds, lambda done: progress(f"places: {name}", len(variants) + done, total, ""))
    return {variant: by_task(times, variant) for variant in variants}
