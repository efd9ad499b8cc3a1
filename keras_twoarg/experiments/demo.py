"""The demo: two-argument units against matched ReLU on real digits, from pretraining to a served model."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_twoarg import models
from keras_twoarg.experiments.play import page as play_page
from keras_twoarg.experiments.play.page import MOST_MODELS, write_play
from keras_twoarg.experiments.reports import html
from keras_twoarg.experiments.reports.page import write_report
from keras_twoarg.experiments.reports.runs import Runs, read_runs
from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.export import formats
from keras_twoarg.utils import files, model_files
from keras_twoarg.utils.progress import Progress, warning_to
from keras_twoarg.utils.types import JsonObject

ARMS = ("two_arg", "relu")


@dataclass(frozen=True)
class Findings:
    """The results of the demo.

    Attributes:
        runs: All runs in the folder, also of seeds of an earlier demo.
        soft_xor: For each seed, a sentence on whether phi of the joint stage is a soft XOR.
        agreement: A sentence that compares the reloaded export with the model.
        report: Path of the report.
        play: Path of the interactive page, or None if no two-argument run finished.
    """

    runs: Runs
    soft_xor: dict[int, str]
    agreement: str | None
    report: Path
    play: Path | None


def run(
    out: Path,
    seeds: Sequence[int],
    data: str,
    progress: Progress,
    *,
    epochs: int = 50,
    pretraining_epochs: int | None = None,
) -> Findings:
    """Run every arm and seed, export the best two-argument model, and write `report.html` and `play.html`.

    Args:
        out: Folder for everything. Finished runs in it are not run again.
        seeds: Seeds.
        data: Name or path of a data set.
        progress: Called with the stage, the steps done, the total and a note.
        epochs: Epochs of the joint and of the frozen stage. Defaults to `50`.
        pretraining_epochs: Epochs of the pretrain stage. Defaults to `None`, the paper's.

    Returns:
        The `Findings`.
    """
    play_page.check_target(out / "play.html")  # before the minutes of work
    _check_folder(out)
    html.check_target(out / "report.html", "demo")
    dataset = datasets.load(data)
    records: list[Record] = []
    for seed in seeds:
        for arm in ARMS:
            records += sessions.run_sessions(
                dataset,
                out / "runs" / f"{arm}-{seed}",
                _stages(progress, arm, seed),
                say=warning_to(progress, f"seed {seed}: {arm}"),
                arm=arm,
                seed=seed,
                epochs=epochs,
                frozen_epochs=epochs,
                pretraining_epochs=pretraining_epochs,
            )
    agreement = _export(out, dataset, records)
    command = f"twoarg demo --seed {seeds[0]} --seeds {len(seeds)} --data {shlex.quote(data)} --epochs {epochs}"
    if pretraining_epochs is not None:
        command += f" --pretraining-epochs {pretraining_epochs}"
    play = _play(out, seeds, data, command)
    runs = read_runs([out / "runs"])
    report = write_report(runs, out, command=command, agreement=agreement, play=play)
    judged = {surface.record.seed: surface.soft_xor.verdict for surface in runs.surfaces}
    verdicts = {seed: judged[seed] for seed in seeds if seed in judged}
    return Findings(runs, verdicts, agreement, report, play)


def _check_folder(out: Path) -> None:
    """Raise a ValueError if a folder holds files with a demo's names that no demo wrote."""
    ours = any((out / "runs").glob("*/run.json"))
    if not ours and (
        others := [name for name in ("model.keras", "report.html", "saved_model") if (out / name).exists()]
    ):
        raise ValueError(f"{out} holds {others[0]} but no runs of a demo. Use an empty or new folder for --out")


def _play(out: Path, seeds: Sequence[int], data: str, command: str) -> Path | None:
    """Write the interactive page: phi of each seed, and the frozen stage of the first seed."""
    files = [out / "runs" / f"two_arg-{seed}" / "joint.keras" for seed in seeds]
    files = [file for file in [*files, files[0].with_name("frozen.keras")] if file.exists()][:MOST_MODELS]
    if not files:
        return None
    write_play(files, out / "play.html", data=data, command=command)
    return out / "play.html"


def _stages(progress: Progress, arm: str, seed: int) -> Progress:
    def name_stage(stage: str, done: int, total: int, note: str) -> None:
        progress(f"seed {seed}: {arm} {stage}" if arm in models.ARMS else f"seed {seed}: {arm}", done, total, note)

    return name_stage


def _export(out: Path, dataset: datasets.Dataset, runs: Sequence[Record]) -> str | None:
    """Save the two-argument model with the lowest validation loss in `out`, as .keras and as a SavedModel."""
    candidates = [r for r in runs if r.arm == "two_arg" and r.best_epoch]
    if not candidates:
        return None
    best = min(candidates, key=lambda r: min(r.curve("val_loss")))
    model = model_files.load(out / "runs" / f"two_arg-{best.seed}" / f"{best.stage}.keras")
    model_files.save(model, out / "model.keras")
    served, told = out / "saved_model" / "1", out / "saved_model" / "agreement.json"
    chosen = {"seed": best.seed, "stage": best.stage}
    if not _is_of(told, chosen):  # also if an earlier call was stopped between the two
        told.unlink(missing_ok=True)
        formats.remove(served, "tf_saved_model")
        formats.export(model, served)
    images = datasets.scale(dataset.x_test)
    agreement = formats.compare(model, served, images)
    summary: JsonObject = {**chosen, **vars(agreement), "agrees": agreement.agrees}
    files.write_json(told, summary)
    return agreement.sentence


def _is_of(told: Path, chosen: JsonObject) -> bool:
    """Return whether the served model was exported from the chosen run and stage."""
    summary = files.read_json(told) if told.exists() and (told.parent / "1").exists() else {}
    return isinstance(summary, dict) and all(summary.get(key) == value for key, value in chosen.items())
