"""Baking: a trained model becomes one that looks phi up in constant tables, and a report of what that changed."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from keras_twoarg.analysis.density import pre_activations
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.sharing import clone_model
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.ops.table import Interpolation

TOLERANCE = 3e-3
RESOLUTIONS = (17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025)
"""Nodes along each argument that `bake` chooses among."""

_MARGIN = 1.05
_SEEN = 250  # calibration samples whose pre-activations are looked at
_DRAWN = 200_000  # arguments drawn for a place where there are no calibration data
_TIMED = 3
_BATCH = 128


@dataclass(frozen=True)
class Place:
    """What baking did at one place. Errors are those of the table against the exact phi.

    Attributes:
        name: The layer's name.
        before: `"exact"`, or `"interpolated"`: then the table is the one that the model has been using.
        extent: The table's nodes lie on [-extent, extent] along each argument.
        resolution: Nodes along each argument.
        largest: Largest absolute error at the calibration data's pre-activations.
        mean: Mean absolute error there.
        largest_on_plane: Largest absolute error on a fine grid over the whole table.
        mean_on_plane: Mean absolute error on that grid.
        deviation: Standard deviation of phi at the calibration data's pre-activations: the errors' scale.
        outside: Share of pre-activations outside of the table, where it goes on linearly.
        bytes: Size of the table.
    """

    name: str
    before: str
    extent: float
    resolution: int
    largest: float
    mean: float
    largest_on_plane: float
    mean_on_plane: float
    deviation: float
    outside: float
    bytes: int


@dataclass(frozen=True)
class BakingReport:
    """What baking a model changed; printing it gives a table.

    Attributes:
        places: One entry for each TwoArgActivation.
        tolerance: The tolerance that the tables were chosen for.
        samples: Calibration samples; 0 if there were none, and then the fields below are `None`.
        difference: Largest absolute difference of outputs.
        changed: Share of samples whose largest output is another one, that is another prediction.
        accuracy_before: Accuracy on the calibration data, if labels were given.
        accuracy_after: The same for the baked model.
        seconds_before: Time of `predict_on_batch` over the calibration data, median of 3.
        seconds_after: The same for the baked model.
    """

    places: tuple[Place, ...]
    tolerance: float
    samples: int = 0
    difference: float | None = None
    changed: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    seconds_before: float | None = None
    seconds_after: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        head = ("place", "nodes", "extent", "largest error", "mean error", "on the plane", "phi's std", "outside", "kB")
        rows = [
            (
                place.name,
                f"{place.resolution} x {place.resolution}",
                f"{place.extent:.2f}",
                f"{place.largest:.1e}",
                f"{place.mean:.1e}",
                f"{place.largest_on_plane:.1e}",
                f"{place.deviation:.3f}",
                f"{place.outside:.3%}",
                f"{place.bytes / 1000:.0f}",
            )
            for place in self.places
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        table = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in ((head), *rows)]
        return "\n".join([*table, *self._sentences()])

    def _sentences(self) -> list[str]:
        if self.changed is None:
            return ["No calibration data: normally distributed pre-activations were assumed."]
        found = [
            f"{round(self.changed * self.samples)} of {self.samples} predictions changed ({self.changed:.3%}); largest "
            f"difference of outputs {self.difference:.1e}"
        ]
        if self.accuracy_before is not None:
            found.append(f"accuracy {self.accuracy_before:.2%} before, {self.accuracy_after:.2%} after")
        found.append(f"predict on them: {self.seconds_before:.2f} s before, {self.seconds_after:.2f} s after")
        return found


def bake(
    model: Any, calibration: Any = None, tolerance: float = TOLERANCE, *, labels: Any = None
) -> tuple[Any, BakingReport]:
    """Replace every TwoArgActivation of a trained model by a look-up in a constant table of phi.

    A place whose phi was evaluated exactly gets a table that covers the pre-activations of the calibration data, with
    as many nodes as the tolerance asks for. A place that was interpolated (`evaluation_in_use`) keeps its table, and so
    computes what it computed before. The given model is left as it is.

    Args:
        model: A Sequential or functional Keras model, nested models included.
        calibration: Inputs like those the model will see, as for `predict`. Defaults to `None`: pre-activations are
            then taken as normally distributed, as they are behind a LayerNorm.
        tolerance: Root mean square error of a table at the calibration data's pre-activations, as a share of phi's
            standard deviation there. Defaults to `3e-3`.
        labels: Integer labels of the calibration data, to report accuracies. Defaults to `None`.

    Returns:
        The baked model, not compiled, and a `BakingReport`. The baked model needs keras_twoarg to be loaded from a
        `.keras` file; its exports need nothing.

    Example:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> baked, report = bake(model, calibration=np.random.default_rng(0).normal(size=(100, 28, 28, 1)))
        >>> report.changed
        0.0

    Raises:
        ValueError: If the model holds no TwoArgActivation, one of arity 3, or one inside of a layer or subclassed model
            that Keras cannot rebuild; if no table meets the tolerance; if the calibration data are empty or not finite.
    """
    places = [layer for layer in model._flatten_layers() if isinstance(layer, TwoArgActivation)]
    if not places:
        raise ValueError(f"The model {model.name!r} holds no TwoArgActivation: there is nothing to bake")
    if any(layer.arity > 2 for layer in places):
        raise ValueError("A table takes one or two arguments. Received: an inner network of arity 3 or more")
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance!r}")
    seen = _arguments(model, places, calibration)
    tables = {layer.name: _table(layer, seen[layer.name], tolerance) for layer in places}
    baked = _rebuild(model, {name: table[0] for name, table in tables.items()})
    found = tuple(_place(layer, *tables[layer.name], seen[layer.name]) for layer in places)
    if calibration is None:
        return baked, BakingReport(found, tolerance)
    return baked, BakingReport(found, tolerance, **_compare(model, baked, np.asarray(calibration), labels))


def _arguments(model: Any, places: Sequence[TwoArgActivation], calibration: Any) -> dict[str, np.ndarray]:
    """Return argument tuples for each place: the calibration data's, or normally distributed ones."""
    if calibration is None:
        rng = np.random.default_rng(0)
        return {layer.name: rng.normal(size=(_DRAWN, layer.arity)).astype("float32") for layer in places}
    calibration = np.asarray(calibration)
    if len(calibration) == 0:
        raise ValueError("`calibration` holds no samples")
    found = pre_activations(model, calibration[:: max(1, len(calibration) // _SEEN)][:_SEEN])
    for layer in places:
        if layer.name not in found or not np.isfinite(found[layer.name]).all():
            raise ValueError(f"The calibration data give no finite pre-activations at {layer.name!r}")
    return found


def _table(layer: TwoArgActivation, tuples: np.ndarray, tolerance: float) -> tuple[Interpolation, np.ndarray]:
    """Return a grid for a place, and phi at its nodes."""
    used = layer.evaluation_in_use
    if used != "exact":
        grid = used if isinstance(used, Interpolation) else Interpolation()
        return grid, layer.inner.predict(grid.nodes(layer.arity))
    extent = float(_MARGIN * np.abs(tuples).max(initial=1e-3))
    some = tuples[:: max(1, len(tuples) // _DRAWN)]
    exact = layer.inner.predict(some)
    allowed = tolerance * float(exact.std())
    for resolution in RESOLUTIONS:
        grid = Interpolation(extent, resolution)
        values = layer.inner.predict(grid.nodes(layer.arity))
        error = float(np.sqrt(np.mean((_look_up(grid, values, some) - exact) ** 2)))
        if error <= allowed:
            return grid, values
    raise ValueError(
        f"No table of up to {RESOLUTIONS[-1]} nodes along each argument meets the tolerance at {layer.name!r}: its "
        f"error is {error:.1e}, allowed are {allowed:.1e} = {tolerance:g} x phi's standard deviation. Use a larger "
        "tolerance"
    )


def _look_up(grid: Interpolation, values: np.ndarray, tuples: np.ndarray) -> np.ndarray:
    layer = BakedActivation(grid, tuples.shape[-1])
    layer.build((None, tuples.shape[-1]))
    layer.fill(values)
    return np.asarray(keras.ops.convert_to_numpy(layer(tuples)))


def _place(layer: TwoArgActivation, grid: Interpolation, values: np.ndarray, tuples: np.ndarray) -> Place:
    plane = Interpolation(grid.extent, min(4 * grid.resolution, 800)).nodes(layer.arity)
    interpolated = layer.evaluation_in_use != "exact"

    def error(points: np.ndarray) -> np.ndarray:
        # A place that was interpolated keeps its function; what is reported then is its distance from phi.
        return np.abs(_look_up(grid, values, points) - layer.inner.predict(points))

    on_data, on_plane = error(tuples), error(plane)
    return Place(
        name=layer.name,
        before="interpolated" if interpolated else "exact",
        extent=grid.extent,
        resolution=grid.resolution,
        largest=float(on_data.max()),
        mean=float(on_data.mean()),
        largest_on_plane=float(on_plane.max()),
        mean_on_plane=float(on_plane.mean()),
        deviation=float(layer.inner.predict(tuples).std()),
        outside=float((np.abs(tuples) > grid.extent).any(axis=-1).mean()),
        bytes=4 * (2 * (grid.resolution - 1)) ** layer.arity,
    )


def _rebuild(model: Any, grids: dict[str, Interpolation]) -> Any:
    """Copy a model with other activation layers and the same weights."""
    copies: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        if isinstance(layer, TwoArgActivation):
            made = BakedActivation(
                grids[layer.name], layer.arity, layer.pairing, getattr(layer, "pool_size", None),
                axis=layer.axis, name=layer.name, dtype=layer.dtype_policy,
            )  # fmt: skip
        else:
            made = layer.__class__.from_config(layer.get_config())
        copies.append((layer, made))
        return made

    try:
        baked = clone_model(model, clone_function=copy, recursive=True)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"Only Sequential and functional models can be baked ({error})") from error
    left = [layer.name for layer in baked._flatten_layers() if isinstance(layer, TwoArgActivation)]
    if left:
        raise ValueError(f"A TwoArgActivation inside of another layer cannot be baked. Received: {', '.join(left)}")
    for layer, made in copies:
        if isinstance(layer, TwoArgActivation):
            made.fill(layer.inner.predict(made.grid.nodes(layer.arity)))
        else:
            made.set_weights(layer.get_weights())
    return baked


def _compare(model: Any, baked: Any, calibration: np.ndarray, labels: Any) -> dict[str, Any]:
    before, seconds_before = _timed(model, calibration)
    after, seconds_after = _timed(baked, calibration)
    accuracies: dict[str, float] = {}
    if labels is not None:
        labels = np.asarray(labels).reshape(-1)
        accuracies = {
            name: float((outputs.argmax(-1) == labels).mean())
            for name, outputs in (("accuracy_before", before), ("accuracy_after", after))
        }
    return {
        "samples": len(calibration),
        "difference": float(np.abs(after - before).max()),
        "changed": float((before.argmax(-1) != after.argmax(-1)).mean()),
        "seconds_before": seconds_before,
        "seconds_after": seconds_after,
        **accuracies,
    }


def _timed(model: Any, x: np.ndarray) -> tuple[np.ndarray, float]:
    # Not `predict`: at its end tf.data may wait as long again as it took.
    batches = [x[i : i + _BATCH] for i in range(0, len(x), _BATCH)]
    outputs = np.concatenate([model.predict_on_batch(batch) for batch in batches])  # compiles
    seconds = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        for batch in batches:
            model.predict_on_batch(batch)
        seconds.append(time.perf_counter() - start)
    return outputs, float(np.median(seconds))
