"""The networks of a configuration: the outer network, and phi with its initial weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from keras_twoarg import models
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.pretraining import pretrain
from keras_twoarg.experiments.training.configuration import ARCHITECTURES, Configuration
from keras_twoarg.experiments.training.datasets import Dataset, validation_images
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.models.blocks import phi_initializer
from keras_twoarg.models.matching import fitting_widths
from keras_twoarg.models.structure import Structure
from keras_twoarg.utils.progress import StepProgress
from keras_twoarg.utils.types import Model

MOST_PARAMETERS = 500_000_000
"""Larger networks are refused before they are built: with Adam's state they would take over 6 GB."""


def build_network(
    configuration: Configuration,
    input_shape: Sequence[int],
    classes: int,
    widths: Sequence[int],
    inner: InnerNetwork | None,
    seed: int,
) -> Model:
    """Return the outer network of a configuration, not compiled.

    Args:
        configuration: The settings.
        input_shape: Shape of one sample.
        classes: Number of classes.
        widths: Units of each hidden layer.
        inner: phi, for arms that have one; None for a new one.
        seed: Seed of initial weights and dropout.

    Raises:
        ValueError: If the samples are too small for the architecture, or the network is too large.
    """
    check_size(configuration, input_shape, classes, widths)
    return ARCHITECTURES[configuration.architecture].build(
        input_shape,
        classes,
        configuration.arm,
        widths,
        inner,
        configuration.dropout,
        evaluation=configuration.evaluation,
        seed=seed,
        **configuration.network_options,
    )


def check_data(configuration: Configuration, dataset: Dataset) -> None:
    """Raise a ValueError if an architecture does not accept this kind of data, or an epoch has too many samples.

    Examples:
        >>> networks.check_data(Configuration(architecture="mlp"), datasets.load("mnist5k"))
    """
    if dataset.kind not in ARCHITECTURES[configuration.architecture].data:
        fitting = [name for name, network in ARCHITECTURES.items() if dataset.kind in network.data]
        raise ValueError(
            f"`architecture` must be {' or '.join(map(repr, fitting))} for {dataset.name!r}, which has "
            f"{dataset.kind}. Received: architecture={configuration.architecture!r}"
        )
    if configuration.augmentation != "none" and dataset.kind != "images":
        raise ValueError(
            f"`augmentation` must be 'none' for {dataset.name!r}, which has {dataset.kind}. "
            f"Received: augmentation={configuration.augmentation!r}"
        )
    samples = len(dataset.x_train) - validation_images(dataset)
    if configuration.epoch_samples > samples:
        raise ValueError(
            f"`epoch_samples` must be at most {samples:,}, the training samples of {dataset.name!r}. "
            f"Received: epoch_samples={configuration.epoch_samples}"
        )


def check_size(configuration: Configuration, input_shape: Sequence[int], classes: int, widths: Sequence[int]) -> None:
    """Raise a ValueError if a network would have more than `MOST_PARAMETERS`, without building it."""
    parameters = models.count_parameters(
        configuration.arm,
        widths,
        input_shape,
        classes,
        architecture=configuration.architecture,
        **configuration.network_options,
    )
    if configuration.arm in models.ARMS:
        sizes = (models.ARMS[configuration.arm], *configuration.inner_units, 1)
        parameters += sum((fan_in + 1) * units for fan_in, units in pairwise(sizes))
    if parameters > MOST_PARAMETERS:
        raise ValueError(
            f"`widths` and `inner_units` must give a network of at most {MOST_PARAMETERS:,} parameters. Received: "
            f"widths={list(widths)}, inner_units={list(configuration.inner_units)}, {parameters:,} parameters"
        )


def reference_network(two_arg: Configuration, input_shape: Sequence[int], classes: int) -> Model:
    """Return the two-argument network to which others are matched."""
    widths = two_arg.widths or ARCHITECTURES[two_arg.architecture].widths
    check_size(two_arg, input_shape, classes, widths)  # before phi is built
    return build_network(two_arg, input_shape, classes, widths, make_phi(two_arg), two_arg.seed)


def widths_of(
    configuration: Configuration, input_shape: Sequence[int], classes: int, two_arg: Configuration | None = None
) -> tuple[int, ...]:
    """Return a network's widths: those of the configuration, or those that match it to the two-argument network.

    Args:
        configuration: The settings.
        input_shape: Shape of one sample.
        classes: Number of classes.
        two_arg: The configuration of the two-argument network. Defaults to the same settings and the paper's widths.
    """
    # Without a frozen stage, which is not asked for here, and would limit the warmup of arms that have none.
    two_arg = two_arg or replace(configuration, arm="two_arg", widths=None, equal_width=False, frozen_epochs=0)
    if configuration.widths or configuration.arm == "two_arg" or configuration.equal_width:
        widths = configuration.widths or two_arg.widths or ARCHITECTURES[configuration.architecture].widths
        check_size(configuration, input_shape, classes, widths)
        return widths
    inner = make_phi(configuration) if configuration.arm in models.ARMS else None
    own = two_arg.widths or ARCHITECTURES[two_arg.architecture].widths
    structure = Structure(configuration.architecture, tuple(input_shape), classes, own, configuration.network_options)
    parameters = int(reference_network(two_arg, input_shape, classes).count_params())
    return fitting_widths(structure, configuration.arm, parameters, inner)


def make_phi(configuration: Configuration) -> InnerNetwork:
    """Return the inner network of a configuration, with its initial weights."""
    inner = models.inner_for("quadratic", None, configuration.seed) if configuration.arm == "quadratic" else None
    if inner is None:
        inner = InnerNetwork(
            configuration.inner_units,
            configuration.inner_activation,
            models.ARMS[configuration.arm],
            kernel_initializer=phi_initializer(configuration.seed),
            table_resolution=configuration.table_resolution,
            name="phi",
        )
    inner.ensure_built()
    return inner


def pretrain_phi(inner: InnerNetwork, configuration: Configuration, progress: StepProgress) -> None:
    """Fit phi to its initial surface, unless it starts from Glorot's weights."""
    phi_init = configuration.phi_init
    std = None if configuration.phi_init_std == "paper" else configuration.phi_init_std
    if phi_init == "glorot":
        return
    surface: Callable[..., np.ndarray]
    if phi_init == "random":
        surface = surfaces.random_field(configuration.seed, inner.arity, std=std)
    else:
        surface = surfaces.scaled(surfaces.NAMED[phi_init], std)
    pretrain(inner, surface, epochs=configuration.pretraining_epochs, seed=configuration.seed, progress=progress)
