"""The cost of one place for each pair."""

from functools import partial

import keras
import numpy as np
from keras import ops

from keras_twoarg import models
from keras_twoarg.experiments.benchmark.networks import FIXED, PHI, Plain, evaluation, inner_layers
from keras_twoarg.experiments.timing import Task, by_task, timed
from keras_twoarg.export.bake import bake
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject, Layer, Shape, Tensor

PAIRS = 2_000_000


def per_pair(pairs: int, rounds: int, progress: Progress, seed: int = 0) -> dict[str, JsonObject]:
    """Time `predict` and `training_step` of one place on many pairs, and of a model without it (`"nothing"`).

    One-argument units read one value for each pair.
    """
    rows, columns = 64, pairs // 64
    x = np.random.default_rng(seed).normal(size=(rows, 2 * columns)).astype("float32")
    tasks: dict[tuple[str, str], Task] = {}
    variants = ("nothing", *FIXED, *PHI)
    for variant in variants:
        features = columns if variant in ("nothing", "relu", "gelu", "prelu") else 2 * columns
        layers = [keras.Input((features,)), _Scale(), *_unit(variant), _Mean()]
        model = keras.Sequential(layers) if variant != "baked" else bake(keras.Sequential(layers))[0]
        model.compile("sgd", "mse")
        tasks[variant, "predict"] = partial(model.predict_on_batch, x[:, :features])
        if variant != "baked":
            tasks[variant, "training_step"] = partial(model.train_on_batch, x[:, :features], x[:, :1])
    times = timed(tasks, rounds, lambda done: progress("pairs", done, rounds + 1, ""))
    return {variant: by_task(times, variant) for variant in variants}


def _unit(variant: str) -> list[Layer]:
    if variant == "nothing":
        return []
    if variant in ("swiglu", "maxout"):
        return [models.PairActivation(variant)]
    if variant in FIXED:
        return [keras.layers.PReLU() if variant == "prelu" else keras.layers.Activation(variant)]
    if variant == "plain":
        return [Plain(inner_layers())]
    return [TwoArgActivation(evaluation="exact" if variant == "baked" else evaluation(variant))]


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class _Scale(keras.layers.Layer):
    """A trained factor before the place, so that gradients to the pre-activations are computed."""

    def build(self, _: Shape) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Tensor) -> Tensor:
        return x * self.scale


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class _Mean(keras.layers.Layer):
    """One output for each sample."""

    def call(self, x: Tensor) -> Tensor:
        return ops.mean(x, axis=-1, keepdims=True)
