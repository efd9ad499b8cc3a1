"""The optimizer and schedule of a configuration, with phi's own rate and decay, and one for several networks."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils.types import Optimizer, Tensor, Variable


def make_optimizer(
    configuration: Configuration, epochs: int, samples: int, inner: InnerNetwork | None = None
) -> Optimizer:
    """Return a configuration's optimizer for a stage.

    Args:
        configuration: The settings.
        epochs: Epochs of the stage, over which the schedule runs.
        samples: Number of training samples.
        inner: phi, to which `phi_learning_rate` and `phi_without_decay` apply. Defaults to none.
    """
    rate = configuration.learning_rate
    steps = -(-(configuration.epoch_samples or samples) // configuration.batch_size)
    warmup, falls = configuration.warmup_epochs * steps, configuration.schedule == "cosine"
    if falls or warmup:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            epochs * steps - warmup,
            alpha=0.0 if falls else 1.0,  # 1: the rate stays constant after the warm-up
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    clip = {} if configuration.clip_norm is None else {"global_clipnorm": configuration.clip_norm}
    if configuration.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=configuration.weight_decay, **clip)
        if inner is not None and configuration.phi_without_decay:
            optimizer.exclude_from_weight_decay(var_list=inner.variables)
    else:
        optimizer = keras.optimizers.Adam(rate, **clip)
    if inner is not None and configuration.phi_learning_rate is not None:
        scale_steps(optimizer, inner.variables, configuration.phi_learning_rate / configuration.learning_rate)
    return optimizer


def scale_steps(optimizer: Optimizer, variables: Sequence[Variable], factor: float) -> None:
    """Scale an optimizer's steps of some variables, which gives them their own learning rate.

    The optimizer keeps its class, so a model saved with it loads without this package. (Keras' `MultiOptimizer` needs
    Keras 3.15, and clips the gradients of each part separately.)

    Args:
        optimizer: An optimizer that has not been used yet.
        variables: The variables.
        factor: Their learning rate, as a multiple of the optimizer's.

    Examples:
        >>> one, other = keras.Variable(0.0), keras.Variable(0.0)
        >>> optimizer = keras.optimizers.SGD(1.0)
        >>> optimizers.scale_steps(optimizer, [other], 0.1)
        >>> optimizer.apply([keras.ops.ones(()), keras.ops.ones(())], [one, other])
        >>> float(one.value), round(float(other.value), 6)
        (-1.0, -0.1)
    """
    whole_step = optimizer.apply

    def apply(*args: object, **kwargs: object) -> None:
        before = [ops.copy(variable.value) for variable in variables]
        whole_step(*args, **kwargs)
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old + factor * (variable.value - old))

    optimizer.apply = apply


class OneForEach(keras.optimizers.Optimizer):
    """One optimizer for each of several networks that are trained as one model.

    Each network has its own step, schedule and norm of the gradients, so it can begin anew while others go on. It has
    to be built before the first step. (Keras' `MultiOptimizer` needs Keras 3.15.)

    Args:
        optimizers: An optimizer for each network.
        variables: The trainable variables of each network. The first one's optimizer trains those that several hold.

    Examples:
        >>> phi, one, other = (keras.Variable(0.0) for _ in range(3))
        >>> rates = [keras.optimizers.SGD(1.0), keras.optimizers.SGD(0.5)]
        >>> optimizer = optimizers.OneForEach(rates, [[one, phi], [phi, other]])
        >>> optimizer.build([other, phi, one])
        >>> optimizer.apply([keras.ops.ones(())] * 3)
        >>> float(one.value), float(phi.value), float(other.value)
        (-1.0, -1.0, -0.5)
    """

    def __init__(self, optimizers: Sequence[Optimizer], variables: Sequence[Sequence[Variable]]) -> None:
        super().__init__(0.0)
        self._each = list(optimizers)
        self._owner = {id(one): i for i in reversed(range(len(variables))) for one in variables[i]}

    @property
    def variables(self) -> list[Variable]:
        """The state of all optimizers."""
        return [variable for optimizer in self._each for variable in optimizer.variables]

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the state for the model's variables."""
        if self.built:
            return
        super().build(variables)
        owners = [self._owner[id(variable)] for variable in variables]
        self._places = [[i for i, owner in enumerate(owners) if owner == number] for number in range(len(self._each))]
        for optimizer, places in zip(self._each, self._places, strict=True):
            optimizer.build([variables[i] for i in places])

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Take a step of each network, with gradients in the order of the variables it was built with."""
        for optimizer, places in zip(self._each, self._places, strict=True):
            optimizer.apply([grads[i] for i in places])

    def begin_anew(self, number: int) -> None:
        """Forget all that a network's optimizer has gathered, its steps too."""
        for variable in self._each[number].variables:
            if variable.name != "learning_rate":
                variable.assign(ops.zeros_like(variable.value))
