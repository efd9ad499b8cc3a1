"""What converting a model did, as values and as a table."""

from dataclasses import asdict, dataclass

from keras_twoarg.models.matching import TOLERANCE
from keras_twoarg.utils.table import aligned
from keras_twoarg.utils.types import Config


@dataclass(frozen=True)
class ConvertedPlace:
    """An activation that was converted.

    Attributes:
        name: Name of the layer, with those of the models that it is nested in: `"encoder/relu"`.
        activation: What it was.
        linear: The linear layer in front.
        layer: Name of the new `TwoArgActivation`, or `PairActivation`.
        units_before: Units of the place, the size of its last axis.
        units: Units now; only `keep="parameters"` changes them.
        arguments: Arguments of its units now, one or two.
        phi: Name of the inner network that it holds, or of its fixed function.
        error: Largest distance of phi from the old activation on [-10, 10]; `None` with `keep="parameters"`.
        evaluation: How phi is evaluated there; `"fixed"` for a fixed function.
    """

    name: str
    activation: str
    linear: str
    layer: str
    units_before: int
    units: int
    arguments: int
    phi: str
    error: float | None
    evaluation: str


@dataclass(frozen=True)
class LeftPlace:
    """An activation that was left as it was.

    Attributes:
        name: Name of the layer.
        activation: What it is.
        reason: Why it was not converted.
    """

    name: str
    activation: str
    reason: str


@dataclass(frozen=True)
class ConversionReport:
    """What `convert` did; printing it gives a table.

    Attributes:
        keep: `"function"` or `"parameters"`.
        places: The activations that were converted.
        left: The activations that were not, with the reasons.
        new_layers: Names of the layers that give the second arguments. Their weights are new; with `keep="function"`
            those of all other layers are the old ones.
        parameters_before: Parameters of the first model.
        parameters: Parameters of the converted one, each phi counted once.
        difference: Largest absolute difference of outputs on random inputs; `None` with `keep="parameters"`, or where
            a model does not run on them, such as text.
        scale: Largest absolute output of the first model on them.
    """

    keep: str
    places: tuple[ConvertedPlace, ...]
    left: tuple[LeftPlace, ...]
    new_layers: tuple[str, ...]
    parameters_before: int
    parameters: int
    difference: float | None = None
    scale: float | None = None

    def to_dict(self) -> Config:
        """Return everything as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        head = ("place", "was", "fed by", "units", "phi", "phi's error", "evaluation")
        rows = [
            (
                place.name,
                place.activation,
                place.linear,
                f"{place.units}" if place.units == place.units_before else f"{place.units_before} -> {place.units}",
                place.phi,
                "" if place.error is None else f"{place.error:.1e}",
                place.evaluation,
            )
            for place in self.places
        ]
        blocks = [aligned(head, rows, to="left")]
        if self.left:
            left = [(place.name, place.activation, place.reason) for place in self.left]
            blocks.append(aligned(("left as it is", "is", "because"), left, to="left"))
        return "\n\n".join([*blocks, "\n".join(self._sentences())])

    def _sentences(self) -> list[str]:
        change, said = self.parameters / self.parameters_before - 1, have(self.places[0].arguments)
        sentences = [
            f"{len(self.places)} of {len(self.places) + len(self.left)} activations {said} now",
            f"{self.parameters_before:,} parameters before, {self.parameters:,} now ({change:+.2%})",
        ]
        if self.keep == "parameters" and abs(change) > TOLERANCE:
            sentences.append(f"no whole widths come within {TOLERANCE:.1%}: these are the nearest")
        if self.difference is not None:
            sentences.append(
                f"largest difference of outputs on random inputs {self.difference:.1e}, for outputs up to "
                f"{self.scale:.2g}"
            )
        elif self.keep == "function":
            sentences.append("outputs were not compared, because a model does not run on random inputs here")
        return sentences


def have(arguments: int) -> str:
    """Say what activations of so many arguments are or have."""
    return "are a learned function of one argument" if arguments == 1 else "have two arguments"
