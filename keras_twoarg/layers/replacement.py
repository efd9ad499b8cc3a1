"""set_phi: replace the inner network in all places of a model."""

from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import places_of, retrace
from keras_twoarg.utils.keras_internals import (
    are_in_scope,
    fetch_state,
    flatten_layers,
    renew_optimizer,
    renew_parameters,
    scope_of,
)
from keras_twoarg.utils.types import Model


def set_phi(model: Model, inner: InnerNetwork, *, instead_of: InnerNetwork | None = None) -> None:
    """Replace the inner network in all places of a model, which may be built, loaded or compiled.

    From then on the places share `inner` itself; a frozen place freezes it. To copy its values alone, call
    `phi.set_weights(inner.get_weights())` on the model's own phi.

    A compiled model gets a new optimizer with the same settings, since the old one tracks the old phi's weights: its
    state, its step count and the variables excluded from weight decay are reset, as after `compile`. Models that share
    layers with this one must be compiled again.

    Args:
        model: A Keras model of any kind that holds at least one `TwoArgActivation`, by itself or in a block.
        inner: The new phi, of the same arity: a fresh one, one from `InnerNetwork.load`, or another model's.
        instead_of: The inner network to replace, required if the model has several. Defaults to `None`: the only one.

    Raises:
        TypeError: If `inner` is not an `InnerNetwork`.
        ValueError: If the model holds no `TwoArgActivation`, if it holds several networks and `instead_of` is none of
            them, if the arity differs, or if the network was created outside the model's `tf.distribute` strategy. The
            model is then unchanged.

    Examples:
        >>> model = models.mlp((28, 28, 1), classes=10)
        >>> phi = InnerNetwork(hidden_units=(16,))
        >>> set_phi(model, phi)
        >>> print(describe(model).phis[0].parameters)
        65
    """
    places = places_of(model, "to set")
    networks = {id(layer.inner): layer.inner for layer in places}
    if (instead_of is None and len(networks) > 1) or (instead_of is not None and id(instead_of) not in networks):
        names = ", ".join(repr(network.name) for network in networks.values())
        raise ValueError(
            f"`instead_of` must be one of the inner networks of the model {model.name!r}: {names}. "
            f"Received: instead_of={instead_of!r}"
        )
    places = [layer for layer in places if instead_of in (None, layer.inner)]
    for layer in places:
        layer.check_inner(inner)
    if inner.built and not are_in_scope(model, inner.weights):
        raise ValueError(
            f"The inner network {inner.name!r} was not created in the scope of the model's `tf.distribute` strategy. "
            "Create or load it under `with model.distribute_strategy.scope():`."
        )
    fetch_state(model)
    with scope_of(model):
        replaced = [layer for layer in places if layer.replace_inner(inner)]
    for part in flatten_layers(model):
        renew_parameters(part)
    renew_optimizer(model)
    retrace(replaced)
