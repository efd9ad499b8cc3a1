"""Run a plan: every arm and seed of a comparison, each in a process of its own.

A plan is a small TOML file (`plans/mlp-mnist.toml` and its neighbours). Each run has its folder `ARM-SEED`. A run that
was stopped goes on where it was; one that is finished is not run again; one that fails, for example for lack of memory,
leaves a record that says so, is counted in every table, and is tried again the next time.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import MISSING, asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from keras_twoarg import models
from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage
from keras_twoarg.export import formats
from keras_twoarg.utils import subprocesses, versions
from keras_twoarg.utils.subprocesses import Progress

PLANS = ("demo", "mlp-mnist", "mlp-fashion", "mlp-cifar10", "cnn-mnist", "cnn-fashion", "cnn-cifar10")


@dataclass(frozen=True)
class Plan:
    """What is compared, and how each run is trained.

    Attributes:
        data: Name of the data set, as in `datasets.load`.
        arms: What fills the units, as in `models.mlp`.
        seeds: Number of seeds, from 0.
        architecture: `"mlp"` or `"cnn"`.
        epochs: As in `sessions.Configuration`, like everything that follows.
        frozen_epochs: Epochs of the frozen stage.
        batch_size: Images in a step.
        learning_rate: Of Adam.
        dropout: Dropout rate.
        evaluation: How phi is evaluated.
        phi_init: The surface of Session I, as in `sessions.Configuration`.
        pretraining_epochs: Passes over the grid in the pretrain stage. Defaults to the paper's.
        phi_init_std: Standard deviation of the random surface.
        widths: Units of each hidden layer of two_arg; the other arms are matched to it. Defaults to the paper's.
        subset: Training images of the data set that are used, drawn once; 0 for all.
        robustness: Whether the joint stage's network is also put to corruptions (convolutional networks) and to
            AutoAttack.
        points: Test images for that.
    """

    data: str
    arms: tuple[str, ...]
    seeds: int = 5
    architecture: str = "mlp"
    epochs: int = 20
    frozen_epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 1e-3
    dropout: float = 0.5
    evaluation: str = "auto"
    phi_init: str = "random"
    pretraining_epochs: int | None = None
    phi_init_std: float | None = 0.01
    widths: tuple[int, ...] | None = None
    subset: int = 0
    robustness: bool = False
    points: int = 1000

    def __post_init__(self) -> None:
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"`arms` must name at least one arm, and each once. Received: arms={list(self.arms)}")
        for name in ("seeds", "subset"):
            value, least = getattr(self, name), 1 if name == "seeds" else 0
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
        for arm in self.arms:
            sessions.Configuration(**self.configuration(arm, 0))

    def configuration(self, arm: str, seed: int) -> dict[str, Any]:
        """Return the configuration of one run."""
        own = {f.name for f in fields(sessions.Configuration)} - {"widths"}
        return {**{key: value for key, value in asdict(self).items() if key in own}, "arm": arm, "seed": seed}


_DEFAULTS = {f.name: f.default for f in fields(Plan) if f.default is not MISSING}


def read_plan(name: str, **changes: Any) -> Plan:
    """Read a plan by its name or from a file, and change some of it.

    Args:
        name: One of `PLANS`, or the path of a TOML file like theirs.
        **changes: Attributes of `Plan` to put in the place of the file's; `None` changes nothing.

    Example:
        >>> read_plan("mlp-mnist", seeds=3).arms[:3]
        ('two_arg', 'one_arg', 'relu')

    Raises:
        ValueError: If there is no such plan, or something in it is unknown or unusable.
    """
    if name in PLANS:
        text = resources.files("keras_twoarg.experiments").joinpath(f"plans/{name}.toml").read_text("utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text("utf-8")
    else:
        raise ValueError(f"There is no plan {name!r}. Give a .toml file or one of {', '.join(PLANS)}")
    found = _parse(name, text) | {key: value for key, value in changes.items() if value is not None}
    if unknown := set(found) - {f.name for f in fields(Plan)}:
        raise ValueError(f"The plan {name!r} names what is unknown: {', '.join(sorted(unknown))}")
    if missing := {"data", "arms"} - set(found):
        raise ValueError(f"The plan {name!r} lacks {', '.join(sorted(missing))}")
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return Plan(**settings)


def _parse(name: str, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The plan {name!r} is no TOML: {error}") from error


def load_data(plan: Plan, data_dir: str | None = None) -> datasets.Dataset:
    """Load a plan's data, and draw its subset."""
    found = datasets.load(plan.data, data_dir=data_dir)
    return datasets.subset(found, plan.subset) if plan.subset else found


def run(
    plan: Plan,
    out: Path,
    progress: Progress,
    *,
    jobs: int = 1,
    data_dir: str | None = None,
    on_run: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Run what is not finished yet of a plan.

    Args:
        plan: The plan.
        out: Folder for one folder each for arm and seed, and for `plan.json`.
        progress: Called with a run and stage, the epochs or steps done and in all, and a note.
        jobs: Runs at the same time. Defaults to `1`.
        data_dir: Folder of prepared TensorFlow Datasets.
        on_run: Called after each run.

    Returns:
        The folders of all runs.

    Raises:
        ValueError: If the data cannot be had, no widths match, or `out` holds another plan's results.
    """
    dataset = load_data(plan, data_dir)  # what is wrong with it should show before anything runs
    widths = _widths(plan, dataset)
    settings = asdict(plan)
    for later in ("seeds", "arms", "robustness", "points"):  # more of these may come later
        del settings[later]
    sessions.claim_folder(out, {**settings, "fingerprint": dataset.fingerprint}, "plan.json", _DEFAULTS)
    # All arms of a seed before the next one: what is there at any time can be compared.
    chosen = [(arm, seed) for seed in range(plan.seeds) for arm in plan.arms]
    folders = [out / f"{arm}-{seed}" for arm, seed in chosen]
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = [
            pool.submit(
                _run, {**plan.configuration(arm, seed), "widths": widths[arm]}, plan, folder, progress, data_dir
            )
            for (arm, seed), folder in zip(chosen, folders, strict=True)
        ]
        for done in as_completed(waiting):
            done.result()
            on_run()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return folders


def _widths(plan: Plan, dataset: datasets.Dataset) -> dict[str, tuple[int, ...]]:
    widths = plan.widths or sessions.DEFAULT_WIDTHS[plan.architecture]
    reference = sessions.ARCHITECTURES[plan.architecture](dataset.input_shape, dataset.classes, widths=widths)
    return {arm: widths if arm == "two_arg" else models.matched_widths(arm, reference) for arm in plan.arms}


def _run(configuration: dict[str, Any], plan: Plan, folder: Path, progress: Progress, data_dir: str | None) -> None:
    """Run one arm and seed in a child process, and leave a record of its failure if it fails."""
    name = f"{configuration['arm']} {configuration['seed']}"
    failed = folder.with_name(folder.name + "-failed") / "joint.json"

    def report(stage: str, done: int, total: int, note: str) -> None:
        progress(f"{name} {stage}", done, total, note)

    settings = {
        "data": plan.data, "arms": plan.arms, "subset": plan.subset, "robustness": plan.robustness,
        "points": plan.points,
    }  # fmt: skip
    ended = subprocesses.call(
        "keras_twoarg.experiments.plan:run_one", report, settings, configuration, str(folder), data_dir
    )
    if ended.status:
        _record_failure(failed, configuration, plan, ended)
        progress(name, 0, 1, "failed")
    elif failed.exists():
        failed.unlink()
        failed.parent.rmdir()


def run_one(
    progress: Progress, plan: dict[str, Any], configuration: dict[str, Any], folder: str, data_dir: str | None
) -> None:
    """Run one arm and seed of a plan, in a child process."""
    settings = Plan(**plan)
    dataset = load_data(settings, data_dir)
    sessions.run_sessions(dataset, folder, progress, **configuration)
    if settings.robustness and (Path(folder) / "joint.keras").exists():
        from keras_twoarg.experiments.robustness import NAMES
        from keras_twoarg.experiments.robustness.measure import evaluate

        names = NAMES if configuration["architecture"] == "cnn" else ()
        model = formats.load(Path(folder) / "joint.keras")
        out, points = Path(folder) / f"{Stage.JOINT}-robustness", settings.points
        evaluate(model, dataset, out, progress, points=points, corruptions=names, data_dir=data_dir)


def _record_failure(file: Path, configuration: dict[str, Any], plan: Plan, ended: subprocesses.Outcome) -> None:
    settings = {
        key: configuration[key] for key in configuration if key not in ("arm", "architecture", "widths", "seed")
    }
    record = Record(
        arm=configuration["arm"],
        stage="joint",
        seed=configuration["seed"],
        dataset=plan.data,
        architecture=plan.architecture,
        widths=list(configuration["widths"]),
        parameters=0,
        normalization="",
        splits={},
        settings={**settings, "failure": ended.reason, "output": list(ended.output)},
        status="failed",
        versions=versions.versions(),
        commit=versions.commit(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    record.write(file)
