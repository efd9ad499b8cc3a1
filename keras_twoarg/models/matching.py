"""Fair comparisons: widths that give arms the same number of parameters, and a table of what models cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import prod

import keras

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.layers.two_arg_rnn_cell import TwoArgRNNCell
from keras_twoarg.models import blocks
from keras_twoarg.models.structure import Structure, fan_out, is_unit, structure_of
from keras_twoarg.models.transformer import PositionEmbedding
from keras_twoarg.utils.checks import positive_integer
from keras_twoarg.utils.table import aligned
from keras_twoarg.utils.types import Model

TOLERANCE = 0.005
"""Models are matched if their numbers of parameters differ by at most this fraction."""


def matched_widths(
    arm: str, reference: Model, *, inner: InnerNetwork | None = None, tolerance: float = TOLERANCE
) -> tuple[int, ...]:
    """Return the widths that give `arm` as many parameters as a reference model has.

    The widths keep the reference's proportions as far as whole numbers allow.

    Args:
        arm: The arm, as in `models.mlp`.
        reference: A model made by `models.mlp`, `models.cnn` or `models.transformer`.
        inner: The inner network that the arm will use. Defaults to the paper's, with the arm's arity.
        tolerance: Largest accepted difference, as a fraction of the reference's parameters. Defaults to `0.005`.

    Returns:
        One width per hidden layer of the reference, or per block of a Transformer.

    Examples:
        >>> models.matched_widths("relu", reference=models.mlp((28, 28, 1), classes=10))
        (118, 118, 118)

    Raises:
        ValueError: If the arm is unknown, the reference was made otherwise, or no widths come close enough, as in very
            small networks.

    References:
        - [Yoon, Orhan, Kim, Pitkow, 2022](https://arxiv.org/abs/2110.06871), section 4.2.
    """
    return fitting_widths(structure_of(reference), arm, reference.count_params(), inner, tolerance)


def widths_for_budget(
    arm: str,
    parameters: int,
    proportions: Sequence[int],
    input_shape: Sequence[int],
    classes: int,
    *,
    architecture: str = "mlp",
    inner: InnerNetwork | None = None,
    tolerance: float = TOLERANCE,
    **options: object,
) -> tuple[int, ...]:
    """Return the widths that give a network of an arm a number of parameters.

    Args:
        arm: The arm, as in `models.mlp`.
        parameters: Parameters of the whole network, including the inner network.
        proportions: One number per hidden layer: `(2, 1)` makes the first twice as wide as the second.
        input_shape: Shape of one sample.
        classes: Number of outputs.
        architecture: `"mlp"`, `"cnn"`, `"transformer"`, `"recurrent"` or `"resnet"`. Defaults to `"mlp"`.
        inner: As in `matched_widths`.
        tolerance: As in `matched_widths`.
        **options: Other arguments of the network's function that affect its size, such as `sequence_width`.

    Examples:
        >>> models.widths_for_budget("two_arg", 122_187, (1, 1, 1), (28, 28, 1), 10)
        (64, 64, 64)

    Raises:
        ValueError: If the arm or the architecture is unknown, a number is not positive, the images are too small for
            the number of layers, or no widths come close enough.
        TypeError: If an option is not an argument of any network.
    """
    positive_integer("parameters", parameters)
    if len(proportions) == 0 or min(proportions) <= 0:
        raise ValueError(
            "`proportions` must be positive numbers, one for each hidden layer. "
            f"Received: proportions={tuple(proportions)}"
        )
    # Large numbers, so that rounding barely changes the proportions.
    widths = tuple(max(1, round(1000 * p / max(proportions))) for p in proportions)
    structure = Structure(architecture, tuple(input_shape), classes, widths, options)
    return fitting_widths(structure, arm, parameters, inner, tolerance)


def count_parameters(
    arm: str,
    widths: Sequence[int],
    input_shape: Sequence[int],
    classes: int,
    *,
    architecture: str = "mlp",
    **options: object,
) -> int:
    """Return a network's `count_params()` without its inner network's, without building it.

    Like `count_params`, it includes the moving averages of BatchNorm.

    Examples:
        >>> models.count_parameters("two_arg", (64, 64, 64), (28, 28, 1), 10) + 4417
        122187
    """
    return Structure(architecture, tuple(input_shape), classes, tuple(widths), options).parameters(arm)


def fitting_widths(
    structure: Structure, arm: str, target: int, inner: InnerNetwork | None, tolerance: float = TOLERANCE
) -> tuple[int, ...]:
    """Return the widths, in the proportions of a structure's, that give an arm `target` parameters.

    Raises:
        ValueError: As in `matched_widths`.
    """
    inner_parameters = 0
    if network := blocks.inner_for(arm, inner, seed=0):  # with a seed it draws none of Python's random numbers
        inner_parameters = network.count_params()

    def parameters(widths: tuple[int, ...]) -> int:
        return replace(structure, widths=widths).parameters(arm) + inner_parameters

    widths = nearest_widths(structure.widths, parameters, target, tolerance)
    difference = parameters(widths) / target - 1
    if abs(difference) > tolerance:
        raise ValueError(
            f"No widths give the arm {arm!r} {target:,} parameters within {tolerance:.2%}. "
            f"The nearest found are {widths} with {parameters(widths):,} ({difference:+.2%}). "
            "Use a larger reference (for commands, wider --widths; for `OuterHyperModel`, more `parameters`) or a "
            "larger tolerance."
        )
    return widths


def nearest_widths(
    proportions: tuple[int, ...],
    parameters: Callable[[tuple[int, ...]], int],
    target: int,
    tolerance: float = TOLERANCE,
    reach: Sequence[float] = (),
) -> tuple[int, ...]:
    """Scale the widths jointly, then change single ones until the target is met within the tolerance.

    With `reach`, each width changes by no more than that after it was scaled.
    """

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(max(1, round(factor * width)) for width in proportions)

    low, high = 0.0, 1.0
    while parameters(scaled(high)) < target:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(scaled(middle)) < target else (low, middle)
    best = min((scaled(low), scaled(high)), key=lambda widths: abs(parameters(widths) - target))
    if abs(parameters(best) / target - 1) <= tolerance:
        return best
    moves, start = 1, best

    def near(widths: tuple[int, ...]) -> bool:
        return not reach or all(abs(a - b) <= most for a, b, most in zip(widths, start, reach, strict=True))

    while True:  # it ends, since each round gets strictly closer or changes more widths at a time
        nearest = min(
            filter(near, _neighbours(best, moves)), key=lambda widths: abs(parameters(widths) - target), default=best
        )
        if abs(parameters(nearest) - target) < abs(parameters(best) - target):
            best = nearest
        elif moves == 2 or abs(parameters(best) / target - 1) <= tolerance:
            return best
        else:
            moves = 2


def _neighbours(widths: tuple[int, ...], moves: int) -> Iterator[tuple[int, ...]]:
    """Yield the widths with `moves` of them one unit larger or smaller."""
    for places in combinations(range(len(widths)), moves):
        for steps in product((-1, 1), repeat=moves):
            moved = list(widths)
            for place, step in zip(places, steps, strict=True):
                moved[place] += step
            if min(moved) > 0:
                yield tuple(moved)


@dataclass(frozen=True)
class Comparison:
    """What one model costs: its parameters, and counts per sample.

    Attributes:
        name: The model's name in the comparison.
        parameters: Number of parameters, the inner network's counted once.
        units: Outputs of activation layers.
        pre_activations: Inputs of activation layers.
        normalization: `"LayerNorm"` or `"BatchNorm"` if every activation layer or its linear layer follows one,
            `"none"` if there is none, else `"mixed"`.
        multiply_adds: Multiply-accumulate operations in linear layers and inner networks.
        difference: Relative difference in parameters from the first model of the comparison.
    """

    name: str
    parameters: int
    units: int
    pre_activations: int
    normalization: str
    multiply_adds: int
    difference: float

    @property
    def matched(self) -> bool:
        """Whether the parameters differ by at most 0.5 % from the first model's."""
        return abs(self.difference) <= TOLERANCE


class Comparisons(list[Comparison]):
    """Rows of a comparison, which print as a table."""

    def __str__(self) -> str:
        head = ("arm", "parameters", "difference", "units", "pre-activations", "normalization", "multiply-adds")
        rows = [
            (
                row.name,
                f"{row.parameters:,}",
                f"{row.difference:+.2%}" + ("" if row.matched else " !"),
                f"{row.units:,}",
                f"{row.pre_activations:,}",
                row.normalization,
                f"{row.multiply_adds:,}",
            )
            for row in self
        ]
        return aligned(head, rows)


def compare(models: Mapping[str, Model]) -> Comparisons:
    """Return what each model costs, as a table; the first model is the reference.

    Args:
        models: Networks made by `models.mlp` and its like, or Sequential and functional models of the same layers, by
            the names that the table shows.

    Raises:
        ValueError: If a model holds a layer whose units, or multiplications, would be left out.

    Examples:
        >>> reference = models.mlp((28, 28, 1), classes=10)
        >>> widths = models.matched_widths("relu", reference)
        >>> print(models.compare({"two_arg": reference, "relu": models.mlp((28, 28, 1), 10, "relu", widths)}))
            arm  parameters  difference  units  pre-activations  normalization  multiply-adds
        two_arg     122,187      +0.00%    192              384      LayerNorm        940,672
           relu     121,904      -0.23%    354              354      LayerNorm        121,540
    """
    rows = Comparisons()
    for name, model in models.items():
        parameters = model.count_params()
        difference = parameters / rows[0].parameters - 1 if rows else 0.0
        rows.append(Comparison(name, parameters, *_costs(model), difference))
    return rows


def _costs(model: Model) -> tuple[int, int, str, int]:
    _check_counted(model)
    units = pre_activations = places = 0
    normalizations: list[str] = []
    before: list[object] = [None, None]  # the two layers before the unit
    for layer in model.layers:
        if is_unit(layer) or isinstance(layer, keras.layers.RNN):
            outputs, arity = _outputs(layer)
            units += outputs
            pre_activations += outputs * arity
            places += 1
            normalizations += [name for name, kind in _NORMALIZATIONS.items() if isinstance(before[1], kind)] or [
                name for name, kind in _NORMALIZATIONS.items() if isinstance(before[0], kind)
            ]
        before = [before[1], layer]
    of_all = normalizations[0] if len(normalizations) == places and len(set(normalizations)) == 1 else "mixed"
    return units, pre_activations, of_all if normalizations else "none", sum(map(_multiply_adds, model.layers))


_NORMALIZATIONS = {"LayerNorm": keras.layers.LayerNormalization, "BatchNorm": keras.layers.BatchNormalization}
_WITHOUT_MULTIPLICATIONS = (*_NORMALIZATIONS.values(), keras.layers.Embedding, PositionEmbedding)


def _check_counted(model: Model) -> None:
    """Raise a ValueError unless `_costs` counts all of a model's layers."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.RNN):
            counted, remedy = layer.return_sequences, "Use return_sequences=True"
        elif fan_out(layer):
            counted = layer.activation is keras.activations.linear
            remedy = f"Put the activation {layer.activation.__name__} into a layer of its own"
        else:
            known = (keras.layers.MultiHeadAttention, *_WITHOUT_MULTIPLICATIONS)
            counted, remedy = is_unit(layer) or not layer.weights or isinstance(layer, known), "Leave this model out"
        if not counted:
            raise ValueError(
                "`compare` counts the layers of the networks that `models` makes, at the top of a model. "
                f"Received: {layer.name!r} of class {type(layer).__name__} in {model.name!r}. {remedy}"
            )


def _outputs(layer: keras.layers.Layer) -> tuple[int, int]:
    """Return the number of a layer's units per sample, and of each unit's pre-activations."""
    if isinstance(layer, keras.layers.RNN):
        return layer.output.shape[1] * layer.cell.units, getattr(layer.cell, "arity", 1)
    arity = getattr(layer, "arity", 1)
    return prod(layer.input.shape[1:]) // arity, arity  # before any pooling


def _multiply_adds(layer: keras.layers.Layer) -> int:
    if isinstance(layer, TwoArgActivation):
        return _outputs(layer)[0] * _of_phi(layer.inner)
    if isinstance(layer, keras.layers.RNN):
        cell, (_, positions, width) = layer.cell, layer.output.shape
        linear = prod(cell.kernel.shape) + prod(cell.recurrent_kernel.shape)
        return int(positions * (linear + (width * _of_phi(cell.inner) if isinstance(cell, TwoArgRNNCell) else 0)))
    if isinstance(layer, keras.layers.MultiHeadAttention):
        _, positions, width = layer.output.shape
        return int(4 * positions * width**2 + 2 * positions**2 * width)
    if fan_out(layer):
        return int(prod(layer.output.shape[1:]) // fan_out(layer) * prod(layer.kernel.shape))
    return 0


def _of_phi(inner: InnerNetwork | list[InnerNetwork]) -> int:
    first = inner[0] if isinstance(inner, list) else inner  # several networks have equal blocks of units
    return sum(prod(weight.shape) for weight in first.weights if len(weight.shape) > 1)
