"""The density of pre-activations over the plane of phi's arguments."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import itemgetter

import keras
import numpy as np

from keras_twoarg.analysis import surfaces
from keras_twoarg.analysis.surfaces import EXTENT, NODES
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, names_of, places_of
from keras_twoarg.utils.keras_internals import flatten_layers, watched_calls
from keras_twoarg.utils.types import Model, Samples, Tensors

_BATCH = 250


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class Density:
    """The distribution of argument tuples over the pretraining grid: 101 nodes on [-5, 5] along each argument.

    Attributes:
        values: Fraction of the tuples in the cell around each node, `(101,) * arity`; they sum to `1 - outside`.
        outside: Fraction of the tuples outside the grid.
        number: Number of tuples.
    """

    values: np.ndarray
    outside: float
    number: int

    @property
    def axis(self) -> np.ndarray:
        """The nodes along each argument."""
        return surfaces.axis()

    @property
    def nodes(self) -> np.ndarray:
        """All nodes as argument tuples, `(101 ** arity, arity)`, in the order of `values.ravel()`."""
        return surfaces.nodes(self.values.ndim)

    def support(self, mass: float = 0.9) -> np.ndarray:
        """Return the smallest set of cells with a fraction `mass` of the tuples on the grid, as a boolean array."""
        if not 0 < mass <= 1:
            raise ValueError(f"`mass` must be in (0, 1]. Received: mass={mass!r}")
        order = np.argsort(self.values, axis=None, kind="stable")[::-1]
        before = np.cumsum(self.values.ravel()[order]) - self.values.ravel()[order]
        inside = np.zeros(self.values.size, bool)
        inside[order] = before < mass * self.values.sum() * (1 - 1e-12)
        return inside.reshape(self.values.shape)

    def blurred(self, deviation: float = 1 / 3) -> "Density":
        """Return the density convolved with a Gaussian of this standard deviation, for smooth contours."""
        return Density(surfaces.blurred(self.values, deviation), self.outside, self.number)


class Unmeasurable(ValueError):
    """The values at hand do not tell what was asked; the call was right."""


def check_measurable(values: np.ndarray) -> None:
    """Raise Unmeasurable if some values of phi, at the nodes where its arguments fall, are not finite."""
    if wrong := np.count_nonzero(~np.isfinite(values)):
        raise Unmeasurable(
            f"Expected finite values of phi where its arguments fall. Received: {wrong} of {values.size} not finite, "
            "as after training that diverged"
        )


def density(tuples: np.ndarray) -> Density:
    """Count argument tuples `(N, arity)` on the grid.

    Examples:
        >>> measured = analysis.density(np.array([[0.0, 0.0], [0.02, -0.01], [1.0, 2.0], [9.0, 0.0]]))
        >>> float(measured.values[50, 50]), measured.outside
        (0.5, 0.25)
    """
    tuples = np.asarray(tuples)
    half_cell = EXTENT / (NODES - 1)
    edges = np.linspace(-EXTENT - half_cell, EXTENT + half_cell, NODES + 1)
    if tuples.ndim != 2 or len(tuples) == 0 or not np.isfinite(tuples).all():
        raise Unmeasurable(
            f"Expected finite argument tuples of shape (N, arity). Received: shape={tuples.shape}, "
            f"{np.count_nonzero(~np.isfinite(tuples))} of the values not finite"
        )
    counts, _ = np.histogramdd(tuples, bins=[edges] * tuples.shape[1])
    return Density(counts / len(tuples), float(1 - counts.sum() / len(tuples)), len(tuples))


def pool(parts: Sequence[Density]) -> Density:
    """Return the density of all tuples together, given the densities of parts of them.

    Raises:
        ValueError: If there is no density, or they differ in arity.
    """
    if len({part.values.shape for part in parts}) != 1:
        raise ValueError(f"Expected densities of one arity. Received: {[part.values.ndim for part in parts]}")
    number = sum(part.number for part in parts)
    values = np.sum([part.values * part.number for part in parts], axis=0) / number
    return Density(values, float(sum(part.outside * part.number for part in parts) / number), number)


def pre_activations(model: Model, x: Samples) -> dict[str, np.ndarray]:
    """Return the argument tuples that reach each TwoArgActivation of a Keras model of any kind.

    Args:
        model: A model that holds at least one `TwoArgActivation`.
        x: Inputs of the model: an array, or a list or dict of arrays. A few hundred samples suffice for a density.

    Returns:
        An array `(N, arity)` per place, by the layer's name (numbered if several layers share it), in the order of
        computation. A recurrent layer contributes every step; on TensorFlow the first one twice, since Keras computes
        it twice.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> [places.shape for places in analysis.pre_activations(model, np.zeros((5, 28, 28, 1))).values()]
        [(320, 2), (320, 2), (320, 2)]

    Raises:
        TypeError: If `model` is not a Keras model or layer, or `x` holds anything but arrays.
        ValueError: If the model holds no `TwoArgActivation`, or there are no samples.
    """
    layers = places_of(model, "to measure")
    names = names_of(layers)
    if others := {type(part).__name__ for part in keras.tree.flatten(x) if not hasattr(part, "shape")}:
        raise TypeError(
            f"`x` must be an array, or a list or dict of arrays, not batches of them. Received: {', '.join(others)}"
        )
    samples = len(keras.tree.flatten(x)[0])
    if not samples:
        raise ValueError("Expected at least one sample to measure pre-activations on. Received: none")
    tuples: dict[str, list[np.ndarray]] = {}

    def record(layer: TwoArgActivation, inputs: Tensors) -> None:
        array = keras.ops.convert_to_numpy(keras.ops.cast(layer.tuples(inputs), "float32"))
        tuples.setdefault(names[layer], []).append(array.reshape(-1, layer.arity))

    with _step_by_step(layers), watched_calls(layers, record):
        for start in range(0, samples, _BATCH):
            model(keras.tree.map_structure(itemgetter(slice(start, start + _BATCH)), x), training=False)
    return {name: np.concatenate(parts) for name, parts in tuples.items()}


def inner_network(model: Model) -> InnerNetwork:
    """Return the one inner network of a model."""
    networks = [layer for layer in flatten_layers(model) if isinstance(layer, InnerNetwork)]
    if len(networks) != 1:
        raise ValueError(f"Expected a model with one inner network. Received: {model.name!r} with {len(networks)}")
    return networks[0]


def _step_by_step(layers: Sequence[TwoArgActivation]) -> AbstractContextManager[object]:
    """Make JAX run loops step by step; within a scan there are no values to record."""
    if keras.backend.backend() != "jax" or not any(layer.in_loop for layer in layers):
        return nullcontext()
    import jax

    return jax.disable_jit()
