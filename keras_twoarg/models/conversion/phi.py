"""An inner network that starts as an old activation of its first argument.

An elementwise activation is written as a sum of ReLUs, `c + sum_k a_k relu(x1 - t_k) + sum_k b_k relu(-x1 - s_k)`, with
few knots. For ReLU, LeakyReLU, ReLU6 and their like that is exact; for smooth ones the knots lie where they bend most.
Some of phi's hidden units compute this sum. All others keep their initial weights and get output weights of zero: they
change nothing at first, and learn from the first step on.

Knots are multiples of 1/8, the step of a table with 81 nodes, which so represents phi as exactly as phi itself is.
"""

from dataclasses import dataclass

import keras
import numpy as np

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models.conversion.elementwise import ArrayFunction
from keras_twoarg.ops.interpolation import Interpolation

LARGEST_ERROR = 0.05
"""The error up to which phi counts as the old activation: absolute on [-10, 10], relative farther out."""

TABLE_RESOLUTION = 81
"""Nodes on [-5, 5], along each argument, that fall on the knots."""
_STEP = 1 / 8
_EXTENT = 10.0
_FAR = 20.0
EXACT = 1e-6  # the error up to which phi is the old activation but for rounding
_TAIL = 1e-3  # a function that stays this close to a straight line is treated as one
_FINE = np.arange(-640, 641) / 64  # [-10, 10]
_BEYOND = np.geomspace(_EXTENT, 100, 100)
FAR_OUT = np.concatenate([-_BEYOND[::-1], _BEYOND])


class NotFinite(ValueError):
    """An activation that is not finite everywhere."""


@dataclass(frozen=True, eq=False)
class ReluSum:
    """A sum of ReLUs of one argument, in float64.

    Attributes:
        constant: Its value where no ReLU is active, at zero.
        directions: For each ReLU 1 or -1: whether it rises to the right or to the left.
        knots: Distance from zero at which each one begins.
        slopes: Factor of each one.
    """

    constant: float
    directions: np.ndarray
    knots: np.ndarray
    slopes: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the sum."""
        active = np.maximum(self.directions * np.asarray(x)[..., None] - self.knots, 0)
        return self.constant + active @ self.slopes


def relu_sum(function: ArrayFunction, units: int) -> ReluSum:
    """Return the sum of at most `units` ReLUs that comes nearest to a function, by its largest error on [-10, 10].

    Examples:
        >>> from keras_twoarg.models.conversion.phi import relu_sum
        >>> relu_sum(lambda x: np.maximum(x, 0), units=32).slopes
        array([1.])
    """
    values = np.asarray(function(_FINE.astype("float32")), "float64")
    far = np.asarray(function(np.array([-_FAR, 1 - _FAR, _FAR - 1, _FAR], "float32")), "float64")
    right, left = far[3] - far[2], far[0] - far[1]  # slopes outwards, far out
    if not np.isfinite([*values, right, left]).all():
        raise NotFinite("it is not finite on [-20, 20]")
    low, high = EXACT, max(1.0, 2 * float(np.abs(values).max()))
    if sum(map(len, _knots(values, right, left, low))) <= units:
        return _solve(values, _knots(values, right, left, low), right, left)
    for _ in range(24):
        middle = np.sqrt(low * high)
        fits = sum(map(len, _knots(values, right, left, middle))) <= units
        low, high = (low, middle) if fits else (middle, high)
    return _solve(values, _knots(values, right, left, high), right, left)


def _knots(values: np.ndarray, right: float, left: float, tolerance: float) -> tuple[list[int], list[int]]:
    """Return the knots to the right and to the left of zero, as numbers of steps, for straight lines between them."""
    middle = len(values) // 2
    return _one_side(values[middle:], right, tolerance), _one_side(values[middle::-1], left, tolerance)


def _one_side(values: np.ndarray, slope: float, tolerance: float) -> list[int]:
    """Go outwards, each time as far as a straight line stays within the tolerance, to where the last one begins."""
    fine = round(64 * _STEP)
    over_line = values - slope * np.arange(len(values)) / 64
    far_off = [np.abs(over_line[k:] - over_line[k]).max() > _TAIL for k in range(0, len(values), fine)]
    last, knots = min(sum(far_off), len(far_off) - 1), [0]
    while knots[-1] < last:
        start, end = knots[-1], knots[-1] + 1
        while end < last and _bend(values[start * fine : (end + 1) * fine + 1]) <= tolerance:
            end += 1
        knots.append(end)
    return knots


def _bend(values: np.ndarray) -> float:
    """Return the largest distance of values from the line through the first and the last."""
    return float(np.abs(values - np.linspace(values[0], values[-1], len(values))).max())


def _solve(values: np.ndarray, knots: tuple[list[int], list[int]], right: float, left: float) -> ReluSum:
    """Fit the slopes by least squares; those outwards, beyond the last knot, are the function's own far out."""
    directions = np.concatenate([np.full(len(side), sign) for side, sign in zip(knots, (1.0, -1.0), strict=True)])
    places = np.concatenate([np.asarray(side, float) * _STEP for side in knots])
    active = np.maximum(directions * _FINE[:, None] - places, 0)  # (points, ReLUs)
    columns, target = [np.ones(len(_FINE))], values.copy()
    ends = {1.0: len(knots[0]) - 1, -1.0: len(places) - 1}
    for direction, slope in ((1.0, right), (-1.0, left)):
        target -= slope * active[:, ends[direction]]
    free = [k for k in range(len(places)) if k not in ends.values()]
    columns += [active[:, k] - active[:, ends[float(directions[k])]] for k in free]
    solution = np.linalg.lstsq(np.stack(columns, axis=1), target, rcond=None)[0]
    slopes = np.zeros(len(places))
    slopes[free] = solution[1:]
    for direction, slope in ((1.0, right), (-1.0, left)):
        slopes[ends[direction]] = slope - slopes[directions == direction].sum()
    slopes = np.where(np.abs(slopes - np.round(slopes, 6)) < EXACT, np.round(slopes, 6), slopes)
    bends = np.abs(slopes) > EXACT
    constant = 0.0 if abs(solution[0]) < EXACT else float(solution[0])
    return ReluSum(constant, directions[bends], places[bends], slopes[bends])


def check_can_hold(inner: InnerNetwork) -> None:
    """Raise a ValueError unless an activation can be written into a network of this form."""
    needed = "a network of ReLUs with at least 4 units in its first hidden layer and 2 in each other"
    widths = inner.hidden_units
    wide = bool(widths) and widths[0] >= 4 and min(widths) >= 2
    if inner.activation is not keras.activations.relu or not wide:
        raise ValueError(
            f"keep='function' writes the old activation into phi, which takes {needed}. Received: "
            f"{type(inner).__name__} with hidden_units={tuple(widths)}. Use InnerNetwork(), or keep='parameters'"
        )


def write(inner: InnerNetwork, function: ArrayFunction) -> ReluSum:
    """Set phi's weights so that phi(x1, x2) is an activation of x1; half of its first hidden layer is used for that.

    Returns:
        The sum of ReLUs that phi is then.
    """
    check_can_hold(inner)
    total = relu_sum(function, inner.hidden_units[0] // 2)
    number = len(total.slopes)
    weights = inner.get_weights()
    weights[0][:, :number] = 0
    weights[0][0, :number] = total.directions
    weights[1][:number] = -total.knots
    # One unit of the next layer holds the sum where it is positive, a second one where it is negative.
    signs = (1.0,) if total.constant >= 0 and (total.slopes >= 0).all() else (1.0, -1.0)
    sums, constant = np.zeros((inner.hidden_units[0], len(signs))), total.constant
    sums[:number] = total.slopes[:, None] * signs
    for kernel, bias in zip(weights[2:-2:2], weights[3:-2:2], strict=True):
        kernel[:, : len(signs)], bias[: len(signs)] = sums, constant * np.asarray(signs)
        sums, constant = np.eye(kernel.shape[1], len(signs)), 0.0
    deep = len(inner.hidden_units) > 1
    weights[-2][:] = (sums @ np.asarray(signs) if deep else sums[:, 0])[:, None]
    weights[-1][:] = constant
    inner.set_weights(weights)
    return total


def error(inner: InnerNetwork, function: ArrayFunction) -> float:
    """Return the largest distance of phi(x1, x2) from an activation of x1, for x1 in [-10, 10] and x2 in [-3, 3]."""
    expected = np.asarray(function(_FINE.astype("float32")))
    values = [_values(inner, _FINE, x2) for x2 in (-3.0, 0.0, 3.0)]
    return max(float(np.abs(one - expected).max()) for one in values)


def far_error(inner: InnerNetwork, function: ArrayFunction) -> float:
    """Return the largest relative error for |x1| from 10 to 100: relative to the activation, to |x1| / 20, or to 1.

    The largest of the three counts. The error is large for an activation that bends out there; one that flattens, as
    softsign does, may drift from its line.
    """
    expected = np.asarray(function(FAR_OUT.astype("float32")))
    values = _values(inner, FAR_OUT, 0.0)
    return float((np.abs(values - expected) / np.maximum(np.maximum(np.abs(expected), np.abs(FAR_OUT) / 20), 1)).max())


def _values(inner: InnerNetwork, x1: np.ndarray, x2: float) -> np.ndarray:
    """Return phi along its first argument, where the second one, if it has one, is a number."""
    return inner.predict(np.stack([x1, np.full(len(x1), x2)], axis=1)[:, : inner.arity])[:, 0]


def table_for(total: ReluSum) -> Interpolation:
    """Return the smallest table that extrapolates beyond its border as the sum does, with the default table's step."""
    outside = np.arange(0, 12, 1 / 4)
    for extent in range(5, int(_EXTENT)):
        at = float(extent)
        missed = [
            np.abs(total(side * (at + outside)) - total(np.array(side * at)) - outside * _slope(total, side, at)).max()
            for side in (1.0, -1.0)
        ]
        if max(missed) <= 2 * _TAIL:
            break
    else:
        extent = int(_EXTENT)
    return Interpolation(float(extent), round(2 * extent / _STEP) + 1)


def _slope(total: ReluSum, side: float, at: float) -> float:
    """Return the outward slope of a table's border cell."""
    inner, border = total(np.array([side * (at - _STEP), side * at]))
    return float((border - inner) / _STEP)
