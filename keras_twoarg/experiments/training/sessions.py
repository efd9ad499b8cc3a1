"""All stages of one arm and seed, in one folder.

Arms without phi have only the joint stage. The folder holds `run.json` (the configuration) and for each stage the
record (`joint.json`), the model with the weights of the best epoch by validation loss (`joint.keras`), and the files of
`keras_twoarg.experiments.training.phi_snapshots`.
"""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from keras_twoarg import models
from keras_twoarg.analysis.density import inner_network
from keras_twoarg.experiments.training import networks
from keras_twoarg.experiments.training.augmentation import crop_flip
from keras_twoarg.experiments.training.chance import at_chance, chance_warning, judged_epoch, reached
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.experiments.training.datasets import DENSITY_SAMPLES, Dataset, Split, split
from keras_twoarg.experiments.training.optimizers import make_optimizer
from keras_twoarg.experiments.training.phi_snapshots import save_snapshots, save_surface
from keras_twoarg.experiments.training.population import Population
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.experiments.training.run_record import Epoch, Record
from keras_twoarg.experiments.training.stages import Stage, upgrade_folder
from keras_twoarg.experiments.training.training_loop import Fit, compile_network, evaluate, fit
from keras_twoarg.layers.inner_network import InnerNetwork
from keras_twoarg.utils import files, model_files, versions
from keras_twoarg.utils.progress import Progress, no_progress
from keras_twoarg.utils.types import Model

SEEDS = {Stage.JOINT: 2, Stage.FROZEN: 3}  # each stage has its own initial weights and batches
_BEFORE_THERE_WAS_A_CHOICE = 81  # nodes of phi's tables in folders whose settings do not name `table_resolution`


def run_sessions(
    dataset: Dataset,
    out: str | os.PathLike[str],
    progress: Progress = no_progress,
    *,
    say: Callable[[str], None] = lambda text: None,
    **configuration: Any,
) -> list[Record]:
    """Run all stages of one arm and seed, or resume them after a stop.

    Args:
        dataset: The data, from `datasets.load`.
        out: Folder for the records, models and snapshots. A finished stage in it is not run again.
        progress: Called with the stage, the epochs or steps done, the total and a note.
        say: Called with warnings for the user, such as that a run is at chance after its first 100 steps.
        **configuration: The attributes of `Configuration`, such as `arm="relu"` or `seed=3`.

    Returns:
        The records of the joint stage and, for arms with phi, of the frozen one.

    Examples:
        >>> records = sessions.run_sessions(  # doctest: +SKIP
        ...     datasets.load("mnist5k"), "runs/two_arg-1", arm="two_arg", seed=1, epochs=50, frozen_epochs=50)

    Raises:
        ValueError: If the configuration is invalid, the folder holds another configuration's results, or a checkpoint
            in it is damaged. Nothing in the folder is overwritten.
        OSError: If the folder cannot be written.
    """
    known = {f.name for f in fields(Configuration)}
    if unknown := set(configuration) - known:
        raise ValueError(f"Unknown configuration: {sorted(unknown)}. Known: {sorted(known)}")
    return _Run(Configuration(**configuration), dataset, Path(out), progress, say).run()


class _Run:
    def __init__(
        self, configuration: Configuration, dataset: Dataset, out: Path, progress: Progress, say: Callable[[str], None]
    ) -> None:
        self.configuration, self.dataset, self.out = configuration, dataset, out
        self.progress, self.say = progress, say
        if configuration.equal_width and configuration.arm != "one_arg":
            raise ValueError(
                f"`equal_width` must be false for all arms except 'one_arg'. Received: the arm {configuration.arm!r}"
            )
        networks.check_data(configuration, dataset)
        self.widths = networks.widths_of(configuration, dataset.input_shape, dataset.classes)
        self._split: Split | None = None
        self._model(None, Stage.JOINT)  # invalid sizes should show before hours of work

    def run(self) -> list[Record]:
        versions.commit()  # of the code that runs, whatever is committed meanwhile
        data = {"dataset": self.dataset.name, "dataset_fingerprint": self.dataset.fingerprint}
        held_out = {"held_out_fingerprint": self.dataset.held_out_fingerprint}  # which older folders lack
        configuration = {**self.configuration.to_dict(), "widths": self.widths, **data, **held_out}
        defaults = {**Configuration().to_dict(), **held_out}
        with result_folder(self.out, configuration, defaults=defaults, upgrade=upgrade_folder):
            old = "table_resolution" not in files.read_json(self.out / "run.json")
            if old and self.configuration.arm in models.ARMS:
                self.configuration = replace(self.configuration, table_resolution=_BEFORE_THERE_WAS_A_CHOICE)
            return self._stages()

    def _stages(self) -> list[Record]:
        has_phi = self.configuration.arm in models.ARMS
        later = [name for name in ("frozen.json", "frozen-checkpoint.npz") if (self.out / name).exists()]
        if later and not (self.out / "joint.json").exists():
            raise ValueError(
                f"{self.out} holds {later[0]}, which was trained around the phi of an earlier joint stage, and no "
                "joint.json. Move all files frozen* away too, or move joint.json back"
            )
        joint = self._stage(Stage.JOINT, self.configuration.epochs, self._pretrained_phi if has_phi else None)
        if not (has_phi and self.configuration.frozen_epochs and joint.status == "finished"):
            return [joint]
        return [joint, self._stage(Stage.FROZEN, self.configuration.frozen_epochs, self._phi_of_joint_stage)]

    def _stage(self, stage: Stage, epochs: int, phi: Callable[[], InnerNetwork] | None) -> Record:
        if (self.out / f"{stage}.json").exists():
            record = Record.read(self.out / f"{stage}.json")
            self.progress(stage, epochs, epochs, "already done")
            return record
        configuration, inner = self.configuration, phi() if phi else None
        population = self._population(inner) if configuration.networks > 1 and stage is Stage.JOINT else None
        model = population.first if population else self._model(inner, stage)
        if inner is not None:
            inner.trainable = stage is Stage.JOINT
        learned = inner if stage is Stage.JOINT else None
        samples = len(self.split.y_train)
        compile_network(model, make_optimizer(configuration, epochs, samples, learned), self.dataset.task)
        if population:
            compile_network(population.trainer, population.optimizer, self.dataset.task)
        state = fit(
            model,
            self.split,
            self.out / f"{stage}-checkpoint.npz",
            epochs=epochs,
            batch_size=configuration.batch_size,
            epoch_samples=configuration.epoch_samples or samples,
            augment=crop_flip if configuration.augmentation == "crop_flip" else None,
            population=population,
            seed=(configuration.seed, SEEDS[stage]),
            inner=learned,
            on_epoch=lambda n, logs: self._on_epoch(stage, n, epochs, logs),
        )
        return self._finish(stage, model, state)

    def _on_epoch(self, stage: Stage, number: int, epochs: int, logs: Epoch) -> None:
        self.progress(stage, number, epochs, f"val {reached(logs)}, {logs['seconds']:.1f} s an epoch")
        configuration = self.configuration
        samples = configuration.epoch_samples or len(self.split.y_train)
        judged = judged_epoch(epochs, samples, configuration.batch_size)
        if number == judged and at_chance(logs, self.split.y_validation):
            self.say(chance_warning(stage, number, logs, configuration))

    def _finish(self, stage: Stage, model: Model, state: Fit) -> Record:
        record = self._record(stage, model, state)
        if state.best_weights:
            test = evaluate(model, self.split.x_test, self.split.y_test)
            record.test_accuracy, record.test_loss = test.get("accuracy"), test["loss"]
            model_files.save(model, self.out / f"{stage}.keras")
            if self.configuration.arm in models.ARMS:
                samples = self.split.x_validation[: DENSITY_SAMPLES[self.dataset.kind]]
                save_surface(self.out / f"{stage}-surface.npz", model, samples, state.snapshots.get(0))
        if state.snapshots:
            save_snapshots(self.out / f"{stage}-phi.npz", state.snapshots, self.configuration.inner_activation)
        record.write(self.out / f"{stage}.json")  # last: it marks the stage as finished
        (self.out / f"{stage}-checkpoint.npz").unlink(missing_ok=True)
        return record

    def _record(self, stage: Stage, model: Model, state: Fit) -> Record:
        configuration, data = self.configuration, self.split
        (costs,) = models.compare({configuration.arm: model})
        settings = configuration.to_dict("arm", "architecture", "widths", "seed")
        settings["inner_units"] = list(configuration.inner_units)
        # Software that found all epochs done has trained nothing.
        *earlier, here = [one for one in state.software if one["first_epoch"] <= len(state.epochs)] or state.software
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
            versions=here["versions"],
            commit=here["commit"],
            earlier=earlier,
            task=self.dataset.task,
        )

    @property
    def split(self) -> Split:
        if self._split is None:
            self._split = split(self.dataset, self.configuration.seed)
        return self._split

    def _model(self, inner: InnerNetwork | None, stage: Stage) -> Model:
        configuration = self.configuration
        shape, classes = self.dataset.input_shape, self.dataset.classes
        seed = 10 * configuration.seed + SEEDS[stage]
        return networks.build_network(configuration, shape, classes, self.widths, inner, seed)

    def _population(self, inner: InnerNetwork | None) -> Population:
        shape, classes = self.dataset.input_shape, self.dataset.classes
        seed = 10 * self.configuration.seed + SEEDS[Stage.JOINT]
        return Population(self.configuration, shape, classes, self.widths, inner, seed, len(self.split.y_train))

    def _pretrained_phi(self) -> InnerNetwork:
        inner = networks.make_phi(self.configuration)
        networks.pretrain_phi(
            inner, self.configuration, lambda done, steps: self.progress(Stage.PRETRAIN, done, steps, "")
        )
        return inner

    def _phi_of_joint_stage(self) -> InnerNetwork:
        try:
            return inner_network(model_files.load(self.out / "joint.keras"))
        except ValueError as error:
            raise ValueError(f"{error}. To train the joint stage again, move joint.json away") from error
