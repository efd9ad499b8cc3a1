"""The networks that are compared: the user's own as it is, and with other units, all compiled as it is."""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_twoarg.models.conversion.rebuild import rebuilt
from keras_twoarg.models.convert import convert
from keras_twoarg.utils.keras_internals import flatten_layers
from keras_twoarg.utils.types import Model

OWN = "own"
"""The arm that is the model as it is."""

Compile = Callable[[Model], None]


def make(model: Model, arm: str, seed: int, keep: str, where: str | Sequence[str] | None) -> Model:
    """Return a model's network of an arm, not compiled.

    Args:
        model: A Sequential or functional model.
        arm: `OWN`, or as in `convert`.
        seed: Of its new weights, also where the model's initializers have seeds.
        keep: `"parameters"`: all weights are new. `"function"`: the model's own weights, and what `convert` adds.
        where: As in `convert`.
    """
    keras.utils.set_random_seed(seed)
    own = rebuilt(model, weights=keep == "function", more_seed=seed)
    if arm == OWN:
        return own
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The converted")  # about widths: the table shows parameters
        return convert(own, arm, keep=keep, where=where)[0]


def compile_as(network: Model, model: Model, learning_rate: float | None, own: Compile | None) -> None:
    """Compile a network as a model is compiled, or by a user's function, with another learning rate if one is given."""
    if own is not None:
        own(network)
        if not network.compiled:
            raise ValueError("`compile` must call `model.compile(...)` of the model that it gets. It did not")
    else:
        check_compiled(model)
        try:
            network.compile_from_config(model.get_compile_config())
        except (TypeError, ValueError) as error:
            raise ValueError(
                "The optimizer, loss or metrics of the model cannot be made anew from their configs "
                f"({' '.join(str(error).split())[:200]}). Pass `compile`, a function that compiles the model it gets"
            ) from error
    if learning_rate is not None:
        try:
            network.optimizer.learning_rate = learning_rate
        except TypeError as error:
            raise ValueError(
                "The optimizer has a schedule, and takes no other learning rate. Leave `learning_rates` out, or "
                "compile the model with a number"
            ) from error


def check_compiled(model: Model) -> None:
    """Raise a ValueError unless a model says how it is to be trained."""
    if not getattr(model, "compiled", False) or model.optimizer is None or model.get_compile_config() is None:
        raise ValueError(
            f"The model {model.name!r} is not compiled, so it is not known how to train it. Call "
            "model.compile(optimizer, loss, metrics=[...]) first; a .keras file that is saved behind it keeps that"
        )


def fingerprint(model: Model, weights: bool) -> str:
    """Return what a folder of results knows a model by: its config and how it is compiled, and its weights if asked.

    Names that Keras counts up are left out: a model that is made anew in the same process, as by a cell of a notebook,
    is the same one.
    """
    known = [model.get_config(), model.get_compile_config() if getattr(model, "compiled", False) else None]
    text = json.dumps(known, sort_keys=True, default=str)
    for number, layer in enumerate(flatten_layers(model)):
        text = text.replace(f'"{layer.name}"', f'"layer {number}"')
    digest = hashlib.sha256(re.sub(r'("name": "[a-z_]+?)_\d+"', r'\1"', text).encode())
    for weight in model.weights if weights else ():
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()[:16]
