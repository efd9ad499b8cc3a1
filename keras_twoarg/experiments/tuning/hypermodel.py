"""The search space of outer networks, as a KerasTuner hypermodel."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np

from keras_twoarg import models
from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.training import networks
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.optimizers import make_optimizer
from keras_twoarg.experiments.training.training_loop import compile_network
from keras_twoarg.experiments.tuning.keras_tuner_internals import keras_tuner as kt
from keras_twoarg.utils import batches
from keras_twoarg.utils.types import Config, Model


class Range(NamedTuple):
    """A range of numbers, sampled uniformly in their logarithm."""

    low: float
    high: float


Choices: TypeAlias = Sequence[Any]
"""The possible values of a hyperparameter."""

SPACE: dict[str, Choices] = {
    "depth": (1, 2, 3, 4),
    "taper": (1.0, 0.7, 0.5),
    "dropout": (0.0, 0.1, 0.25, 0.5),
    "learning_rate": Range(3e-4, 1e-2),
    "batch_size": (50, 100, 200),
    "normalization": ("layer", "none"),
    "inner_units": (16, 32, 64),
    "inner_activation": ("relu", "silu"),
    "phi_init": ("random", "glorot", "product"),
    "phi_init_std": (0.01, 0.05),
    "pairing": ("adjacent",),
}
"""The possible values of each hyperparameter.

| name | what it is |
|---|---|
| depth | hidden layers |
| taper | width of each hidden layer relative to the previous one; the parameter budget sets the scale |
| dropout, learning_rate, batch_size, normalization | as in `Configuration` |
| inner_units | units of each of phi's two hidden layers; only for arms with an inner network |
| inner_activation, phi_init, phi_init_std | as in `Configuration`; only for arms with an inner network |
| pairing | as in `TwoArgActivation`; by default only one, since the other permutes the units of the same network |
"""


TOLERANCE = 0.01
DEEPEST = 32
"""The largest number of hidden layers."""
_ARCHITECTURES = ("mlp", "cnn")
_AS_IN_FIT = {"epoch_samples": 0, "augmentation": "none", "networks": 1}  # KerasTuner trains by Keras' own `fit`


class OuterHyperModel(kt.HyperModel):
    """Outer networks of one arm, all with the same number of parameters.

    A hyperparameter exists only where it has an effect: `taper` for at least two hidden layers, those of phi for arms
    with phi, `phi_init_std` if phi is pretrained. So different values always mean different models. The class works
    with every tuner of KerasTuner, and can be subclassed. `fit` pretrains phi before training.

    Args:
        arm: What fills the units, as in `models.mlp`.
        input_shape: Shape of one sample.
        classes: Number of classes.
        parameters: Parameters of every network, within 1 %, the size of a single unit. Defaults to `122_187`, those of
            the paper's perceptron on MNIST.
        space: Choices that replace those of `SPACE`, by name; a single one fixes the value.
        samples: Training samples in an epoch, required if the learning rate changes.
        configuration: The fixed settings: the architecture (of `"cnn"` the depth counts convolutions, and one dense
            layer follows), the evaluation, the optimizer, and the seed of initial weights, dropout and pretraining,
            the same for all trials. Defaults to `Configuration()`.

    Examples:
        >>> space = {"depth": (1, 2), "phi_init": ("glorot",)}
        >>> hypermodel = tuning.OuterHyperModel("two_arg", (28, 28, 1), 10, space=space)
        >>> hp = keras_tuner.HyperParameters()
        >>> model = hypermodel.build(hp)
        >>> abs(model.count_params() / 122_187 - 1) < 0.01, sorted(hp.values)[:3]
        (True, ['batch_size', 'depth', 'dropout'])

    Raises:
        ValueError: If the arm or a name in `space` is unknown, a list of choices is empty, a choice is invalid, or a
            search does not support the configuration.
    """

    def __init__(
        self,
        arm: str,
        input_shape: Sequence[int],
        classes: int,
        parameters: int = 122_187,
        *,
        space: Mapping[str, Choices] | None = None,
        samples: int = 0,
        configuration: Configuration | None = None,
    ) -> None:
        super().__init__()
        models.check_arm(arm)
        check_configuration(configuration or Configuration())
        self.base = replace(configuration or Configuration(), arm=arm, widths=None, equal_width=False)
        if not samples and (self.base.schedule != "constant" or self.base.warmup_epochs):
            raise ValueError(f"`samples` must be given where the learning rate changes. Received: samples={samples}")
        self.arm, self.input_shape, self.classes, self.parameters = arm, tuple(input_shape), classes, parameters
        self.samples = samples
        self.space = {**SPACE, "depth": self._possible(SPACE["depth"]), **checked_space(space or {}, self.base)}
        if impossible := sorted(set(self.space["depth"]) - set(self._possible(self.space["depth"]))):
            raise ValueError(
                f"`depth` in `space` must be one that images of {'x'.join(map(str, self.input_shape[:2]))} are large "
                f"enough for: each convolution and pooling halves them. Received: depth={impossible[0]}"
            )

    def _possible(self, depths: Sequence[int]) -> list[int]:
        """Return the depths for which the images are large enough."""
        if self.base.architecture != "cnn":
            return list(depths)
        sizes = [min(self.input_shape[:2])]
        while sizes[-1] >= 4:
            sizes.append((sizes[-1] - 2) // 2)
        return [depth for depth in depths if depth < len(sizes)]

    def check(self) -> None:
        """Raise a ValueError if a network of the space cannot have the same size as the others, before any trial."""
        units = self.space["inner_units"] if self.arm in ("two_arg", "one_arg") else ()
        phis = [replace(self.base, inner_units=(n, n)) for n in units] or [self.base]
        for depth, taper, phi in product(self.space["depth"], self.space["taper"], phis):
            self._widths(phi, depth, taper)

    def configuration(self, hp: kt.HyperParameters) -> Configuration:
        """Return the configuration for some hyperparameters, including its widths."""
        depth, taper = self._choose(hp, "depth"), 1.0
        deep = [d for d in self.space["depth"] if d > 1 or self.base.architecture == "cnn"]
        if depth in deep:
            with hp.conditional_scope("depth", deep) if len(self.space["depth"]) > 1 else nullcontext():
                taper = self._choose(hp, "taper")
        chosen = {name: self._choose(hp, name) for name in ("dropout", "learning_rate", "batch_size", "normalization")}
        if models.arity_of(self.arm) == 2:
            chosen["pairing"] = self._choose(hp, "pairing")
        if self.arm in models.ARMS:
            chosen |= self._of_phi(hp)
        configuration = replace(self.base, **chosen)
        return replace(configuration, widths=self._widths(configuration, depth, taper))

    def _widths(self, configuration: Configuration, depth: int, taper: float) -> tuple[int, ...]:
        """Return the widths for which a network has the search's number of parameters."""
        layers = depth + (self.base.architecture == "cnn")
        return models.widths_for_budget(
            self.arm,
            self.parameters,
            [max(1, round(1000 * taper**i)) for i in range(layers)],
            self.input_shape,
            self.classes,
            architecture=self.base.architecture,
            inner=networks.make_phi(configuration) if self.arm in models.ARMS else None,
            tolerance=TOLERANCE,
        )

    def build(self, hp: kt.HyperParameters) -> Model:
        """Return a compiled network."""
        configuration = self.configuration(hp)
        inner = networks.make_phi(configuration) if self.arm in models.ARMS else None
        shape, widths = self.input_shape, configuration.widths or ()
        model = networks.build_network(configuration, shape, self.classes, widths, inner, configuration.seed)
        compile_network(model, make_optimizer(configuration, configuration.epochs, self.samples, inner))
        model.optimizer.build(
            model.trainable_variables
        )  # otherwise Hyperband loads weights without the optimizer's state
        return model

    def fit(self, hp: kt.HyperParameters, model: Model, *args: object, **kwargs: Any) -> keras.callbacks.History:
        """Pretrain phi, then train; the batch size is one of the hyperparameters.

        Raises:
            ValueError: If the data are already in batches, but `space` has several choices for `batch_size`; or if
                another `batch_size` is given, which would replace the hyperparameter.
        """
        own = (args[1] if len(args) > 1 else kwargs.get("y")) is None  # a pipeline, whose batches Keras uses
        if own and len(self.space["batch_size"]) > 1:
            raise kt.errors.FatalValueError(
                "`batch_size` in `space` needs a single choice if the data are already in batches. "
                f"Received: batch_size={list(self.space['batch_size'])}"
            )
        configuration = self.configuration(hp)
        if (given := kwargs.pop("batch_size", None)) not in (None, configuration.batch_size):
            raise kt.errors.FatalValueError(
                f"`batch_size` is a hyperparameter, chosen from `space`. Received: batch_size={given!r} in "
                f"`search`, and {list(self.space['batch_size'])} in `space`. Leave the former out"
            )
        keras.utils.set_random_seed(configuration.seed)  # for the order of the batches
        if self.arm in models.ARMS and not kwargs.get("initial_epoch"):  # Hyperband continues trained weights
            networks.pretrain_phi(inner_network(model), configuration, lambda done, steps: None)
        if first := kwargs.get("initial_epoch"):  # the weights are those of the best epoch, which may be earlier
            steps = -(-self.samples // configuration.batch_size)
            model.optimizer.iterations.assign(max(first * steps, int(model.optimizer.iterations)))
        callbacks = [*kwargs.pop("callbacks", []), keras.callbacks.TerminateOnNaN()]
        args, kwargs = _in_batches(args, {"batch_size": configuration.batch_size, **kwargs})
        history = model.fit(*args, **{**kwargs, "callbacks": callbacks})
        if not np.isfinite(history.history["loss"]).all():
            raise kt.errors.FailedTrialError("The loss was no longer finite")
        return history

    def _of_phi(self, hp: kt.HyperParameters) -> Config:
        chosen: Config = {}
        if self.arm != "quadratic":
            units = self._choose(hp, "inner_units")
            chosen = {"inner_units": (units, units), "inner_activation": self._choose(hp, "inner_activation")}
        starts = self._starts()
        chosen["phi_init"] = self._choose(hp, "phi_init", starts)
        pretrained = [start for start in starts if start != "glorot"]
        if chosen["phi_init"] in pretrained:
            with hp.conditional_scope("phi_init", pretrained) if len(starts) > 1 else nullcontext():
                chosen["phi_init_std"] = self._choose(hp, "phi_init_std")
        return chosen

    def _starts(self) -> Choices:
        """Return the starts for the arm's arity; the named surfaces have two arguments."""
        one = models.ARMS[self.arm] != 2
        return [s for s in self.space["phi_init"] if not one or s in ("random", "glorot")] or ["random"]

    def _choose(self, hp: kt.HyperParameters, name: str, choices: Choices | None = None) -> Any:
        choices = self.space[name] if choices is None else choices
        if isinstance(choices, Range):
            return hp.Float(name, choices.low, choices.high, sampling="log")
        return choices[0] if len(choices) == 1 else hp.Choice(name, list(choices))


def _in_batches(args: tuple[object, ...], kwargs: Config) -> tuple[tuple[object, ...], Config]:
    """Return the arguments of `fit`, with arrays in batches if there is one array of inputs and one of targets."""
    if {"sample_weight", "validation_split", "validation_batch_size"} & set(kwargs):  # Keras requires arrays for these
        return args, kwargs
    match args:
        case np.ndarray() as x, np.ndarray() as y:
            batch_size = kwargs.pop("batch_size")
            data = batches.for_fit(x, y, batch_size, shuffle=kwargs.pop("shuffle", True))
        case _:
            return args, kwargs
    match kwargs.get("validation_data"):
        case np.ndarray() as x, np.ndarray() as y:
            data["validation_data"] = batches.for_validation(x, y, batch_size)
    return (), {**kwargs, **data}


def check_configuration(configuration: Configuration) -> None:
    """Raise a ValueError if a configuration has settings that KerasTuner would silently ignore."""
    if configuration.architecture not in _ARCHITECTURES:
        raise ValueError(
            f"`architecture` must be one of {_ARCHITECTURES} in a search. "
            f"Received: architecture={configuration.architecture!r}"
        )
    for name, default in _AS_IN_FIT.items():
        if (value := getattr(configuration, name)) != default:
            raise ValueError(f"`{name}` must be {default!r} in a search. Received: {name}={value!r}")


def checked_space(space: Mapping[str, object], base: Configuration) -> dict[str, Choices]:
    """Return choices in their stored form, or raise a ValueError that names the first invalid one.

    Args:
        space: Choices by name.
        base: The configuration that a choice changes.
    """
    if unknown := sorted(set(map(str, space)) - set(SPACE)):
        raise ValueError(f"`space` needs choices for names among {tuple(SPACE)}. Received: {unknown}")
    checked: dict[str, Choices] = {}
    for name, choices in space.items():
        if not isinstance(choices, list | tuple) or not choices:
            raise ValueError(f"`space` needs a list of choices for {name!r}. Received: {choices!r}")
        values = [_checked_choice(name, value, base) for value in choices]
        if len({type(value) for value in values}) > 1:
            raise ValueError(f"`space` needs choices of one type for {name!r}. Received: {choices!r}")
        checked[name] = Range(*values) if isinstance(choices, Range) else values
    return checked


def _checked_choice(name: str, value: object, base: Configuration) -> Any:
    if name == "depth":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= DEEPEST:
            raise ValueError(f"`depth` in `space` must be an integer from 1 to {DEEPEST}. Received: depth={value!r}")
        return value
    if name == "taper":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 1:
            raise ValueError(f"`taper` in `space` must be a number from 0.01 to 1. Received: taper={value!r}")
        return float(value)
    change: Config = {name: (value, value) if name == "inner_units" else value}
    stored = getattr(replace(base, **{"arm": "two_arg", **change}), name)  # the arm that has all settings
    return value if name == "inner_units" else stored
