"""What else a user waits for, for `twoarg bench`: one sample, whole epochs of `fit`, the first step."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from keras_twoarg.experiments.benchmark import networks, places
from keras_twoarg.experiments.timing import Times, by_task, summary, timed
from keras_twoarg.utils import subprocesses
from keras_twoarg.utils.progress import Progress
from keras_twoarg.utils.types import Model

ONE_SAMPLE = ("relu", "swiglu", "exact", "interpolated", "auto")
TRAINED = ("relu", "swiglu", "auto")
EPOCH_STEPS = 20
MOBILENET = "mobilenet"
FIRST_STEPS = 3
"""Repetitions of the first step, each in its own process; they are slow."""


def one_sample(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, dict[str, Times]]:
    """Time `predict_on_batch` of one sample: `predict`, for each of `ONE_SAMPLE`."""
    x, _ = networks.data(name, 1, seed)
    tasks = {(variant, "predict"): partial(_build(name, variant).predict_on_batch, x[:1]) for variant in ONE_SAMPLE}
    report = partial(progress, f"one sample: {name}")
    times = timed(tasks, 8 * rounds, lambda done: report(done, 8 * rounds + 1, ""), lambda _: 5)
    return {variant: by_task(times, variant) for variant in ONE_SAMPLE}


def epoch(name: str, rounds: int, progress: Progress, seed: int = 0) -> dict[str, dict[str, Times]]:
    """Time `fit` with a tf.data pipeline that shuffles, batches and prefetches.

    With a pipeline that tunes itself, the default, TensorFlow waits at the end of an epoch for its tuning thread, which
    sleeps for 10 ms times a power of two, up to the length of the epoch.

    Returns:
        For each of `TRAINED` the seconds of a step: under `fit`, those of an epoch over its steps; under `fit_tuned`,
        the same with a pipeline that tunes itself; and under `training_step`, those of `train_on_batch`.
    """
    steps = EPOCH_STEPS * (10 if "mlp" in name else 1)
    x, y = networks.data(name, steps, seed)
    batch = networks.NETWORKS[name][2]
    models = {variant: _build(name, variant) for variant in TRAINED}

    def train(model: Model) -> None:
        for _ in range(steps):
            model.train_on_batch(x[:batch], y[:batch])

    tasks: dict[tuple[str, str], Callable[[], object]] = {}
    for variant, model in models.items():
        for task, tuned in (("fit", False), ("fit_tuned", True)):
            tasks[variant, task] = partial(model.fit, _pipeline(x, y, batch, tuned), verbose=0)
        tasks[variant, "training_step"] = partial(train, model)
    times = timed(tasks, rounds, lambda done: progress(f"epochs: {name}", done, rounds + 1, ""))
    by_step = {key: [seconds / steps for seconds in each] for key, each in times.items()}
    return {variant: by_task(by_step, variant) for variant in models}


def _pipeline(x: np.ndarray, y: np.ndarray, batch: int, tuned: bool) -> Iterable[object]:
    import tensorflow as tf  # optional: other backends can train from tf.data too

    options = tf.data.Options()
    options.autotune.enabled = tuned
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(batch)
    pipeline: Iterable[object] = dataset.prefetch(tf.data.AUTOTUNE if tuned else 2).with_options(options)
    return pipeline


def first_step(name: str, progress: Progress) -> dict[str, dict[str, Times]]:
    """Time the first training step of a model, which traces and compiles, in new processes."""
    variants: Sequence[str] = (places.FIXED, "auto") if name == MOBILENET else TRAINED
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for round_ in range(FIRST_STEPS):
        for i, variant in enumerate(variants):
            done = round_ * len(variants) + i
            progress(f"first step: {name}", done, FIRST_STEPS * len(variants), variant)
            ended = subprocesses.call(
                "keras_twoarg.experiments.benchmark.use:seconds_of_first_step", progress, name, variant
            )
            if ended.status:
                raise RuntimeError(f"The first step of {name}, {variant}: {ended.reason}")
            seconds[variant].append(ended.result)
    progress(f"first step: {name}", FIRST_STEPS * len(variants), FIRST_STEPS * len(variants), "")
    return {variant: {"first_step": summary(each)} for variant, each in seconds.items()}


def seconds_of_first_step(_: Progress, name: str, variant: str) -> float:
    """Return the seconds of the first training step in this process, without building the model."""
    if name == MOBILENET:
        model = places.build(name, variant)
        x, y = places.MODELS[name][1].data(seed=0)
    else:
        model = _build(name, variant)
        x, y = networks.data(name, 1, seed=0)
    start = time.perf_counter()
    model.train_on_batch(x, y)
    return time.perf_counter() - start


def _build(name: str, variant: str) -> Model:
    model = networks.build(name, variant)
    networks.compile_(model)
    return model
