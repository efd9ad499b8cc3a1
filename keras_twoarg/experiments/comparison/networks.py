"""The networks that are compared: the user's own as it is and with other units, all compiled alike."""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_twoarg.models.conversion.rebuild import rebuilt
from keras_twoarg.models.convert import convert, sized
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Model

OWN = "own"
"""The arm that is the model as it is."""

Compile = Callable[[Model], None]


def make(
    model: Model,
    arm: str,
    seed: int,
    keep: str,
    where: str | Sequence[str] | None,
    hidden_units: Sequence[int] | None = None,
) -> Model:
    """Return a model's network for an arm, not compiled.

    Args:
        model: A Sequential or functional model.
        arm: `OWN`, or as in `convert`.
        seed: For its new weights, even where the model's initializers have seeds of their own.
        keep: `"parameters"`: all weights are new. `"function"`: the model's own weights, and what `convert` adds.
        where: As in `convert`.
        hidden_units: Widths of phi's hidden layers.
    """
    keras.utils.set_random_seed(seed)
    own = rebuilt(model, weights=keep == "function", more_seed=seed)
    if arm == OWN:
        return own
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The converted")  # about widths: the table shows parameters
        return convert(own, sized(arm, hidden_units, own), keep=keep, where=where)[0]


def compile_as(network: Model, model: Model, learning_rate: float | None, own: Compile | None) -> None:
    """Compile a network as the model is, or with the user's function, and set the learning rate if one is given."""
    if own is not None:
        own(network)
        if not network.compiled:
            raise ValueError("`compile` must call `compile` of the model it is given. It did not")
    else:
        check_compiled(model)
        try:
            network.compile_from_config(model.get_compile_config())
        except (TypeError, ValueError) as error:
            raise ValueError(
                "The optimizer, loss or metrics of the model cannot be rebuilt from their configs "
                f"({' '.join(str(error).split())[:200]}). Pass `compile`, a function that compiles a model"
            ) from error
    if learning_rate is not None:
        try:
            network.optimizer.learning_rate = learning_rate
        except TypeError as error:
            raise ValueError(
                "The optimizer has a schedule, so its learning rate cannot be set. Leave `learning_rates` out, or "
                "compile the model with a number as the learning rate"
            ) from error


def check_compiled(model: Model) -> None:
    """Raise a ValueError unless a model says how it is to be trained."""
    if not getattr(model, "compiled", False) or model.optimizer is None or model.get_compile_config() is None:
        raise ValueError(
            f"The model {model.name!r} is not compiled, so nothing says how to train it. Call "
            "model.compile(optimizer, loss, metrics=[...]) first; a .keras file saved after that keeps it"
        )


def optimizer_of(network: Model, rate_too: bool = True) -> str:
    """Return a network's optimizer and, unless each run has one of its own, its learning rate, for people."""
    if not rate_too:
        return type(network.optimizer).__name__
    try:
        rate = f"{float(keras.ops.convert_to_numpy(network.optimizer.learning_rate)):.3g}"
    except (TypeError, ValueError):
        rate = "a rate of its own"
    return f"{type(network.optimizer).__name__} at {rate}"


def fingerprint(model: Model, weights: bool) -> str:
    """Return a hash of a model's config and how it is compiled, and of its weights if asked.

    The numbers that Keras appends to names are left out: a model built again in the same process, as by running a
    notebook cell twice, counts as the same one.
    """
    try:
        compiled = model.get_compile_config() if getattr(model, "compiled", False) else None
    except TypeError:  # it cannot be written down, and so is not used
        compiled = None
    digest = _digest(model, [model.get_config(), compiled])
    for weight in model.weights if weights else ():
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]


def fingerprint_of_compile(network: Model) -> str:
    """Return a network's optimizer, for people, and a hash of all that it was compiled with."""
    try:
        compiled = network.get_compile_config()
    except TypeError as error:  # as saving the best network would, after the training
        raise ValueError(
            "The loss and metrics that `compile` gives must be functions, or objects with `get_config`, so that the "
            f"best networks can be saved. {error}"
        ) from error
    return f"{optimizer_of(network)}, {_digest(network, compiled).hexdigest()[:16]}"


def _digest(model: Model, known: object) -> "hashlib._Hash":
    text = json.dumps(known, sort_keys=True, default=str)
    for number, layer in enumerate(flatten_layers(model)):
        text = text.replace(f'"{layer.name}"', f'"layer {number}"')
    return hashlib.sha256(re.sub(r'("name": "[a-z_]+?)_\d+"', r'\1"', text).encode())
