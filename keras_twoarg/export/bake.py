"""Baking: replace phi in a trained model by constant tables, and report what that changed."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from keras_twoarg.export import calibration as data
from keras_twoarg.export.baking_report import BakingReport, Place
from keras_twoarg.export.changed_predictions import Changes, count_changes, tasks_of
from keras_twoarg.layers.baked_activation import BakedActivation
from keras_twoarg.layers.sharing import clone_model
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, names_of, places_of
from keras_twoarg.layers.two_arg_dense import TwoArgDense
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.rebuilding import CannotRebuild, copy_weights, live_config, rebuild
from keras_twoarg.utils.types import ArrayLike, Config, Layer, Model, Samples

TOLERANCE = 3e-3
MOST_CHANGED = 5e-4
"""Default for the largest fraction of the calibration data's predictions that baking may change."""
RESOLUTIONS = (17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025)
"""The numbers of nodes along each argument among which `bake` chooses."""

_MARGIN = 1.05
_VARIES = 0.01  # of a table's largest value: a smaller deviation, as of constant arguments, is no scale of errors

Grids = dict[TwoArgActivation, Interpolation]
"""The nodes of each place's table."""


def bake(
    model: Model,
    calibration: Samples | None = None,
    tolerance: float = TOLERANCE,
    *,
    labels: ArrayLike | None = None,
    most_changed: float = MOST_CHANGED,
    task: str = "auto",
) -> tuple[Model, BakingReport]:
    """Replace every TwoArgActivation of a trained model by a look-up in a constant table of phi.

    A `TwoArgDense` becomes a `Dense` with a look-up behind it.

    A place whose phi was evaluated exactly gets a table that covers the pre-activations of 2,000 calibration samples,
    spread evenly over the data, with as many nodes as the tolerance requires. Then the nodes of these places are
    doubled until few enough of the whole model's predictions on all calibration data change. A place that was
    interpolated (`evaluation_in_use`) keeps its table, and so computes the same function as before. The original model
    is not changed.

    The tables are chosen on the calibration data; for other samples, `count_changes` of
    `keras_twoarg.export.changed_predictions` counts changed predictions.

    Args:
        model: A Sequential or functional Keras model, nested models included.
        calibration: Inputs like those the model will see, 2,000 samples or more: an array, or for several inputs a list
            or dict of arrays. Defaults to `None`: pre-activations are then assumed to be normally distributed, as after
            a LayerNorm, and predictions are not checked.
        tolerance: Largest root mean square error of a table at those pre-activations, relative to phi's standard
            deviation there, or to 1 % of the table's largest value where phi varies less; for a regression also of the
            model's outputs, relative to their standard deviation. Defaults to `3e-3`.
        labels: Integer labels of the calibration data, to report accuracies. Defaults to `None`.
        most_changed: Largest fraction of changed predictions on the calibration data. Defaults to `0.0005`.
        task: The meaning of the outputs: `"classes"` (the prediction is the largest one), `"binary"` (it is whether the
            output exceeds 0.5, after a sigmoid or what else has outputs in [0, 1], or 0, for logits), or
            `"regression"` (the tolerance applies to the outputs). Defaults to `"auto"`, which judges each output:
            several columns are classes, or after a sigmoid binary; one column is binary after a sigmoid or if the
            labels are 0 and 1, and otherwise a regression.

    Returns:
        The baked model, not compiled, and a `BakingReport`. Loading the model from a `.keras` file requires
        keras_twoarg.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> baked, report = bake(model, calibration=np.random.default_rng(0).normal(size=(100, 28, 28, 1)))
        >>> report.changed
        0.0
        >>> f"{report.bound:.2%}"  # all that 0 of 100 says about other samples
        '2.95%'

    Raises:
        ValueError: If the model holds no TwoArgActivation, one of arity 3, or one inside a layer or subclassed model
            that Keras cannot rebuild; if its outputs or the calibration data are not finite; or if no table meets the
            tolerance or keeps enough predictions unchanged.
        ArithmeticError: If a weight is not finite.
    """
    places = _places(model)
    _check_limits(tolerance, most_changed)
    check_finite(model)
    samples = None if calibration is None else data.checked(model, calibration)
    arguments = data.arguments(model, places, samples)
    grids = {place: _grid(place, arguments[name], tolerance) for place, name in names_of(places).items()}
    if samples is None:
        report = BakingReport(_report_places(places, grids, arguments), tolerance, most_changed)
        return with_tables(model, grids), report
    baked, grids, measured = _hold(model, places, grids, samples, labels, task, most_changed, tolerance)
    _, before = data.seconds(model, samples)
    timed, after = data.seconds(baked, samples)
    report = BakingReport(_report_places(places, grids, arguments), tolerance, most_changed, **measured)
    return baked, replace(report, timed=timed, seconds_before=before, seconds_after=after)


def _check_limits(tolerance: float, most_changed: float) -> None:
    if not 0 < tolerance <= 1:
        raise ValueError(
            "`tolerance` is relative to phi's standard deviation and must be in (0, 1]. Received: "
            f"tolerance={tolerance!r}"
        )
    if not 0 <= most_changed <= 1:
        raise ValueError(f"`most_changed` must be a fraction from 0 to 1. Received: most_changed={most_changed!r}")


def check_finite(model: Model) -> None:
    """Raise an ArithmeticError that names the first weight with NaN or infinity, if there is one."""
    for weight in model.weights:
        values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")))
        if not np.isfinite(values).all():
            raise ArithmeticError(
                f"The weight {weight.path} of the model {model.name!r} holds NaN or infinity: its training has "
                "diverged, and there is nothing to bake or export. Use an earlier checkpoint"
            )


def _places(model: Model) -> list[TwoArgActivation]:
    """Return the places of a model, or raise a ValueError if one cannot be baked."""
    places = places_of(model, "to bake")
    for place in places:
        if place.arity > 2:
            raise ValueError(
                f"A table takes one or two arguments, so the model cannot be baked. Received: {place.name!r} with an "
                f"inner network of arity {place.arity}. Export the model without baking it"
            )
    return places


def _grid(place: TwoArgActivation, arguments: data.Arguments, tolerance: float) -> Interpolation:
    """Return the nodes of a place's table: those in use, or the fewest that meet the tolerance."""
    if place.grid is not None and place.evaluation_in_use != "exact":
        return place.grid
    extent = float(_MARGIN * arguments.largest)
    exact = place.inner.predict(arguments.tuples)
    for resolution in RESOLUTIONS:
        grid = Interpolation(extent, resolution)
        values = place.inner.predict(grid.nodes(place.arity))
        error = float(np.sqrt(np.mean((look_up(grid, values, arguments.tuples) - exact) ** 2)))
        allowed = tolerance * max(float(exact.std()), _VARIES * float(np.abs(values).max()))
        if error <= allowed:
            return grid
    raise ValueError(
        f"No table of up to {RESOLUTIONS[-1]} nodes along each argument meets the tolerance at {place.name!r}: the "
        f"error is {error:.1e}, and {tolerance:g} x phi's standard deviation allows at most {allowed:.1e}. Use a "
        "larger tolerance"
    )


def _hold(
    model: Model,
    places: Sequence[TwoArgActivation],
    grids: Grids,
    samples: Samples,
    labels: ArrayLike | None,
    task: str,
    most_changed: float,
    tolerance: float,
) -> tuple[Model, Grids, Config]:
    """Double the nodes until few enough predictions change; return the model, its grids and fields of the report."""
    before = data.outputs(model, samples)
    if not all(np.isfinite(column).all() for column in before):
        raise ValueError(f"The outputs of the model {model.name!r} on the calibration data are not finite")
    tasks = tasks_of(model, before, labels, task)
    measured: Config = {}
    if labels is not None:
        measured["accuracy_before"] = _accuracy(before, labels, tasks)
    while True:
        baked = with_tables(model, grids)
        after = data.outputs(baked, samples)
        changes = count_changes(before, after, tasks)
        if changes.within(most_changed, tolerance):
            break
        finer = _finer(places, grids)
        if finer == grids:
            raise ValueError(_not_held(changes, most_changed, tolerance))
        grids = finer
    measured |= {
        "samples": changes.samples, "task": changes.task, "changed": changes.share, "bound": changes.bound,
        "relative": changes.relative, "difference": changes.difference,
    }  # fmt: skip
    if labels is not None:
        measured["accuracy_after"] = _accuracy(after, labels, tasks)
    return baked, grids, measured


def _finer(places: Sequence[TwoArgActivation], grids: Grids) -> Grids:
    """Double the nodes of places that were exact, up to the finest table."""

    def doubled(place: TwoArgActivation) -> Interpolation:
        grid = grids[place]
        if place.evaluation_in_use != "exact":
            return grid
        return replace(grid, resolution=min(2 * grid.resolution - 1, RESOLUTIONS[-1]))

    return {place: doubled(place) for place in places}


def _not_held(changes: Changes, most_changed: float, tolerance: float) -> str:
    remedy = f"allow most_changed={changes.share or most_changed:g} (--most-changed) to see how far off they are"
    if changes.relative is not None and changes.relative > tolerance:
        return (
            f"The finest tables change the outputs by {changes.relative:.1e} of their standard deviation, and at most "
            f"{tolerance:g} is allowed. Use a larger tolerance"
        )
    return (
        f"The finest tables, or those already in use, change {changes.changed} of {changes.predictions} predictions, "
        f"and at most {most_changed:.3%} is allowed. Are most outputs equal? Export the model without baking it, or "
        f"{remedy}"
    )


def _accuracy(columns: list[np.ndarray], labels: ArrayLike, tasks: list[tuple[str, float]]) -> float:
    """Return the accuracy of a model with one output."""
    labels, ((task, threshold), *others), outputs = np.asarray(labels).reshape(-1), tasks, columns[0]
    if others or task == "regression":
        raise ValueError(f"`labels` must be classes, for a model with one output. Received: {', '.join(dict(tasks))}")
    predictions = outputs.argmax(-1) if task == "classes" else outputs > threshold
    if predictions.size != labels.size:
        raise ValueError(
            f"Expected an integer label for each of {predictions.size} predictions, not one-hot. Received: "
            f"{labels.size} labels"
        )
    return float((predictions.reshape(-1) == labels).mean())


def _report_places(
    places: Sequence[TwoArgActivation], grids: Grids, arguments: dict[str, data.Arguments]
) -> tuple[Place, ...]:
    names = names_of(places).items()
    return tuple(_report_place(place, name, grids[place], arguments[name].tuples) for place, name in names)


def _report_place(place: TwoArgActivation, name: str, grid: Interpolation, tuples: np.ndarray) -> Place:
    values = place.inner.predict(grid.nodes(place.arity))
    plane = Interpolation(grid.extent, min(4 * grid.resolution, 520)).nodes(place.arity)

    def error(points: np.ndarray) -> np.ndarray:
        # For a place that was interpolated, and so is unchanged, this is its distance from the exact phi.
        return np.abs(look_up(grid, values, points) - place.inner.predict(points))

    on_data, on_plane = error(tuples), error(plane)
    return Place(
        name=name,
        before="exact" if place.evaluation_in_use == "exact" else "interpolated",
        extent=grid.extent,
        resolution=grid.resolution,
        arity=place.arity,
        largest=float(on_data.max()),
        mean=float(on_data.mean()),
        largest_on_plane=float(on_plane.max()),
        mean_on_plane=float(on_plane.mean()),
        deviation=float(place.inner.predict(tuples).std()),
        outside=float((np.abs(tuples) > grid.extent).any(axis=-1).mean()),
        bytes=4 * 2**place.arity * grid.cells(place.arity),
    )


def look_up(grid: Interpolation, values: np.ndarray, tuples: np.ndarray) -> np.ndarray:
    """Look up argument tuples `(N, arity)` in the table of values at a grid's nodes."""
    layer = BakedActivation(grid, tuples.shape[-1])
    layer.build((None, tuples.shape[-1]))
    layer.fill(values)
    return np.asarray(keras.ops.convert_to_numpy(layer(tuples)))


def with_tables(model: Model, grids: Grids) -> Model:
    """Copy a model with its weights, and a table of phi in each place; `grids` holds the nodes of every place."""
    copies: list[tuple[Layer, Layer]] = []

    def copy(layer: Layer) -> Layer:
        if isinstance(layer, TwoArgActivation):
            twin: Layer = _baked(layer, grids)
        elif isinstance(layer, TwoArgDense) and isinstance(layer.place, TwoArgActivation):
            dense = rebuild(layer.dense, live_config(layer.dense))
            both = keras.Sequential([dense, _baked(layer.place, grids)], name=layer.name)
            both.supports_masking = True  # as its layers do
            twin = both
        else:
            twin = rebuild(layer, live_config(layer))
        copies.append((layer, twin))
        return twin

    try:
        baked = clone_model(model, clone_function=copy, recursive=True)
    except CannotRebuild:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"Only Sequential and functional models can be baked ({error})") from error
    left = [layer.name for layer in flatten_layers(baked) if isinstance(layer, TwoArgActivation)]
    if left:
        raise ValueError(
            "A TwoArgActivation inside a layer other than TwoArgDense (a recurrent layer, a wrapper), or one of "
            f"several cell types, cannot be baked. Received: {', '.join(left)}. Export the model without baking it, or "
            "make the TwoArgActivation a layer of the model itself"
        )
    for layer, twin in copies:
        _fill(layer, twin)
    return baked


def _fill(layer: Layer, twin: Layer) -> None:
    """Copy a layer's weights to its twin, or phi's values to a table."""
    if isinstance(layer, TwoArgActivation) and isinstance(twin, BakedActivation):
        twin.fill(layer.inner.predict(twin.grid.nodes(layer.arity)))
    elif isinstance(layer, TwoArgDense) and isinstance(twin, keras.Sequential):
        for part, its_twin in zip((layer.dense, layer.place), twin.layers, strict=True):
            _fill(part, its_twin)
    else:
        copy_weights(layer, twin)


def _baked(place: TwoArgActivation, grids: Grids) -> BakedActivation:
    return BakedActivation(
        grids[place], place.arity, place.pairing, getattr(place, "pool_size", None),
        axis=place.axis, name=place.name, dtype=place.dtype_policy,
    )  # fmt: skip
