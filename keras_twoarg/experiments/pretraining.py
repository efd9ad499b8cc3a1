"""The pretrain stage (the paper's Session I): fit phi to a surface, usually a random smooth one.

A second call with the same network, surface, settings and software loads the weights from a cache on disk. The cache
is in `$KERAS_TWOARG_CACHE` or, by default, in `keras_twoarg` within Keras' folder (`$KERAS_HOME` or `~/.keras`). It can
be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils import versions
from keras_twoarg.utils.batches import for_fit
from keras_twoarg.utils.files import UNREADABLE, write_whole
from keras_twoarg.utils.progress import StepProgress
from keras_twoarg.utils.types import ArrayLike, Model

# Passes over the grid. The paper's for 2 and 3 arguments; for 1 argument the paper's number of steps, 100,000.
EPOCHS = {1: 50_000, 2: 500, 3: 200}
_STEPS_AT_A_TIME = 1000


@dataclass(frozen=True)
class Pretraining:
    """The result of pretraining.

    Attributes:
        mse: Mean squared error on the grid.
        r2: Share of the surface's variance that phi explains.
        steps: Gradient steps.
        cached: Whether the weights came from the cache.
    """

    mse: float
    r2: float
    steps: int
    cached: bool


def pretrain(
    inner: InnerNetwork,
    surface: Callable[..., ArrayLike],
    *,
    epochs: int | None = None,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    seed: int = 0,
    cache: bool = True,
    progress: StepProgress | None = None,
) -> Pretraining:
    """Fit phi to a surface on the grid of 101 nodes on [-5, 5] along each argument.

    Adam on the mean squared error, in shuffled batches, starting from the network's current weights.

    Args:
        inner: The `InnerNetwork` to pretrain, in place.
        surface: Function of one array for each argument: `surfaces.random_field(seed)`, `surfaces.product`, ...
        epochs: Passes over the grid. Defaults to the paper's: 500 for two arguments (51,500 steps, about 15 seconds
            on two cores), 50,000 for one (100,000 steps), 200 for three (2 million steps).
        batch_size: Grid nodes for each step. Defaults to `100`.
        learning_rate: Learning rate of Adam. Defaults to `1e-3`.
        seed: Seed of the order of the batches. Defaults to `0`.
        cache: Whether to read the weights from the cache and store them there. Defaults to `True`.
        progress: Called from time to time with the steps done and the total.

    Returns:
        A `Pretraining`: the error on the grid, and whether the weights came from the cache.

    Examples:
        >>> inner = InnerNetwork(hidden_units=(16,))
        >>> pretraining.pretrain(inner, surfaces.product, epochs=1, cache=False).steps
        103

    Raises:
        ValueError: If the surface is not finite on the grid, or an argument is not positive.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("learning_rate", learning_rate)):
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")
    epochs = epochs or EPOCHS.get(inner.arity, 200)
    tuples, targets = grid(surface, inner.arity)
    inner.ensure_built()
    batches = -(-len(tuples) // batch_size)
    file = _cache_file(inner, targets, [epochs, batch_size, learning_rate, seed])
    weights = _read(file, inner) if cache else None
    if weights is not None:
        inner.set_weights(weights)
    else:
        model = keras.Sequential([keras.Input((inner.arity,)), inner])
        model.compile(keras.optimizers.Adam(learning_rate), "mse", steps_per_execution=steps_a_call(min(100, batches)))
        order = _batches(len(tuples), epochs, batch_size, np.random.default_rng(seed))
        _fit(model, tuples, targets, order, batch_size, epochs * batches, progress)
        if cache:
            _write(file, inner)
    mse = float(np.mean((inner.predict(tuples) - targets) ** 2))
    variance = float(targets.var())
    return Pretraining(mse, 1 - mse / variance if variance else float("nan"), epochs * batches, weights is not None)


def steps_a_call(number: int) -> int:
    """Return how many steps Keras takes in one call into the backend; torch supports only one."""
    return 1 if keras.backend.backend() == "torch" else number


def grid(surface: Callable[..., ArrayLike], arity: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid's nodes, `(101 ** arity, arity)`, and the surface on them, `(101 ** arity, 1)`, in float32."""
    tuples = surfaces.nodes(arity)
    targets = np.asarray(surface(*tuples.T), dtype="float32")
    if targets.shape != (len(tuples),) or not np.isfinite(targets).all():
        raise ValueError(
            f"A surface must return one finite value for each of {len(tuples)} nodes. Received: shape={targets.shape}, "
            f"{np.count_nonzero(~np.isfinite(targets))} values that are not finite"
        )
    return tuples.astype("float32"), targets[:, None]


def _batches(rows: int, epochs: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the indices of each batch: every row once an epoch, in a new order; the last batch wraps around."""
    padding = -rows % batch_size
    for _ in range(epochs):
        order = rng.permutation(rows)
        yield from np.resize(order, rows + padding).reshape(-1, batch_size)


def _fit(
    model: Model,
    tuples: np.ndarray,
    targets: np.ndarray,
    batches: Iterator[np.ndarray],
    batch_size: int,
    steps: int,
    progress: StepProgress | None,
) -> None:
    done = 0
    while done < steps:
        number = min(_STEPS_AT_A_TIME, steps - done)
        rows = np.concatenate([next(batches) for _ in range(number)])
        model.fit(**for_fit(tuples[rows], targets[rows], batch_size), verbose=0)
        done += number
        if progress:
            progress(done, steps)


def _cache_folder() -> Path:
    if folder := os.environ.get("KERAS_TWOARG_CACHE"):
        return Path(folder)
    try:
        return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras_twoarg"
    except RuntimeError:  # no home folder, as for a container's random user
        return Path(os.devnull)  # where nothing can be written


def _cache_file(inner: InnerNetwork, targets: np.ndarray, settings: list[float | int]) -> Path:
    """Name the file by everything that the fitted weights depend on, the initial weights included."""
    digest = hashlib.sha256()
    software = [
        f"{name} {version}"
        for name, version in versions.versions().items()
        if name in ("keras", "backend", keras.backend.backend())
    ]
    activation = keras.activations.serialize(inner.activation)
    digest.update(json.dumps([activation, settings, inner.dtype_policy.name, software]).encode())
    for array in (targets, *inner.get_weights()):
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return _cache_folder() / f"pretrained-{digest.hexdigest()[:32]}.npz"


def _read(file: Path, inner: InnerNetwork) -> list[np.ndarray] | None:
    try:
        with open(file, "rb") as opened, np.load(opened) as arrays:  # np.load leaves a damaged file open
            weights = [arrays[f"arr_{i}"] for i in range(len(inner.weights))]
    except UNREADABLE:
        return None  # absent or damaged: fit again
    fits = all(w.shape == tuple(v.shape) for w, v in zip(weights, inner.weights, strict=True))
    return weights if fits else None


def _write(file: Path, inner: InnerNetwork) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda opened: np.savez(opened, *inner.get_weights()))
    except OSError:
        pass  # a cache that cannot be written costs time, not results
