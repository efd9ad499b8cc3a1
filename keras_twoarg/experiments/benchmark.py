"""What two arguments cost: everything side by side in one run, for `twoarg bench`.

All variants take turns in one process, so that noise falls on all of them; reported are medians over the rounds, and
half the distance between the quartiles. Each part and network has a process of its own, and each peak of memory too.
"""

import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_twoarg import models
from keras_twoarg.experiments import benchmark_places
from keras_twoarg.experiments.timing import Task, by_task, timed
from keras_twoarg.export import formats, runtimes
from keras_twoarg.export.bake import bake
from keras_twoarg.layers.sharing import clone_model
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, set_evaluation
from keras_twoarg.ops.pairing import to_tuples
from keras_twoarg.ops.table import Interpolation
from keras_twoarg.utils import files, subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import JsonObject, Layer, Model, Shape, Tensor
from keras_twoarg.utils.versions import commit, versions

NETWORKS: dict[str, tuple[Callable[..., Model], tuple[int, int, int], int]] = {
    "mlp28": (models.mlp, (28, 28, 1), 200),
    "mlp32": (models.mlp, (32, 32, 3), 200),
    "cnn28": (models.cnn, (28, 28, 1), 128),
    "cnn32": (models.cnn, (32, 32, 3), 128),
}
"""The paper's networks: what builds them, the images' shape, and the batch."""
FIXED = ("relu", "gelu", "prelu", "swiglu", "maxout")
RESOLUTIONS = {"interpolated_41": 41, "interpolated_81": 81}
"""Tables of so many nodes along each argument, whatever phi's own would have: `"interpolated"`."""
PHI = ("interpolated", *RESOLUTIONS, "baked", "exact", "plain")
KERAS_NORM = "relu_keras_norm"
"""ReLU behind Keras' LayerNormalization, where the others have `models.JointLayerNormalization`: convolutions alone."""
VARIANTS = (*FIXED, KERAS_NORM, *PHI)
PARTS = ("pairs", "networks", "memory", "exports", "places")
PAIRS = 2_000_000
_SLOW = ("exact", "plain")  # many times slower than the others: fewer steps are enough


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class Plain(keras.layers.Layer):
    """The obvious way: reshape, then three Dense layers that all places share."""

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
    """Return one of the paper's networks with one way to fill its units; all have as many parameters."""
    make, shape, _ = NETWORKS[network]
    two_arg = make(shape, 10, seed=seed)
    if variant in FIXED:
        return make(shape, 10, variant, models.matched_widths(variant, two_arg), seed=seed)
    if variant == KERAS_NORM:
        return clone_model(build(network, "relu", seed), clone_function=_with_keras_norm)
    if variant == "baked":
        return bake(two_arg)[0]
    if variant == "plain":
        dense = _dense()
        return clone_model(two_arg, clone_function=lambda layer: _plainly(layer, dense))
    set_evaluation(two_arg, _evaluation(variant))
    return two_arg


def _evaluation(variant: str) -> str | Interpolation:
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


def network(
    name: str, variants: Sequence[str], rounds: int, progress: Progress, seed: int = 0
) -> dict[str, JsonObject]:
    """Time a training step and `predict` of one batch of a network, for each variant.

    Returns:
        For each variant `parameters`, and the times of a `training_step` and of `predict`. Baked ones are not trained.
    """
    x, y = _data(name, 1, seed)
    models = {variant: build(name, variant, seed) for variant in variants}
    for model in models.values():
        _compile(model)
    tasks: dict[tuple[str, str], Task] = {}
    for variant, model in models.items():
        # Not `fit` and `predict`: at their end tf.data may wait as long again as they took.
        tasks[variant, "predict"] = partial(model.predict_on_batch, x)
        if variant != "baked":
            tasks[variant, "training_step"] = partial(model.train_on_batch, x, y)
    turns, steps = (8 * rounds, 1) if "mlp" in name else (rounds, 4)  # short steps take turns one by one
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


def learned_parameters(model: Model) -> int:
    """Return the number of learned parameters: tables are not learned."""
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))


def per_pair(pairs: int, rounds: int, progress: Progress, seed: int = 0) -> dict[str, JsonObject]:
    """Time one place on many pairs, `predict` and `training_step`: what it takes over a model without the place.

    Units of one argument read one value for each pair.
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
        return [Plain(_dense())]
    return [TwoArgActivation(evaluation="exact" if variant == "baked" else _evaluation(variant))]


def _dense() -> list[Layer]:
    return [keras.layers.Dense(units, activation) for units, activation in ((64, "relu"), (64, "relu"), (1, None))]


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class _Scale(keras.layers.Layer):
    """A learned factor in front, so that gradients to the pre-activations are needed."""

    def build(self, _: Shape) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Tensor) -> Tensor:
        return x * self.scale


@keras.saving.register_keras_serializable(package="keras_twoarg_benchmark")
class _Mean(keras.layers.Layer):
    """One output for each sample."""

    def call(self, x: Tensor) -> Tensor:
        return ops.mean(x, axis=-1, keepdims=True)


def memory(name: str, variants: Sequence[str], progress: Progress) -> dict[str, float | None]:
    """Return the peak memory of a training step in MB over what the process held before, for each variant."""
    peaks = {}
    for done, variant in enumerate(variants):
        progress(f"memory: {name}", done, len(variants), variant)
        if variant != "baked":
            peaks[variant] = subprocesses.call(
                "keras_twoarg.experiments.benchmark:peak", progress, name, variant
            ).result
    progress(f"memory: {name}", len(variants), len(variants), "")
    return peaks


def peak(_: Progress, name: str, variant: str) -> float:
    """Train three steps in this process, and return the peak memory over what was held before, in MB."""
    model = build(name, variant)
    _compile(model)
    x, y = _data(name, 3, seed=0)
    model.evaluate(x[:2], y[:2], verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.fit(x, y, batch_size=NETWORKS[name][2], verbose=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def exports(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, JsonObject]:
    """Time one batch in each runtime that is installed, for the exported ReLU, baked and exact networks."""
    variants = ("relu", "baked", "exact")
    x, _ = _data(name, 1, seed)
    runs: dict[tuple[str, str], runtimes.Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        for done, (format, kind) in enumerate(runtimes.FORMATS.items()):
            for variant in variants:
                progress(f"exports: {name}", done, len(runtimes.FORMATS), f"{kind.runtime}, {variant}")
                path = Path(folder) / f"{variant}-{format}{kind.ending}"
                try:
                    formats.export(build(name, variant, seed), path, format)
                    runs[kind.runtime, variant] = runtimes.load(path, format)
                    if runtimes.has_compiled(path, format):
                        compiled = f"{kind.runtime}, compiled"
                        runs[compiled, variant] = runtimes.load(path, format, compiled=True)
                except ImportError:
                    break
        progress(f"exports: {name}", len(runtimes.FORMATS), len(runtimes.FORMATS), "")
        tasks = {key: partial(run, x) for key, run in runs.items()}
        times = timed(tasks, rounds, lambda done: progress(f"exports, timed: {name}", done, rounds + 1, ""))
    return {runtime: by_task(times, runtime) for runtime, _ in runs}


def _compile(model: Model) -> None:
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def _data(name: str, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    _, shape, batch = NETWORKS[name]
    rng = np.random.default_rng(seed)
    return rng.normal(size=(steps * batch, *shape)).astype("float32"), rng.integers(0, 10, steps * batch)


def run(
    names: Sequence[str],
    variants: Sequence[str],
    rounds: int,
    parts: Sequence[str],
    out: Path,
    progress: Progress,
    seed: int = 0,
) -> JsonObject:
    """Measure everything that is asked for, each part and network in a process of its own.

    Args:
        names: Networks, of `NETWORKS`, for the parts that are of the paper's networks.
        variants: What fills their units, of `VARIANTS`; all are related to `"relu"`, which is always measured.
        rounds: Timed rounds.
        parts: Of `PARTS`.
        out: JSON file, written after each part. Parts in it that were measured in the same way are kept.
        progress: Called with the part, the rounds done and in all, and a note.
        seed: Of weights and data.

    Returns:
        What is in the file: for each part and network the results, and under `"machine"` what they were measured on.
    """
    variants = ["relu", *(variant for variant in variants if variant != "relu")]
    machine = {"cores": os.cpu_count(), "commit": commit(), "rounds": rounds, "seed": seed, **versions()}
    machine["variants"] = ", ".join(variants)
    measured: JsonObject = files.read_json(out) if out.exists() else {}
    if measured.get("machine") != machine:
        measured = {"machine": machine}
    for part in parts:
        for name in {"pairs": [str(PAIRS)], "places": list(benchmark_places.MODELS)}.get(part, names):
            done = measured.setdefault(part, {})
            if "failed" in done.get(name, ["failed"]):  # not there, or to be tried again
                ended = subprocesses.call(
                    "keras_twoarg.experiments.benchmark:measure", progress, part, name, variants, rounds, seed
                )
                done[name] = ended.result if not ended.status else {"failed": ended.reason}
                files.write_json(out, measured)
    return measured


def measure(progress: Progress, part: str, name: str, variants: Sequence[str], rounds: int, seed: int) -> JsonObject:
    """Measure one part for one network, in this process."""
    if part == "pairs":
        return per_pair(int(name), rounds, progress, seed)
    if part == "places":
        return benchmark_places.places(name, rounds, progress, seed)
    if "mlp" in name:
        variants = [variant for variant in variants if variant != KERAS_NORM]
    if part == "networks":
        return network(name, variants, rounds, progress, seed)
    if part == "memory":
        return memory(name, variants, progress)
    return exports(name, rounds, progress, seed)
