"""Run a plan: every arm and seed of a comparison, each in a process of its own.

A plan is a small TOML file (such as `plans/mlp-mnist.toml`). Each run has its folder `ARM-SEED`. A stopped run resumes,
and a finished one is not run again. A run that fails, for example for lack of memory, leaves a record of the failure,
is counted in every table, and is retried the next time. If a run was trained but its robustness could not be measured,
it counts as trained, and only the measurement is retried.
"""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

from keras_twoarg import models
from keras_twoarg.experiments.settings import check_settings, from_flat, setting
from keras_twoarg.experiments.training import datasets, networks, sessions
from keras_twoarg.experiments.training.configuration import DATA_HELP, Configuration
from keras_twoarg.experiments.training.result_folder import result_folder
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import Stage
from keras_twoarg.utils import files, model_files, subprocesses, versions
from keras_twoarg.utils.allocator import keep_freed_memory
from keras_twoarg.utils.progress import Progress, warning_to
from keras_twoarg.utils.types import JsonObject

PLANS = {file.stem: file for file in sorted(Path(__file__).with_name("plans").glob("*.toml"))}
"""The files of the plans that come along, by name."""
_ROBUSTNESS_FAILURE = "robustness-failure.json"


@dataclass(frozen=True)
class Plan:
    """What is compared, and how each run is trained. Each field declares its help and its limits.

    Attributes:
        configuration: How each run is trained, for all arms and seeds. Its `widths` are those of two_arg, to which the
            other arms are matched; its `equal_width` applies to one_arg only.

    Raises:
        ValueError: If a field, or the configuration of one of the arms, has an invalid value.
    """

    data: str = setting(MISSING, DATA_HELP)
    arms: tuple[str, ...] = setting(MISSING, "Arms, such as two_arg,relu.")
    seeds: int = setting(5, "Number of seeds, from the first one.", least=1, most=10_000)
    first_seed: int = setting(0, "First seed.", least=0, most=2**31 - 1)
    subset: int = setting(0, "Training samples, drawn at random; 0 for all.", least=0)
    robustness: bool = setting(False, "Also measure corruptions (convolutional networks) and AutoAttack.")
    points: int = setting(1000, "Test images for robustness.", least=1)
    configuration: Configuration = field(default_factory=Configuration)

    def __post_init__(self) -> None:
        check_settings(self)
        if len(set(self.arms)) != len(self.arms):
            raise ValueError(f"`arms` must name at least one arm, and each once. Received: arms={list(self.arms)}")
        if self.configuration.equal_width and "one_arg" not in self.arms:
            raise ValueError(
                f"`equal_width` must be false for plans without the arm 'one_arg'. Received: arms={list(self.arms)}"
            )
        for arm in self.arms:
            self.of_run(arm, self.first_seed + self.seeds - 1)

    def of_run(self, arm: str, seed: int, widths: tuple[int, ...] | None = None) -> Configuration:
        """Return the configuration of one run."""
        changes: JsonObject = {"equal_width": self.configuration.equal_width and arm == "one_arg"}
        if arm == "quadratic":  # its phi has six coefficients, and no hidden layers to choose
            changes |= {"inner_units": Configuration.inner_units, "inner_activation": Configuration.inner_activation}
        return replace(self.configuration, arm=arm, seed=seed, widths=widths, **changes)

    def to_dict(self) -> JsonObject:
        """Return all settings in one flat dictionary, as in a plan's file."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "configuration"}
        return {**own, **self.configuration.to_dict("arm", "seed")}


def read_plan(name: str, **changes: object) -> Plan:
    """Read a plan by name or from a file, and override some of its settings.

    Args:
        name: One of `PLANS`, or the path of a TOML file.
        **changes: Settings that replace the file's; `None` keeps the file's.

    Examples:
        >>> read_plan("mlp-mnist", seeds=3).arms[:3]
        ('two_arg', 'one_arg', 'relu')

    Raises:
        ValueError: If there is no such plan, or it has an unknown setting or an invalid value.
    """
    file = PLANS.get(name, Path(name))
    if not file.is_file():
        raise ValueError(f"There is no plan {name!r}. Give a .toml file or one of {', '.join(PLANS)}")
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"The plan {name!r} is not UTF-8 text: {error}") from error
    settings = _parse(name, text) | {key: value for key, value in changes.items() if value is not None}
    return plan_of(settings, f"The plan {name!r}")


def plan_of(settings: JsonObject, what: str = "The plan") -> Plan:
    """Build a plan from a flat dictionary of its settings.

    Raises:
        ValueError: If a name is unknown or missing, or a value is invalid.
    """
    for name in ("arm", "seed"):
        if name in settings:
            raise ValueError(
                f"{what} sets `{name}`, which differs between its runs. Give `arms`, `seeds` and `first_seed`"
            )
    return from_flat(Plan, settings, what)


def _parse(name: str, text: str) -> JsonObject:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The plan {name!r} is not valid TOML: {error}") from error


def load_data(plan: Plan, data_dir: str | None = None) -> datasets.Dataset:
    """Load a plan's data, and draw its subset."""
    dataset = datasets.load(plan.data, data_dir=data_dir, context=plan.configuration.context)
    networks.check_data(plan.configuration, dataset)
    if plan.robustness:
        from keras_twoarg.experiments.robustness import AUTOATTACK, measure

        datasets.require_images(dataset, "`robustness`")
        measure.check_possible(dataset, _corruptions(plan.configuration), AUTOATTACK, data_dir)
    return datasets.subset(dataset, plan.subset) if plan.subset else dataset


def run(
    plan: Plan,
    out: Path,
    progress: Progress,
    *,
    jobs: int = 1,
    data_dir: str | None = None,
) -> list[Path]:
    """Run those runs of a plan that have not finished; `twoarg report` compares the finished ones at any time.

    Args:
        plan: The plan.
        out: Folder for `plan.json` and one folder for each arm and seed.
        progress: Called with a run and stage, the epochs or steps done, the total and a note.
        jobs: Number of runs at the same time. Defaults to `1`.
        data_dir: Folder of prepared TensorFlow Datasets.

    Returns:
        The folders of all runs.

    Raises:
        ValueError: If the data cannot be loaded, no widths match, or `out` holds another plan's results.
    """
    versions.commit()  # which failures are recorded with: the one at which they began
    dataset = load_data(plan, data_dir)  # errors should show before anything runs
    widths = arm_widths(plan, dataset)
    later = ("seeds", "first_seed", "arms", "robustness", "points")  # these may change between calls
    settings = {key: value for key, value in plan.to_dict().items() if key not in later}
    settings["fingerprint"] = dataset.fingerprint
    settings |= (held_out := {"held_out_fingerprint": dataset.held_out_fingerprint})  # which older folders lack
    defaults = {**Plan(plan.data, ("relu",)).to_dict(), **held_out}  # for the default network, to which gru is unknown
    # All arms of a seed before the next seed, so that runs can be compared while others are left.
    chosen = [(arm, seed) for seed in range(plan.first_seed, plan.first_seed + plan.seeds) for arm in plan.arms]
    folders = [out / f"{arm}-{seed}" for arm, seed in chosen]
    if plan.robustness:
        _check_points(plan, dataset, folders)
    with result_folder(out, settings, "plan.json", defaults=defaults):
        _run_all(plan, dataset, list(zip(chosen, folders, strict=True)), widths, progress, jobs, data_dir)
    return folders


def _run_all(
    plan: Plan,
    dataset: datasets.Dataset,
    runs: Sequence[tuple[tuple[str, int], Path]],
    widths: dict[str, tuple[int, ...]],
    progress: Progress,
    jobs: int,
    data_dir: str | None,
) -> None:
    waiting: list[Future[None]] = []
    with ThreadPoolExecutor(jobs) as pool:
        stopped = threading.Event()
        try:
            for (arm, seed), folder in runs:
                chosen = plan.of_run(arm, seed, widths[arm])
                waiting.append(pool.submit(_run, chosen, plan, dataset, folder, progress, data_dir, stopped))
            for done in as_completed(waiting):
                done.result()
        except BaseException:  # also of a full disk
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(run.done() for run in waiting):  # a thread may be about to start a child
                subprocesses.end_all()
                time.sleep(0.1)
            raise


def failed_runs(folders: Sequence[Path]) -> list[str]:
    """Return the names of the runs whose last attempt failed, from the folders that `run` returned."""
    tried = {folder: folder.with_name(folder.name + "-failed") for folder in folders}
    return [
        f"{folder.name} (robustness)" if (failed / _ROBUSTNESS_FAILURE).exists() else folder.name
        for folder, failed in tried.items()
        if failed.exists() and any(failed.iterdir())
    ]


def arm_widths(plan: Plan, dataset: datasets.Dataset) -> dict[str, tuple[int, ...]]:
    """Return each arm's widths; sizes that do not fit raise here."""
    two_arg = plan.of_run("two_arg", plan.first_seed, plan.configuration.widths)
    return {
        arm: networks.widths_of(plan.of_run(arm, plan.first_seed), dataset.input_shape, dataset.classes, two_arg)
        for arm in plan.arms
    }


def _run(
    configuration: Configuration,
    plan: Plan,
    dataset: datasets.Dataset,
    folder: Path,
    progress: Progress,
    data_dir: str | None,
    stopped: threading.Event,
) -> None:
    """Run one arm and seed in a child process; if it fails, and was not stopped, leave a record of the failure.

    A run that has nothing left to do needs no process.
    """
    name = f"{configuration.arm} {configuration.seed}"
    failed = folder.with_name(folder.name + "-failed")

    def report(stage: str, done: int, total: int, note: str) -> None:
        progress(f"{name} {stage}", done, total, note)

    def call(function: str) -> subprocesses.Outcome:
        function = f"keras_twoarg.experiments.plan:{function}"
        return subprocesses.call(function, report, plan.to_dict(), configuration.to_dict(), str(folder), data_dir)

    if not plan.robustness and _is_finished(configuration, dataset, folder, report):
        return _forget_failure(failed)
    trained = ended = call("train_one")
    if plan.robustness and not trained.status and (folder / "joint.keras").exists():
        ended = call("measure_one")
    if stopped.is_set() or ended.status == -signal.SIGINT:
        return
    _forget_failure(failed)
    if trained.status:
        stage = Stage.FROZEN if (folder / "joint.json").exists() else Stage.JOINT
        _record_failure(failed, stage, configuration, dataset, trained)
    elif ended.status:  # not a failed record: the run itself is trained
        failed.mkdir(exist_ok=True)
        files.write_json(failed / _ROBUSTNESS_FAILURE, {"failure": ended.reason, "output": list(ended.output)})
    if ended.status:
        progress(name, 0, 1, "failed")


def _is_finished(configuration: Configuration, dataset: datasets.Dataset, folder: Path, report: Progress) -> bool:
    """Return whether every stage of a run is there and is one of this plan's."""
    has_frozen = configuration.arm in models.ARMS and configuration.frozen_epochs
    stages = (Stage.JOINT, Stage.FROZEN) if has_frozen else (Stage.JOINT,)
    if not all((folder / f"{stage}.json").exists() for stage in stages):
        return False
    try:
        sessions.run_sessions(dataset, folder, report, **configuration.to_dict())  # trains nothing, and checks all
    except (ValueError, OSError):  # a process of its own says what is wrong, and leaves a record of it
        return False
    return True


def _forget_failure(folder: Path) -> None:
    """Remove what an earlier failure left, and the folder if that empties it."""
    for name in (*(f"{stage}.json" for stage in Stage), _ROBUSTNESS_FAILURE):
        (folder / name).unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def train_one(
    progress: Progress, plan: JsonObject, configuration: JsonObject, folder: str, data_dir: str | None
) -> None:
    """Train one arm and seed of a plan, in a child process."""
    keep_freed_memory()
    dataset = load_data(plan_of(plan), data_dir)
    sessions.run_sessions(dataset, folder, progress, say=warning_to(progress), **configuration)


def measure_one(
    progress: Progress, plan: JsonObject, configuration: JsonObject, folder: str, data_dir: str | None
) -> None:
    """Measure the robustness of one trained arm and seed, in a child process."""
    from keras_twoarg.experiments.robustness.measure import evaluate

    keep_freed_memory()
    settings = plan_of(plan)
    names = _corruptions(settings.configuration)
    model = model_files.load(Path(folder) / "joint.keras")
    out, points, dataset = Path(folder) / f"{Stage.JOINT}-robustness", settings.points, load_data(settings, data_dir)
    evaluate(model, dataset, out, progress, points=points, corruptions=names, data_dir=data_dir)


def _corruptions(configuration: Configuration) -> tuple[str, ...]:
    """Return the corruptions to measure: all for convolutional networks, none for others."""
    from keras_twoarg.experiments.robustness import NAMES

    return NAMES if configuration.architecture in ("cnn", "resnet") else ()


def _check_points(plan: Plan, dataset: datasets.Dataset, folders: Sequence[Path]) -> None:
    """Raise a ValueError if the robustness of a run was measured on another number of test images."""
    points = min(plan.points, len(dataset.y_test))
    for folder in folders:
        file = folder / f"{Stage.JOINT}-robustness" / "settings.json"
        measured = files.read_json(file) if file.exists() else {"points": points}
        if isinstance(measured, dict) and measured.get("points") != points:
            raise ValueError(
                f"`points` must stay the same in a folder with results. Received: points={plan.points}, but "
                f"{file.parent} was measured on {measured.get('points')} images. Use the same, or another folder"
            )


def _record_failure(
    folder: Path, stage: Stage, configuration: Configuration, dataset: datasets.Dataset, ended: subprocesses.Outcome
) -> None:
    settings = configuration.to_dict("arm", "architecture", "widths", "seed")
    record = Record(
        arm=configuration.arm,
        stage=stage.value,
        seed=configuration.seed,
        dataset=dataset.name,
        architecture=configuration.architecture,
        widths=list(configuration.widths or ()),
        parameters=0,
        normalization="",
        splits={},
        settings={**settings, "failure": ended.reason, "output": list(ended.output)},
        status="failed",
        versions=versions.versions(),
        commit=versions.commit(),
        task=dataset.task,
    )
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder / f"{stage}.json")
