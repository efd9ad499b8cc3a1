"""The files of a stage on phi: its weights over the epochs, its surface, and the density of its arguments.

`joint-phi.npz` holds `epochs`, `weight_i` with one entry for each epoch, and `activation`. `joint-surface.npz` holds
`learned` and, for the joint stage, `start`: phi on the grid of pretraining. For each place of phi in the network it
also holds `places` (its name, in order), `counts` (argument tuples in the cell around each node) and `numbers` (all
tuples).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from keras_twoarg.analysis.density import Density, density, inner_network, pool, pre_activations
from keras_twoarg.analysis.quadratic_fit import features
from keras_twoarg.utils.files import UNREADABLE, write_whole
from keras_twoarg.utils.types import Config, Model


@dataclass(frozen=True)
class Trace:
    """phi of one stage, as arrays.

    Attributes:
        learned: phi at the best epoch on the density's nodes, `(101,) * arity`.
        places: The density of phi's arguments at each place in the network, in the order of computation.
        start: phi before the stage, on the same nodes; None in the frozen stage, where it does not change.
        weights: phi's weights by epoch; epoch 0 is the start. Empty in the frozen stage.
        activation: Activation of phi's hidden layers.
    """

    learned: np.ndarray
    places: dict[str, Density]
    start: np.ndarray | None = None
    weights: dict[int, list[np.ndarray]] = field(default_factory=dict)
    activation: str = "relu"

    @property
    def density(self) -> Density:
        """The density of phi's arguments, pooled over all places."""
        return pool(list(self.places.values()))

    def at(self, epoch: int) -> np.ndarray:
        """Return phi on the grid after an epoch of the joint stage."""
        return _on_grid(self.weights[epoch], self.places, self.activation)

    @classmethod
    def read(cls, file: Path) -> "Trace":
        """Read `joint-surface.npz` and, if it exists, `joint-phi.npz` in the same folder."""
        read = file
        snapshots = file.with_name(file.name.replace("-surface", "-phi"))
        arrays: Config = {}
        try:
            for read, needed in ((file, ("places", "counts", "numbers")), (snapshots, ("epochs", "weight_0"))):
                if read == file or read.exists():
                    with np.load(read) as opened:
                        arrays |= {name: opened[name] for name in (*needed, *opened.files)}
            read = file
            return cls.from_arrays(arrays)
        except UNREADABLE as error:
            raise ValueError(
                f"{read} is damaged or from an older version ({error}). Move its folder away to run this again"
            ) from error

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], best_epoch: int | None = None) -> "Trace":
        """Return phi from arrays named as in `to_arrays` and in the files of a stage.

        A missing surface is computed from phi's weights: the learned one at `best_epoch`, the start at epoch 0.
        """
        places = {
            str(name): _density(counts, int(number))
            for name, counts, number in zip(arrays["places"], arrays["counts"], arrays["numbers"], strict=True)
        }
        parts = [arrays[name] for name in arrays if name.startswith("weight_")]
        weights = {int(epoch): [p[i] for p in parts] for i, epoch in enumerate(arrays["epochs"] if parts else ())}
        activation = str(arrays["activation"]) if "activation" in arrays else "relu"

        def surface(name: str, epoch: int | None) -> np.ndarray | None:
            if name in arrays or epoch is None or epoch not in weights:
                return arrays.get(name)
            return _on_grid(weights[epoch], places, activation).astype("float32")

        learned = surface("learned", best_epoch)
        if learned is None:
            raise KeyError("learned")
        return cls(learned, places, surface("start", 0), weights, activation)

    def to_arrays(self, best_epoch: int | None = None, *, ends: bool = False) -> dict[str, np.ndarray]:
        """Return phi as arrays, losslessly and in few bytes.

        A surface is left out if it can be computed from phi's weights at its epoch. `ends` keeps phi's weights only at
        the start and at the best epoch.
        """
        weights = {e: w for e, w in self.weights.items() if not ends or e in (0, best_epoch)}
        counts = np.stack([np.rint(d.values * d.number) for d in self.places.values()])
        arrays = {
            "places": np.array(list(self.places)),
            "counts": counts.astype(np.min_scalar_type(int(counts.max()))),
            "numbers": np.array([d.number for d in self.places.values()]),
        }
        if best_epoch not in weights:
            arrays["learned"] = self.learned
        if self.start is not None and 0 not in weights:
            arrays["start"] = self.start
        return arrays | _stacked(weights, self.activation) if weights else arrays


def _on_grid(weights: list[np.ndarray], places: Mapping[str, Density], activation: str) -> np.ndarray:
    some = next(iter(places.values()))
    return evaluate_weights(weights, some.nodes, activation).reshape(some.values.shape)


def _stacked(snapshots: dict[int, list[np.ndarray]], activation: str) -> dict[str, np.ndarray]:
    """Return phi's weights by epoch as arrays, one for each weight."""
    stacked = {f"weight_{i}": np.stack(weights) for i, weights in enumerate(zip(*snapshots.values(), strict=True))}
    return {"epochs": np.array(list(snapshots)), **stacked, "activation": np.array(activation)}


def save_snapshots(path: Path, snapshots: dict[int, list[np.ndarray]], activation: str) -> None:
    """Write phi's weights over the epochs."""
    arrays: Config = _stacked(snapshots, activation)
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def save_surface(path: Path, model: Model, images: np.ndarray, start: list[np.ndarray] | None) -> None:
    """Write a model's phi on the grid, the density of its arguments and, if its weights are given, phi at the start."""
    phi = inner_network(model)
    densities = [density(tuples) for tuples in pre_activations(model, images).values()]
    some = densities[0]
    arrays: Config = {"learned": phi.predict(some.nodes).reshape(some.values.shape)}
    if start is not None:
        learned = phi.get_weights()
        phi.set_weights(start)
        arrays["start"] = phi.predict(some.nodes).reshape(some.values.shape)
        phi.set_weights(learned)
    # By order: layer names depend on what the process created before.
    arrays["places"] = np.array([f"place {i}" for i in range(1, len(densities) + 1)])
    arrays["counts"] = np.stack([np.rint(d.values * d.number).astype("int32") for d in densities])
    arrays["numbers"] = np.array([d.number for d in densities])
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def evaluate_weights(weights: list[np.ndarray], tuples: np.ndarray, activation: str = "relu") -> np.ndarray:
    """Evaluate phi from its weights alone: six coefficients of a quadratic, or kernels and biases of a network."""
    if len(weights) == 1:
        return features(*tuples.T) @ weights[0]
    function = _activation(activation)
    hidden = tuples
    *layers, kernel, bias = weights
    for hidden_kernel, hidden_bias in zip(layers[::2], layers[1::2], strict=True):
        hidden = function(hidden @ hidden_kernel + hidden_bias)
    return np.asarray(hidden @ kernel + bias)


def _activation(name: str) -> Callable[[np.ndarray], np.ndarray]:
    if name == "relu":
        return lambda values: np.maximum(values, 0)
    function = keras.activations.get(name)
    return lambda values: keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(values)))


def _density(counts: np.ndarray, number: int) -> Density:
    return Density(counts / number, float(1 - counts.sum() / number), number)
