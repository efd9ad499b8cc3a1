"""The paper's networks with each way to fill their units: times of a training step and `predict`, and peak memory."""

import resource
from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
from keras import ops

from keras_twoarg import models
from keras_twoarg.experiments.timing import Task, by_task, timed
from keras_twoarg.export.bake import bake
from keras_twoarg.layers.sharing import clone_model
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, set_evaluation
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.ops.pairing import to_tuples
from keras_twoarg.utils import subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject, Layer, Model, Tensor

NETWORKS: dict[str, tuple[Callable[..., Model], tuple[int, int, int], int]] = {
    "mlp28": (models.mlp, (28, 28, 1), 200),
    "mlp32": (models.mlp, (32, 32, 3), 200),
    "cnn28": (models.cnn, (28, 28, 1), 128),
    "cnn32": (models.cnn, (32, 32, 3), 128),
    "cnn32-half": (partial(models.cnn, widths=(30, 60, 60, 60)), (32, 32, 3), 64),
}
"""The paper's networks, and one of half width: their function, the shape of the images, and the batch size."""
FIXED = ("relu", "gelu", "prelu", "swiglu", "maxout")
RESOLUTIONS = {"interpolated_41": 41, "interpolated_81": 81}
"""Tables with a given number of nodes along each argument; `"interpolated"` uses phi's own number."""
KERAS_NORM = "relu_keras_norm"
"""ReLU after Keras' LayerNormalization instead of `models.JointLayerNormalization`; only for convolutions."""
VARIANTS = (*FIXED, KERAS_NORM, "interpolated", *RESOLUTIONS, "baked", "exact", "plain")
_SLOW = ("exact", "plain")  # many times slower than the others: fewer steps suffice


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class Plain(keras.layers.Layer):
    """The straightforward implementation: reshape, then three Dense layers shared by all places."""

    def __init__(self, dense: Sequence[Layer], pool_size: tuple[int, int] | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.dense, self.pool_size = dense, pool_size

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the Dense layers to all pairs."""
        hidden = to_tuples(inputs, 2, "adjacent")
        for dense in self.dense:
            hidden = dense(hidden)
        outputs = ops.squeeze(hidden, -1)
        return outputs if self.pool_size is None else ops.max_pool(outputs, self.pool_size, self.pool_size)


def build(network: str, variant: str, seed: int = 0) -> Model:
    """Return one of the paper's networks with one kind of unit; all have the same number of parameters."""
    make, shape, _ = NETWORKS[network]
    two_arg = make(shape, 10, seed=seed)
    if variant in FIXED:
        return make(shape, 10, variant, widths=models.matched_widths(variant, two_arg), seed=seed)
    if variant == KERAS_NORM:
        return clone_model(build(network, "relu", seed), clone_function=_with_keras_norm)
    if variant == "baked":
        return bake(two_arg)[0]
    if variant == "plain":
        layers = inner_layers()
        return clone_model(two_arg, clone_function=lambda layer: _plainly(layer, layers))
    set_evaluation(two_arg, evaluation(variant))
    return two_arg


def evaluation(variant: str) -> str | Interpolation:
    """Return the `evaluation` argument of `TwoArgActivation` for a variant."""
    return Interpolation(resolution=RESOLUTIONS[variant]) if variant in RESOLUTIONS else variant


def _with_keras_norm(layer: Layer) -> Layer:
    if isinstance(layer, models.JointLayerNormalization):
        axes = list(range(1, len(layer.input.shape)))
        return keras.layers.LayerNormalization(axis=axes, center=False, scale=False, epsilon=layer.epsilon)
    return layer.__class__.from_config(layer.get_config())


def _plainly(layer: Layer, dense: Sequence[Layer]) -> Layer:
    if isinstance(layer, TwoArgActivation):
        return Plain(dense, getattr(layer, "pool_size", None))
    return layer.__class__.from_config(layer.get_config())


def inner_layers() -> list[Layer]:
    """Return phi as three Dense layers."""
    return [keras.layers.Dense(units, activation) for units, activation in ((64, "relu"), (64, "relu"), (1, None))]


def network(
    name: str, variants: Sequence[str], rounds: int, progress: Progress, seed: int = 0
) -> dict[str, JsonObject]:
    """Time a training step and `predict` of one batch of a network, for each variant.

    Returns:
        For each variant `parameters`, and the times of a `training_step` and of `predict`; baked networks are not
        trained.
    """
    x, y = data(name, 1, seed)
    models = {variant: build(name, variant, seed) for variant in variants}
    for model in models.values():
        compile_(model)
    tasks: dict[tuple[str, str], Task] = {}
    for variant, model in models.items():
        # Not `fit` and `predict`: tf.data may wait at their end for as long as they took.
        tasks[variant, "predict"] = partial(model.predict_on_batch, x)
        if variant != "baked":
            tasks[variant, "training_step"] = partial(model.train_on_batch, x, y)
    turns, steps = (8 * rounds, 1) if "mlp" in name else (rounds, 4)  # short steps alternate one by one
    times = timed(
        tasks,
        turns,
        lambda done: progress(f"networks: {name}", done, turns + 1, ""),
        lambda task: 1 if task[0] in _SLOW else steps,
    )
    return {
        variant: {"parameters": learned_parameters(model), **by_task(times, variant)}
        for variant, model in models.items()
    }


def memory(name: str, variants: Sequence[str], progress: Progress) -> dict[str, float]:
    """Return the peak memory of training in MB over what the process held before, for each variant that is trained."""
    trained, peaks = [variant for variant in variants if variant != "baked"], {}
    for done, variant in enumerate(trained):
        progress(f"memory: {name}", done, len(trained), variant)
        ended = subprocesses.call(f"{__name__}:peak", progress, name, variant)
        if ended.status:
            raise RuntimeError(f"The peak memory of {name}, {variant}: {ended.reason}")
        peaks[variant] = ended.result
    progress(f"memory: {name}", len(trained), len(trained), "")
    return peaks


def peak(_: Progress, name: str, variant: str) -> float:
    """Train three steps in this process, and return the peak memory over what was held before, in MB."""
    model = build(name, variant)
    compile_(model)
    x, y = data(name, 3, seed=0)
    model.evaluate(x[:2], y[:2], verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.fit(x, y, batch_size=NETWORKS[name][2], verbose=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def learned_parameters(model: Model) -> int:
    """Return the number of trained parameters, without tables."""
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))


def compile_(model: Model) -> None:
    """Compile a network for training."""
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def data(name: str, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images and classes for a number of steps."""
    _, shape, batch = NETWORKS[name]
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps * batch, *shape)).astype("float32"), rng.integers(0, 10, steps * batch)
