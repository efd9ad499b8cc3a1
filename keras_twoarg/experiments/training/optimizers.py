"""The optimizer and schedule of a configuration, with phi's own learning rate and weight decay."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils.types import Optimizer, Variable


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
