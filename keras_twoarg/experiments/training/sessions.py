"""All stages of one arm and seed, in one folder.

Arms without phi have the joint stage alone. The folder holds `run.json` (the configuration), and for each stage
`joint.json` (the record), `joint.keras` (the weights of the best epoch by validation loss) and what
`keras_twoarg.experiments.training.phi_snapshots` says of phi.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras

from keras_twoarg import models
from keras_twoarg.analysis import surfaces
from keras_twoarg.analysis.density import inner_network
from keras_twoarg.experiments.pretraining import pretrain
from keras_twoarg.experiments.training.datasets import Dataset, Split, split
from keras_twoarg.experiments.training.phi_snapshots import save_snapshots, save_surface
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage, upgrade_folder
from keras_twoarg.experiments.training.training_loop import Fit, compile_classifier, evaluate, fit
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.layers.two_arg_activation import EVALUATIONS
from keras_twoarg.utils import files, versions

ARCHITECTURES = {"mlp": models.mlp, "cnn": models.cnn}
DEFAULT_WIDTHS = {"mlp": (64, 64, 64), "cnn": (60, 120, 120, 120)}

PHI_INITS = ("random", "glorot", *surfaces.NAMED)

_DENSITY_IMAGES = 500
_SEEDS = {Stage.JOINT: 2, Stage.FROZEN: 3}  # each stage has initial weights and batches of its own

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, the epochs or steps done and in all, and a note for people."""


@dataclass(frozen=True)
class Configuration:
    """Everything that the result of a run depends on, but the data.

    Attributes:
        arm: What fills the units, as in `models.mlp`.
        architecture: `"mlp"` or `"cnn"`.
        widths: Units of each hidden layer. Defaults to the paper's two-argument widths for `two_arg`, and for other
            arms to widths with as many parameters as that.
        epochs: Epochs of the joint stage. Defaults to `20`; the paper's are 200.
        frozen_epochs: Epochs of the frozen stage; 0 for none. Defaults to `20`; the paper's are 400.
        batch_size: Defaults to `100`.
        learning_rate: Of Adam. Defaults to `1e-3`.
        dropout: Defaults to `0.5`.
        normalization: Normalization in front of the units, as in `models.mlp`. Defaults to `"layer"`.
        inner_units: Units of phi's hidden layers, for `two_arg` and `one_arg`. Defaults to `(64, 64)`, the paper's.
        inner_activation: Activation of phi's hidden layers. Defaults to `"relu"`, the paper's.
        pairing: As in `TwoArgActivation`. Defaults to `"adjacent"`.
        evaluation: How phi is evaluated: `"auto"`, `"exact"` or `"interpolated"`. Defaults to `"auto"`.
        phi_init: What phi is fitted to first: `"random"`, a random smooth surface; a named one of `PHI_INITS`, such as
            `"product"`, for two arguments; or `"glorot"`, Glorot's initial weights as they are. Defaults to
            `"random"`.
        pretraining_epochs: Passes over the grid in the pretrain stage. Defaults to `None`, the paper's for each arity.
        phi_init_std: Standard deviation that the surface is scaled to; `None` for no scaling, as in the paper
            (about 0.05 for two arguments). Defaults to `0.01`: the LayerNorm behind takes the scale away, and a lower
            surface is one that phi leaves sooner. On MNIST it ended higher in 4 of 6 seeds, by 0.10 points on average.
        seed: Defaults to `0`.
    """

    arm: str = "two_arg"
    architecture: str = "mlp"
    widths: tuple[int, ...] | None = None
    epochs: int = 20
    frozen_epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 1e-3
    dropout: float = 0.5
    normalization: str = "layer"
    inner_units: tuple[int, ...] = (64, 64)
    inner_activation: str = "relu"
    pairing: str = "adjacent"
    evaluation: str = "auto"
    phi_init: str = "random"
    pretraining_epochs: int | None = None
    phi_init_std: float | None = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        models.check_arm(self.arm)
        if self.evaluation not in EVALUATIONS:
            raise ValueError(f"`evaluation` must be one of {EVALUATIONS}. Received: evaluation={self.evaluation!r}")
        if self.arm == "quadratic" and (self.inner_units, self.inner_activation) != ((64, 64), "relu"):
            raise ValueError("The arm 'quadratic' has six coefficients, and no inner units or activation to choose")
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"`architecture` must be one of {tuple(ARCHITECTURES)}. Received: {self.architecture!r}")
        for name, least in (("epochs", 1), ("frozen_epochs", 0), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
        if self.phi_init not in PHI_INITS or (self.phi_init in surfaces.NAMED and models.ARMS.get(self.arm, 2) != 2):
            raise ValueError(
                f"`phi_init` must be one of {PHI_INITS}, and the named surfaces have two arguments. "
                f"Received: phi_init={self.phi_init!r} for the arm {self.arm!r}"
            )
        for name in ("learning_rate", "phi_init_std", "pretraining_epochs"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")


def run_sessions(
    dataset: Dataset, out: str | os.PathLike[str], progress: Progress | None = None, **configuration: Any
) -> list[Record]:
    """Run all stages of one arm and seed, or resume them where they were stopped.

    Args:
        dataset: The data, from `datasets.load`.
        out: Folder for the records, models and snapshots. A finished stage in it is not run again.
        progress: Called with the stage, the epochs or steps done and in all, and a note.
        **configuration: The attributes of `Configuration`, such as `arm="relu"` or `seed=3`.

    Returns:
        The records of the joint stage and, for arms with phi, of the frozen one.

    Example:
        >>> records = sessions.run_sessions(  # doctest: +SKIP
        ...     datasets.load("mnist5k"), "runs/two_arg-1", arm="two_arg", seed=1, epochs=50, frozen_epochs=50)

    Raises:
        ValueError: If the configuration is unusable, the folder holds another configuration's results, or a checkpoint
            in it is damaged. Nothing in the folder is overwritten.
        OSError: If the folder cannot be written.
    """
    known = {f.name for f in fields(Configuration)}
    if unknown := set(configuration) - known:
        raise ValueError(f"Unknown configuration: {sorted(unknown)}. Known: {sorted(known)}")
    for name in ("widths", "inner_units"):
        if isinstance(configuration.get(name), Sequence):
            configuration[name] = tuple(configuration[name])
    return _Run(Configuration(**configuration), dataset, Path(out), progress or (lambda *_: None)).run()


class _Run:
    def __init__(self, configuration: Configuration, dataset: Dataset, out: Path, progress: Progress) -> None:
        self.configuration, self.dataset, self.out, self.progress = configuration, dataset, out, progress
        self.widths = configuration.widths or self._matched_widths()
        self._split: Split | None = None
        self._model(None, Stage.JOINT)  # what is wrong with sizes should show before hours of work, not after

    def run(self) -> list[Record]:
        data = {"dataset": self.dataset.name, "dataset_fingerprint": self.dataset.fingerprint}
        configuration = {**asdict(self.configuration), "widths": self.widths, **data}
        upgrade_folder(self.out)
        claim_folder(self.out, configuration, defaults=asdict(Configuration()))
        has_phi = self.configuration.arm in models.ARMS
        joint = self._stage(Stage.JOINT, self.configuration.epochs, self._pretrained_phi if has_phi else None)
        if not (has_phi and self.configuration.frozen_epochs and joint.status == "finished"):
            return [joint]
        return [joint, self._stage(Stage.FROZEN, self.configuration.frozen_epochs, self._phi_of_joint_stage)]

    def _stage(self, stage: Stage, epochs: int, phi: Callable[[], InnerNetwork] | None) -> Record:
        if (self.out / f"{stage}.json").exists():
            record = Record.read(self.out / f"{stage}.json")
            self.progress(stage, epochs, epochs, "already done")
            return record
        inner = phi() if phi else None
        model = self._model(inner, stage)
        if inner is not None:
            inner.trainable = stage is Stage.JOINT
        compile_classifier(model, self.configuration.learning_rate)
        state = fit(
            model,
            self.split,
            self.out / f"{stage}-checkpoint.npz",
            epochs=epochs,
            batch_size=self.configuration.batch_size,
            seed=(self.configuration.seed, _SEEDS[stage]),
            inner=inner if stage is Stage.JOINT else None,
            on_epoch=lambda n, logs: self.progress(stage, n, epochs, f"val {logs['val_accuracy']:.2%}"),
        )
        return self._finish(stage, model, state)

    def _finish(self, stage: Stage, model: Any, state: Fit) -> Record:
        record = self._record(stage, model, state)
        if state.best_weights:
            test = evaluate(model, self.split.x_test, self.split.y_test)
            record.test_accuracy, record.test_loss = test["accuracy"], test["loss"]
            partial = self.out / f".{stage}-partial.keras"
            model.save(partial)
            os.replace(partial, self.out / f"{stage}.keras")
            if self.configuration.arm in models.ARMS:
                images = self.split.x_validation[:_DENSITY_IMAGES]
                save_surface(self.out / f"{stage}-surface.npz", model, images, state.snapshots.get(0))
        if state.snapshots:
            save_snapshots(self.out / f"{stage}-phi.npz", state.snapshots, self.configuration.inner_activation)
        record.write(self.out / f"{stage}.json")  # last: it says that the stage is whole
        (self.out / f"{stage}-checkpoint.npz").unlink(missing_ok=True)
        return record

    def _record(self, stage: Stage, model: Any, state: Fit) -> Record:
        configuration, data = self.configuration, self.split
        (costs,) = models.compare({configuration.arm: model})
        settings: dict[str, Any] = {**asdict(configuration), "inner_units": list(configuration.inner_units)}
        for name in ("arm", "architecture", "widths", "seed"):
            del settings[name]
        return Record(
            arm=configuration.arm,
            stage=stage.value,
            seed=configuration.seed,
            dataset=self.dataset.name,
            architecture=configuration.architecture,
            widths=list(self.widths),
            parameters=costs.parameters,
            normalization=costs.normalization,
            splits={"train": len(data.y_train), "validation": len(data.y_validation), "test": len(data.y_test)},
            settings={**settings, "multiply_adds": costs.multiply_adds, "pre_activations": costs.pre_activations},
            epochs=state.epochs,
            status="diverged" if state.diverged else "finished",
            best_epoch=state.best_epoch or None,
            seconds=sum(epoch["seconds"] for epoch in state.epochs),
            versions=versions.versions(),
            commit=versions.commit(),
        )

    @property
    def split(self) -> Split:
        if self._split is None:
            self._split = split(self.dataset, self.configuration.seed)
        return self._split

    def _model(self, inner: InnerNetwork | None, stage: Stage) -> Any:
        configuration = self.configuration
        return ARCHITECTURES[configuration.architecture](
            self.dataset.input_shape,
            self.dataset.classes,
            configuration.arm,
            self.widths,
            inner,
            configuration.dropout,
            normalization=configuration.normalization,
            pairing=configuration.pairing,
            evaluation=configuration.evaluation,
            seed=10 * configuration.seed + _SEEDS[stage],
        )

    def _matched_widths(self) -> tuple[int, ...]:
        architecture, arm = self.configuration.architecture, self.configuration.arm
        widths = DEFAULT_WIDTHS[architecture]
        if arm == "two_arg":
            return widths
        build = ARCHITECTURES[architecture]
        inner = make_phi(self.configuration) if arm in models.ARMS else None
        reference = build(self.dataset.input_shape, self.dataset.classes, widths=widths)
        return models.matched_widths(arm, reference, inner=inner)

    def _pretrained_phi(self) -> InnerNetwork:
        inner = make_phi(self.configuration)
        pretrain_phi(inner, self.configuration, lambda done, steps: self.progress(Stage.PRETRAIN, done, steps, ""))
        return inner

    def _phi_of_joint_stage(self) -> InnerNetwork:
        model = keras.models.load_model(self.out / "joint.keras", compile=False)
        return inner_network(model)


def make_phi(configuration: Configuration) -> InnerNetwork:
    """Return the inner network that a configuration asks for, with its initial weights."""
    if configuration.arm == "quadratic":
        inner: Any = models.inner_for("quadratic", None, configuration.seed)
    else:
        inner = InnerNetwork(
            configuration.inner_units,
            configuration.inner_activation,
            models.ARMS[configuration.arm],
            kernel_initializer=keras.initializers.GlorotUniform(seed=configuration.seed),
            name="phi",
        )
    inner.build((None, inner.arity))
    return inner


def pretrain_phi(inner: InnerNetwork, configuration: Configuration, progress: Callable[[int, int], None]) -> None:
    """Fit phi to the surface that it starts from, unless it starts from Glorot's weights."""
    phi_init, std = configuration.phi_init, configuration.phi_init_std
    if phi_init == "glorot":
        return
    if phi_init == "random":
        surface: Any = surfaces.random_field(configuration.seed, inner.arity, std=std)
    else:
        surface = surfaces.scaled(surfaces.NAMED[phi_init], std)
    pretrain(inner, surface, epochs=configuration.pretraining_epochs, seed=configuration.seed, progress=progress)


def claim_folder(
    out: Path, configuration: dict[str, Any], name: str = "run.json", defaults: dict[str, Any] | None = None
) -> None:
    """Make a folder for one configuration's results, or raise if it holds another's.

    `defaults` are what a folder of an older version meant where it does not say.
    """
    configuration, defaults = (
        {key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}
        for given in (configuration, defaults or {})
    )
    if out.exists() and not out.is_dir():
        raise ValueError(f"Expected a folder for the results. Received: {out}, which is a file")
    file = out / name
    if file.exists():
        kept = files.read_json(file)
        if not isinstance(kept, dict):
            raise ValueError(f"{file} is damaged: expected an object. Received: {type(kept).__name__}")
        found = {**{k: v for k, v in defaults.items() if k in configuration}, **kept}
        different = sorted(key for key in {*found, *configuration} if found.get(key) != configuration.get(key))
        if different:
            changes = ", ".join(f"{key}={found.get(key)!r} there, {configuration.get(key)!r} here" for key in different)
            raise ValueError(f"{out} holds the results of another configuration: {changes}. Use another folder")
        return
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} holds other files and no {name}. Use an empty or new folder for the results")
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(file, configuration)
