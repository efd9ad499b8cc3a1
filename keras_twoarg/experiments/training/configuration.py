"""The settings of one run and its outer networks, declared once for commands, plans and searches."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from keras_twoarg import models
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments.settings import check_settings, setting
from keras_twoarg.layers.pair_activation import FUNCTIONS
from keras_twoarg.layers.pair_rnn_cell import ARGUMENTS
from keras_twoarg.layers.two_arg_activation import EVALUATIONS
from keras_twoarg.models.blocks import NORMALIZATIONS, fixed_arms
from keras_twoarg.models.recurrent import check_arm as check_arm_of_cell
from keras_twoarg.models.resnet import PLACES
from keras_twoarg.models.structure import SEQUENCE_WIDTH
from keras_twoarg.ops.pairing import PAIRINGS
from keras_twoarg.utils.types import Config, Model

AUGMENTATIONS = ("none", "crop_flip")
DATA_HELP = (
    "mnist5k, fashion_mnist, a prepared TFDS name, an .npz or .txt, kjv, pydocs, parity-40-4, addition-97, randhie, "
    "fair, bikeshare."
)
PHI_INITS = ("random", "glorot", *surfaces.NAMED)
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine")

WIDEST = 65_536
"""The largest number of units in a layer."""
LARGEST = 1e38
"""The limit of rates and norms, near that of float32."""


@dataclass(frozen=True)
class Architecture:
    """A kind of outer network.

    Attributes:
        build: The function that builds it.
        data: The kinds of data it accepts (`Dataset.kind`).
        widths: Default units of each hidden layer of the two-argument network.
        options: Settings of `Configuration` that `build` accepts in addition to those that all accept.
    """

    build: Callable[..., Model]
    data: tuple[str, ...]
    widths: tuple[int, ...]
    options: tuple[str, ...]


ARCHITECTURES = {
    "mlp": Architecture(models.mlp, ("images", "signs", "features"), (64, 64, 64), ("normalization", "pairing")),
    "cnn": Architecture(models.cnn, ("images",), (60, 120, 120, 120), ("normalization", "pairing")),
    "transformer": Architecture(models.transformer, ("tokens",), (256, 256, 256), ("sequence_width", "pairing")),
    "recurrent": Architecture(models.recurrent, ("tokens",), (256,), ("sequence_width", "arguments")),
    # As large as a ReLU network of 16, 32 and 64 channels.
    "resnet": Architecture(models.resnet, ("images",), (13, 26, 53), ("places", "pairing")),
}
"""By name; the widths of mlp and cnn are the paper's."""


@dataclass(frozen=True)
class Configuration:
    """Everything that determines the result of a run, except the data. Each field declares its help and its limits.

    Defaults are the paper's, except for the epochs (the paper has 200 and 400) and `phi_init_std`, which is lower: the
    LayerNorm after phi removes the scale, and phi moves away from a lower surface sooner. On MNIST, test accuracy was
    higher in 4 of 6 seeds, by 0.10 points on average.

    Examples:
        >>> configuration = Configuration(arm="relu", epochs=5)
        >>> configuration.epochs, configuration.dropout
        (5, 0.5)

    Raises:
        ValueError: If a field has an invalid value, or two fields are incompatible. The message names the field, what
            was expected and what was received.
    """

    arm: str = setting(
        "two_arg",
        f"two_arg, one_arg, quadratic, {', '.join(FUNCTIONS)}, prelu, relu_squared, or a Keras activation; for a "
        "recurrent network also gru and lstm.",
    )
    architecture: str = setting("mlp", "The outer network.", choices=tuple(ARCHITECTURES))
    widths: tuple[int, ...] | None = setting(
        None, "Units of each hidden layer, such as 64,64,64.  [default: matched]", least=1, most=WIDEST
    )
    sequence_width: int = setting(
        SEQUENCE_WIDTH, "For networks of text: width of a character's vector, a multiple of 4.", least=4, most=WIDEST
    )
    arguments: str = setting(
        "separate", "For a recurrent cell: input and state as one argument each, or mixed.", choices=ARGUMENTS
    )
    places: str = setting(
        "between", "For a resnet: units between the two convolutions of a block, or also after the sum.", choices=PLACES
    )
    augmentation: str = setting(
        "none", "For training images; crop_flip: shifted by up to 4 pixels, and mirrored.", choices=AUGMENTATIONS
    )
    context: int = setting(64, "Characters in a sample, if the data are a text.", least=2, most=4096)
    equal_width: bool = setting(
        False, "For one_arg: as many units as the two_arg network, instead of as many parameters."
    )
    epochs: int = setting(20, "Epochs of the joint stage.", least=1, most=1_000_000)
    frozen_epochs: int = setting(20, "Epochs of the frozen stage; 0 for none.", least=0, most=1_000_000)
    epoch_samples: int = setting(
        0, "Training samples in an epoch, drawn anew for each; 0 for all of them.", least=0, most=2**31 - 1
    )
    batch_size: int = setting(100, "Samples in a step.", least=1, most=1_000_000)
    learning_rate: float = setting(1e-3, "Learning rate; with a schedule, the highest.", above=0, most=LARGEST)
    phi_learning_rate: float | None = setting(
        None, "Learning rate of phi, with the same schedule.  [default: learning_rate]", above=0,
        most=LARGEST,
    )  # fmt: skip
    optimizer: str = setting("adam", "adam or adamw, with decoupled weight decay.", choices=OPTIMIZERS)
    weight_decay: float = setting(0.0, "Weight decay of adamw.", least=0, below=1)
    phi_without_decay: bool = setting(False, "No weight decay for phi.")
    schedule: str = setting(
        "constant", "Schedule of the learning rate; cosine falls to 0 at the end.", choices=SCHEDULES
    )
    warmup_epochs: int = setting(0, "Epochs over which the learning rate rises from 0.", least=0, most=1_000_000)
    clip_norm: float | None = setting(
        None, "Largest global norm of the gradients.  [default: no limit]", above=0, most=LARGEST
    )
    dropout: float = setting(
        0.5, "Dropout rate after each hidden layer; in a resnet only before the last layer.", least=0, below=1
    )
    normalization: str = setting("layer", "Normalization before the units.", choices=NORMALIZATIONS)
    inner_units: tuple[int, ...] = setting((64, 64), "Units of phi's hidden layers.", least=1, most=4096, longest=8)
    inner_activation: str = setting("relu", "Activation of phi's hidden layers, a Keras activation.")
    pairing: str = setting("adjacent", "Which pre-activations a unit reads.", choices=PAIRINGS)
    evaluation: str = setting("auto", "How phi is evaluated.", choices=EVALUATIONS)
    table_resolution: int | None = setting(
        None, "Nodes of phi's table along each argument.  [default: by the first layer's units]", least=2, most=4095
    )
    phi_init: str = setting(
        "random",
        f"Function that phi is pretrained on: random, {', '.join(surfaces.NAMED)}; glorot: no pretraining.",
        choices=PHI_INITS,
    )
    pretraining_epochs: int | None = setting(
        None, "Passes over the grid of pretraining.  [default: the paper's]", least=1, most=10_000_000
    )
    phi_init_std: float | Literal["paper"] = setting(
        0.01, "Standard deviation that phi's first surface is scaled to; paper: not scaled.", above=0, most=1000
    )
    networks: int = setting(1, "Outer networks that learn phi together in the joint stage.", least=1, most=64)
    seed: int = setting(0, "Seed of the split, initial weights and batches.", least=0, most=2**31 - 1)

    def __post_init__(self) -> None:
        if self.phi_init_std is None:  # written as "paper" in TOML, which has no null
            object.__setattr__(self, "phi_init_std", "paper")
        check_settings(self)
        check_arm = check_arm_of_cell if self.architecture == "recurrent" else models.check_arm
        check_arm(self.arm)
        self._check_phi()
        self._check_optimizer()
        self._check_network()

    def _check_phi(self) -> None:
        if self.inner_activation not in fixed_arms():
            raise ValueError(
                f"`inner_activation` must be one of {tuple(fixed_arms())}. "
                f"Received: inner_activation={self.inner_activation!r}"
            )
        default = (Configuration.inner_units, Configuration.inner_activation)
        if self.arm == "quadratic" and (self.inner_units, self.inner_activation) != default:
            raise ValueError(
                "The arm 'quadratic' has six coefficients, and no `inner_units` or `inner_activation` to choose. "
                f"Received: inner_units={self.inner_units}, inner_activation={self.inner_activation!r}"
            )
        if self.phi_init in surfaces.NAMED and models.ARMS.get(self.arm, 2) != 2:
            raise ValueError(
                f"`phi_init` must be 'random' or 'glorot' for the arm {self.arm!r}: the named surfaces have two "
                f"arguments. Received: phi_init={self.phi_init!r}"
            )

    def _check_optimizer(self) -> None:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(
                f"`weight_decay` must be 0 for the optimizer {self.optimizer!r}; 'adamw' has it. "
                f"Received: weight_decay={self.weight_decay!r}"
            )
        frozen_epochs = self.frozen_epochs if self.arm in models.ARMS else 0
        shortest = min(self.epochs, frozen_epochs or self.epochs)
        if self.warmup_epochs >= shortest and self.warmup_epochs:
            raise ValueError(
                f"`warmup_epochs` must be fewer than the epochs of each stage, {shortest}. "
                f"Received: warmup_epochs={self.warmup_epochs!r}"
            )

    def _check_network(self) -> None:
        for name in ("normalization", "arguments", "places"):
            default = getattr(Configuration, name)
            if getattr(self, name) != default and name not in ARCHITECTURES[self.architecture].options:
                known = " and ".join(other for other, network in ARCHITECTURES.items() if name in network.options)
                raise ValueError(
                    f"`{name}` must be {default!r} for {self.architecture!r}; others are only for {known}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if self.networks > 1 and self.arm not in models.ARMS:
            raise ValueError(
                f"`networks` must be 1 for the arm {self.arm!r}, which has no phi to share. "
                f"Received: networks={self.networks}"
            )
        if self.networks > self.epochs:
            raise ValueError(
                f"`networks` must be at most the number of epochs, {self.epochs}. Received: networks={self.networks}"
            )
        if self.sequence_width % 4:
            raise ValueError(
                f"`sequence_width` must be a multiple of the 4 heads. Received: sequence_width={self.sequence_width}"
            )

    @property
    def network_options(self) -> Config:
        """The settings that only the architecture's function accepts."""
        return {name: getattr(self, name) for name in ARCHITECTURES[self.architecture].options}

    def to_dict(self, *without: str) -> Config:
        """Return the settings by name, without some."""
        return {name: value for name, value in asdict(self).items() if name not in without}
