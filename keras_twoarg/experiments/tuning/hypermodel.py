"""The space that a search of outer networks looks through, as a KerasTuner hypermodel."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_twoarg import models
from keras_twoarg.analysis import inner_network
from keras_twoarg.experiments.training.sessions import ARCHITECTURES, Configuration, make_phi, pretrain_phi
from keras_twoarg.experiments.training.training_loop import compile_classifier
from keras_twoarg.experiments.tuning.optional import keras_tuner as kt


class Range(NamedTuple):
    """All numbers between two, uniform in their logarithm."""

    low: float
    high: float


SPACE: dict[str, Sequence[Any]] = {
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
"""What is chosen from, for each hyperparameter.

| name | what it is |
|---|---|
| depth | hidden layers |
| taper | width of each hidden layer relative to the one before it; the budget of parameters sets the scale |
| dropout, learning_rate, batch_size, normalization | as in `sessions.Configuration` |
| inner_units | units of each of phi's two hidden layers; arms with an inner network |
| inner_activation, phi_init, phi_init_std | as in `sessions.Configuration`; arms with an inner network |
| pairing | as in `TwoArgActivation`; one by default, since the other is the same network with its units renamed |
"""


TOLERANCE = 0.01


class OuterHyperModel(kt.HyperModel):
    """Outer networks of one arm, all with the same number of parameters.

    A choice exists only where it matters: `taper` for two hidden layers or more, what concerns phi for arms that have
    one, `phi_init_std` where phi is pretrained. So no two sets of values are the same model. It works in every tuner
    of KerasTuner, and can be subclassed. `fit` pretrains phi before it trains.

    Args:
        arm: What fills the units, as in `models.mlp`.
        input_shape: Shape of one sample.
        classes: Number of classes.
        parameters: Parameters of every network, within 1 %, which a single unit can be. Defaults to `122_187`, those of
            the paper's perceptron on MNIST.
        architecture: `"mlp"` or `"cnn"`; then the depth counts convolutions, and one dense layer follows. Defaults to
            `"mlp"`.
        space: Choices to put in the place of those in `SPACE`, by name; a single one is no choice.
        pretraining_epochs: As in `sessions.Configuration`.
        evaluation: As in `sessions.Configuration`.
        seed: Seed of initial weights, dropout and pretraining, the same for all trials. Defaults to `0`.

    Example:
        >>> space = {"depth": (1, 2), "phi_init": ("glorot",)}
        >>> hypermodel = tuning.OuterHyperModel("two_arg", (28, 28, 1), 10, space=space)
        >>> hp = keras_tuner.HyperParameters()
        >>> model = hypermodel.build(hp)
        >>> abs(model.count_params() / 122_187 - 1) < 0.01, sorted(hp.values)[:3]
        (True, ['batch_size', 'depth', 'dropout'])

    Raises:
        ValueError: If the arm or a name in `space` is unknown, or `space` leaves no choice at all for a name.
    """

    def __init__(
        self,
        arm: str,
        input_shape: Sequence[int],
        classes: int,
        parameters: int = 122_187,
        *,
        architecture: str = "mlp",
        space: Mapping[str, Sequence[Any]] | None = None,
        pretraining_epochs: int | None = None,
        evaluation: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        models.check_arm(arm)
        if unknown := sorted(name for name, choices in (space or {}).items() if name not in SPACE or not choices):
            raise ValueError(f"`space` needs choices for names among {tuple(SPACE)}. Received: {unknown}")
        self.arm, self.input_shape, self.classes, self.parameters = arm, tuple(input_shape), classes, parameters
        self.architecture, self.seed = architecture, seed
        self.space = {**SPACE, **self._default_depths(), **(space or {})}
        self.pretraining_epochs, self.evaluation = pretraining_epochs, evaluation

    def _default_depths(self) -> dict[str, Sequence[Any]]:
        """Return the default depths that the images are large enough for: each convolution and pooling halves them."""
        if self.architecture != "cnn":
            return {}
        sizes = [min(self.input_shape[:2])]
        while sizes[-1] >= 4:
            sizes.append((sizes[-1] - 2) // 2)
        return {"depth": [depth for depth in SPACE["depth"] if depth < len(sizes)]}

    def configuration(self, hp: Any) -> Configuration:
        """Return the configuration of a run that some hyperparameters mean, its widths among it."""
        depth, taper = self._choose(hp, "depth"), 1.0
        deep = [d for d in self.space["depth"] if d > 1 or self.architecture == "cnn"]
        if depth in deep:
            with hp.conditional_scope("depth", deep) if len(self.space["depth"]) > 1 else nullcontext():
                taper = self._choose(hp, "taper")
        chosen = {name: self._choose(hp, name) for name in ("dropout", "learning_rate", "batch_size", "normalization")}
        if models.arity_of(self.arm) == 2:
            chosen["pairing"] = self._choose(hp, "pairing")
        if self.arm in models.ARMS:
            chosen |= self._of_phi(hp)
        found = Configuration(
            arm=self.arm,
            architecture=self.architecture,
            evaluation=self.evaluation,
            pretraining_epochs=self.pretraining_epochs,
            seed=self.seed,
            **chosen,
        )
        layers = depth + (self.architecture == "cnn")
        widths = models.widths_for_budget(
            self.arm,
            self.parameters,
            [round(1000 * taper**i) for i in range(layers)],
            self.input_shape,
            self.classes,
            architecture=self.architecture,
            inner=make_phi(found) if self.arm in models.ARMS else None,
            tolerance=TOLERANCE,
        )
        return Configuration(**{**asdict(found), "widths": widths})

    def build(self, hp: Any) -> Any:
        """Return a compiled network."""
        configuration = self.configuration(hp)
        model = ARCHITECTURES[self.architecture](
            self.input_shape,
            self.classes,
            self.arm,
            configuration.widths or (),
            make_phi(configuration) if self.arm in models.ARMS else None,
            configuration.dropout,
            normalization=configuration.normalization,
            pairing=configuration.pairing,
            evaluation=configuration.evaluation,
            seed=self.seed,
        )
        compile_classifier(model, configuration.learning_rate)
        return model

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Pretrain phi, then train; the batch size is one of the hyperparameters."""
        configuration = self.configuration(hp)
        keras.utils.set_random_seed(self.seed)  # of the order of the batches
        if self.arm in models.ARMS and not kwargs.get("initial_epoch"):  # Hyperband goes on with trained weights
            pretrain_phi(inner_network(model), configuration, lambda done, steps: None)
        callbacks = [*kwargs.pop("callbacks", []), keras.callbacks.TerminateOnNaN()]
        history = model.fit(*args, **{"batch_size": configuration.batch_size, **kwargs, "callbacks": callbacks})
        if not np.isfinite(history.history["loss"]).all():
            raise kt.errors.FailedTrialError("The loss was no longer finite")
        return history

    def _of_phi(self, hp: Any) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
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

    def _starts(self) -> Sequence[Any]:
        """Return the starts that fit the arm's arity; the named surfaces have two arguments."""
        one = models.ARMS[self.arm] != 2
        return [s for s in self.space["phi_init"] if not one or s in ("random", "glorot")] or ["random"]

    def _choose(self, hp: Any, name: str, choices: Sequence[Any] | None = None) -> Any:
        choices = self.space[name] if choices is None else choices
        if isinstance(choices, Range):
            return hp.Float(name, choices.low, choices.high, sampling="log")
        return choices[0] if len(choices) == 1 else hp.Choice(name, list(choices))
