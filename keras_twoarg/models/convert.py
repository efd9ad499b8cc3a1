"""convert: give any Sequential or functional Keras model two-argument units in place of its activations."""

import re
import warnings
from collections.abc import Sequence

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.pair_activation import FUNCTIONS, PairActivation
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.models.conversion.compare import judged
from keras_twoarg.models.conversion.graph import channels, is_graph
from keras_twoarg.models.conversion.kinds import Phi, one_phi, phi_for_each_kind
from keras_twoarg.models.conversion.phi import EXACT
from keras_twoarg.models.conversion.places import Place, find_places
from keras_twoarg.models.conversion.rebuild import Rebuilder, UnitLayer
from keras_twoarg.models.conversion.report import ConversionReport, ConvertedPlace, LeftPlace, have
from keras_twoarg.models.conversion.widths import LARGEST_MISS, matched_changes
from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.ops.interpolation import Interpolation
from keras_twoarg.utils.checks import one_of
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.rebuilding import copy_given, copy_weights, is_given
from keras_twoarg.utils.types import Config, Model

KEEP = ("function", "parameters")
ARMS = ("two_arg", "one_arg", *FUNCTIONS)
"""What units can become."""


def convert(
    model: Model,
    inner: InnerNetwork | str | None = None,
    *,
    keep: str = "function",
    where: str | Sequence[str] | None = None,
) -> tuple[Model, ConversionReport]:
    """Give the units of a Keras model a second argument, or another function of one.

    Every elementwise activation behind a linear layer is replaced: a layer such as `Activation`, `ReLU`, `LeakyReLU`,
    `PReLU` or `ELU`, an `activation=` argument, `keras.ops.relu` in a functional graph. Linear layers are `Dense`,
    `EinsumDense`, and convolutions of any kind; normalization, dropout, pooling and depthwise convolutions may lie in
    between. The linear layer and what lies in between stay and give the first argument; a copy of them, with new
    weights and names that end in `_apical`, gives the second. `TwoArgActivation` makes one output of both.

    The first model is left as it is. The new one is functional, not compiled, and has the same inputs, outputs, names,
    dtype policies and masks.

    Args:
        model: A built Sequential or functional model, nested models included, such as those of `keras.applications`.
        inner: The inner network for all places. With `keep="function"` it must have no weights yet, and all places the
            same activation, which phi then starts as. With `keep="parameters"` it is used as it is: a trained phi, for
            example. Or what new ones shall be: `"two_arg"`; `"one_arg"`, functions of one argument, which need no
            second linear layer; or, with `keep="parameters"`, a fixed function of two arguments to compare with:
            `"glu"`, `"maxout"`, `"product"`, `"swiglu"` or `"xnor"`. With `keep="function"` there is a new one for each
            kind of activation, else one for all. Defaults to `None`: `"two_arg"`.
        keep: `"function"`: the new model computes what the old one computed, and grows from there; phi starts as the
            old activation of its first argument, for piecewise linear ones exactly, for others to within about 2e-3,
            which the report says. Or `"parameters"`: a fresh model with as many parameters within 0.5 %, or as near as
            whole widths come; the widths of converted layers are scaled, and those that a residual sum or an output
            fixes stay. Frozen layers, and what `adapt` has computed, are kept as they are. Defaults to `"function"`.
        where: Which activations to convert: one regular expression, or several, that match whole names of the report.
            What is named is converted even if it is a gate or gives the model's output, which it does if no layer with
            weights follows. An output whose `activation=` is named gets the name of its new layer, in `output_names`
            too. Defaults to `None`: all but gates and outputs.

    Returns:
        The new model and a `ConversionReport`, which lists what was left as it was, and why.

    Examples:
        >>> model = keras.Sequential([
        ...     keras.Input((28, 28, 1)),
        ...     keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization(), keras.layers.ReLU(),
        ...     keras.layers.Flatten(),
        ...     keras.layers.Dense(10, activation="softmax"),
        ... ])
        >>> converted, report = convert(model)
        >>> [place.activation for place in report.places], [place.reason for place in report.left]
        (['relu'], ['it is not elementwise'])
        >>> report.difference < 1e-5
        True

        A fresh model of the same size, with a phi that is small against the model:

        >>> dense = [keras.layers.Dense(16, activation="relu") for _ in range(2)]
        >>> model = keras.Sequential([keras.Input((28,)), *dense, keras.layers.Dense(10)])
        >>> fresh, report = convert(model, InnerNetwork((8, 8)), keep="parameters")
        >>> report.parameters_before, report.parameters, [place.units for place in report.places]
        (906, 907, [9, 9])
        >>> gated, report = convert(model, "swiglu", keep="parameters")
        >>> report.parameters, [(place.phi, place.units) for place in report.places]
        (910, [('swiglu', 10), ('swiglu', 10)])

    Warns:
        UserWarning: With `keep="parameters"`, if no whole widths come within 0.5 %. The nearest are used then, if they
            come within 10 %, and the report says how far off they are. With `keep="function"`, if on random inputs
            the outputs differ by more than rounding or errors of phi explain, or the converted model does not run.

    Raises:
        TypeError: If `model` is no Keras model or `inner` neither an `InnerNetwork` nor a name.
        ValueError: If the model is subclassed, not built, or of a class that cannot be kept; if it has no activation
            that can be converted; if `where` matches nothing; if phi cannot start as the old activation; if no widths
            come near the number of parameters; if outputs become NaN or infinity.
    """
    _check(model, inner, keep, where)
    given = inner if isinstance(inner, InnerNetwork) else None
    arm = inner if isinstance(inner, str) else "one_arg" if given and given.arity == 1 else "two_arg"
    arity = 1 if arm == "one_arg" else 2
    places = find_places(model, where, any_function=keep == "parameters")
    if keep == "parameters":
        _leave_frozen(places)
    converted = [place for place in places if not place.reason]
    phis: dict[int, Phi] = {}  # none for a fixed function
    if keep == "function":
        phis = phi_for_each_kind(converted, given, arity)
        converted = [place for place in converted if not place.reason]
    if not converted:
        raise ValueError(_nothing(model, places))
    if keep == "parameters" and arm not in FUNCTIONS:
        phis = one_phi(converted, given, arity)
    changes: dict[int, Config] = {}
    if keep == "parameters":
        number = phis[id(converted[0])].inner.count_params() if phis else 0
        changes = matched_changes(model, converted, number, arity)

    rebuilder = Rebuilder(model, converted, lambda place, kwargs: _unit(phis.get(id(place)), arm, kwargs), changes, arm)
    copy = rebuilder.run()
    for layer, twin in rebuilder.copies:
        (copy_weights if keep == "function" else copy_given)(layer, twin)
    if keep == "parameters":
        _check_parameters(model, copy)
    for unit in rebuilder.units:
        if isinstance(unit.layer, TwoArgActivation):
            _set_table(unit.layer, phis[id(unit.place)])
    return copy, _report(model, copy, keep, places, rebuilder, phis)


def sized(arm: str, hidden_units: Sequence[int] | None, model: Model) -> InnerNetwork | str:
    """Return what `convert` takes as `inner` for an arm whose phi has hidden layers of these widths."""
    if hidden_units is None or arm in FUNCTIONS:
        return arm
    return InnerNetwork(hidden_units, arity=1 if arm == "one_arg" else 2, name="phi", dtype=model.dtype_policy)


def _leave_frozen(places: list[Place]) -> None:
    """Leave the activations behind frozen layers: a fresh model keeps those layers, with their weights."""
    for place in places:
        frozen = [call.operation.name for path in place.path for call in path if is_given(call.operation)]
        if frozen and not place.reason:
            place.reason = f"{frozen[0]!r} is frozen, and a fresh model keeps it as it is"


def _check(model: Model, inner: InnerNetwork | str | None, keep: str, where: str | Sequence[str] | None) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a Keras model. Received: model={model!r} of type {type(model)}")
    one_of("keep", keep, KEEP)
    if not is_graph(model):
        if isinstance(model, keras.Sequential):
            raise ValueError(f"The model {model.name!r} is not built. Begin it with keras.Input(...), or call it once")
        raise ValueError(
            f"The model {model.name!r} is subclassed, so the graph of its layers is not known. Build it as "
            "keras.Model(inputs, outputs), starting from keras.Input, and convert that"
        )
    _check_inner(inner, keep)
    try:
        for pattern in [where] if isinstance(where, str) else where or ():
            re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"`where` must be regular expressions ({error}). Received: where={where!r}") from error


def _check_inner(inner: InnerNetwork | str | None, keep: str) -> None:
    if inner is None:
        return
    if isinstance(inner, str):
        if inner not in ARMS:
            raise ValueError(f"`inner` must be an InnerNetwork, or one of {ARMS}. Received: inner={inner!r}")
        if keep == "function" and inner in FUNCTIONS:
            raise ValueError(
                f"keep='function' needs a phi that can be the old activation, and {inner!r} is fixed. Leave `inner` "
                "out, or use keep='parameters'"
            )
    elif not isinstance(inner, InnerNetwork):
        raise TypeError(
            f"`inner` must be an InnerNetwork, or one of {ARMS}. Received: inner={inner!r} of type {type(inner)}"
        )
    elif inner.arity > 2:
        raise ValueError(f"`inner` must have one or two arguments. Received: an inner network of arity {inner.arity}")


def _check_parameters(model: Model, copy: Model) -> None:
    """Warn, or raise a ValueError, if the number of parameters is another one."""
    share = copy.count_params() / model.count_params() - 1
    if abs(share) > LARGEST_MISS:
        raise ValueError(
            f"The widths of {model.name!r} cannot be matched: {copy.count_params():,} parameters instead of "
            f"{model.count_params():,}. Use keep='function'"
        )
    if abs(share) > TOLERANCE:
        warnings.warn(
            f"The converted {model.name!r} has {copy.count_params():,} parameters instead of {model.count_params():,} "
            f"({share:+.1%}): no whole widths come nearer. A larger model, or a smaller `inner`, can be matched within "
            f"{TOLERANCE:.1%}",
            stacklevel=3,
        )


def _unit(phi: Phi | None, arm: str, kwargs: Config) -> UnitLayer:
    return PairActivation(arm, **kwargs) if phi is None else TwoArgActivation(phi.inner, **kwargs)


def _set_table(layer: TwoArgActivation, phi: Phi) -> None:
    """Give a place that is interpolated a larger table if the default one does not reach as far as phi bends."""
    default = Interpolation()
    if phi.table is not None and phi.table.extent > default.extent and layer.evaluation_in_use == "interpolated":
        layer.evaluation = phi.table


def _nothing(model: Model, places: list[Place]) -> str:
    units = [layer for layer in flatten_layers(model) if isinstance(layer, TwoArgActivation | PairActivation)]
    reasons = "; ".join(f"{place.name} ({place.label}): {place.reason}" for place in places[:3])
    reasons += f"; and {len(places) - 3} more" if len(places) > 3 else ""
    if units:
        said = have(units[0].arity)
        others = f" else. {reasons}" if places else ""
        return f"Activations of the model {model.name!r} {said} already: there is nothing to convert{others}"
    if not places:
        return f"The model {model.name!r} has no activations: there is nothing to convert"
    return f"No activation of the model {model.name!r} can be converted. {reasons}"


def _function(layer: UnitLayer, phi: Phi | None) -> Config:
    """Return what a report says of the function of a place."""
    if isinstance(layer, PairActivation):
        return {"phi": layer.function, "error": None, "evaluation": "fixed"}
    evaluation = "exact" if layer.evaluation_in_use == "exact" else "interpolated"
    return {"phi": layer.inner.name, "error": phi and phi.error, "evaluation": evaluation}


def _report(
    model: Model, copy: Model, keep: str, places: list[Place], rebuilder: Rebuilder, phis: dict[int, Phi]
) -> ConversionReport:
    rows = [
        ConvertedPlace(
            name=unit.place.name,
            activation=unit.place.label,
            linear=unit.place.path[0][0].operation.name,
            layer=unit.layer.name,
            units_before=channels(unit.place.path[0][0], unit.place.calls[0].outputs[0]),
            units=unit.size,
            arguments=unit.layer.arity,
            **_function(unit.layer, phis.get(id(unit.place))),
        )
        for unit in rebuilder.units
    ]
    left = [LeftPlace(place.name, place.label, place.reason) for place in places if place.reason]
    exact = all(row.error is not None and row.error < EXACT for row in rows)
    compared = judged(model, copy, exact) if keep == "function" else None
    return ConversionReport(
        keep=keep,
        places=tuple(rows),
        left=tuple(left),
        new_layers=tuple(rebuilder.new_layers),
        parameters_before=int(model.count_params()),
        parameters=int(copy.count_params()),
        difference=compared and compared[0],
        scale=compared and compared[1],
    )
