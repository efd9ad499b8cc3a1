"""describe: the places of a model, the phi that each of them holds, and how it is evaluated."""

from dataclasses import dataclass

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import TwoArgActivation, places_of
from keras_twoarg.utils.table import aligned
from keras_twoarg.utils.types import Model, Shape


@dataclass(frozen=True)
class PlaceDescription:
    """One place of a model.

    Attributes:
        name: The layer's name.
        units: Shape of the outputs for one sample, with `None` for axes of unknown size; `None` if the layer is not
            built.
        evaluation: `"exact"` or `"interpolated"`, whichever is in use.
        nodes: Nodes of the table along each argument, `(81, 81)`; `()` if there is no table.
        phi: Name of the inner network.
        shared: Whether other places of the model hold the same network.
    """

    name: str
    units: Shape | None
    evaluation: str
    nodes: tuple[int, ...]
    phi: str
    shared: bool


@dataclass(frozen=True)
class PhiDescription:
    """One inner network of a model.

    Attributes:
        name: The network's name.
        kind: Its class.
        layers: Numbers of arguments, hidden units and outputs: `(2, 64, 64, 1)`.
        parameters: Number of parameters, counted once for all places.
        places: Number of places that hold it.
        trainable: Whether training changes it.
    """

    name: str
    kind: str
    layers: tuple[int, ...]
    parameters: int
    places: int
    trainable: bool


@dataclass(frozen=True, repr=False)
class Description:
    """What `describe` returns; printed, or shown in a notebook, it is a table.

    Attributes:
        places: One entry per `TwoArgActivation`, in the order of the model's layers.
        phis: One entry per inner network.
        parameters: Number of parameters of the whole model.
    """

    places: tuple[PlaceDescription, ...]
    phis: tuple[PhiDescription, ...]
    parameters: int

    def __str__(self) -> str:
        head = ("place", "units", "evaluation", "table", "phi", "shared")
        table = aligned(head, [_row(place) for place in self.places], to="left")
        return "\n".join([table, "", *(self._sentence(phi) for phi in self.phis)])

    def _sentence(self, phi: PhiDescription) -> str:
        places = "1 place" if phi.places == 1 else f"{phi.places} places"
        return (
            f"{phi.name}: {phi.kind} {' -> '.join(map(str, phi.layers))}, {phi.parameters:,} of the model's "
            f"{self.parameters:,} parameters, once for {places}, {'trainable' if phi.trainable else 'frozen'}"
        )

    __repr__ = __str__


def describe(model: Model) -> Description:
    """Describe a model's places and inner networks.

    Args:
        model: A Keras model or layer of any kind that holds at least one `TwoArgActivation`.

    Returns:
        A `Description`, which prints as a table.

    Raises:
        TypeError: If `model` is not a Keras model or layer.
        ValueError: If the model holds no `TwoArgActivation`.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10, widths=(64, 32))
        >>> print(describe(model))  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        place   units  evaluation    table    phi  shared
        two...  64     interpolated  41 x 41  phi  yes
        two...  32     exact         -        phi  yes
        <BLANKLINE>
        phi: InnerNetwork 2 -> 64 -> 64 -> 1, 4,417 of the model's 109,387 parameters, once for 2 places, trainable
    """
    places = places_of(model, "to describe")
    networks = list({id(layer.inner): layer.inner for layer in places}.values())
    held = {id(network): sum(layer.inner is network for layer in places) for network in networks}
    return Description(
        tuple(_place(layer, held[id(layer.inner)] > 1) for layer in places),
        tuple(_phi(network, held[id(network)]) for network in networks),
        int(model.count_params()),
    )


def _place(layer: TwoArgActivation, shared: bool) -> PlaceDescription:
    grid = None if layer.evaluation_in_use == "exact" else layer.grid
    nodes = () if grid is None else (grid.resolution,) * layer.arity
    evaluation = "interpolated" if nodes else "exact"
    return PlaceDescription(layer.name, _units(layer), evaluation, nodes, layer.inner.name, shared)


def _units(layer: TwoArgActivation) -> Shape | None:
    config = layer.get_build_config() if layer.built else None
    return layer.compute_output_shape(config["input_shape"])[1:] if config else None


def _phi(network: InnerNetwork, places: int) -> PhiDescription:
    parameters = network.count_params()
    layers = (network.arity, *network.hidden_units, 1)
    trainable = bool(network.trainable_weights)
    return PhiDescription(network.name, type(network).__name__, layers, parameters, places, trainable)


def _row(place: PlaceDescription) -> tuple[str, ...]:
    units = "not built" if place.units is None else _times(place.units)
    return place.name, units, place.evaluation, _times(place.nodes) or "-", place.phi, "yes" if place.shared else "no"


def _times(sizes: Shape) -> str:
    return " x ".join("?" if size is None else str(size) for size in sizes)
