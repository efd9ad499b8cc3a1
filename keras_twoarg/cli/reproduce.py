"""The command reproduce, which runs a comparison."""

from collections.abc import Sequence
from pathlib import Path

import click

from keras_twoarg.cli.common import OUT_HELP, print_findings, say, show_progress, twoarg
from keras_twoarg.cli.options import settings_options
from keras_twoarg.experiments.plan import Plan
from keras_twoarg.experiments.training.configuration import Configuration


@twoarg.command()
@click.argument("plan")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--report-seed", type=click.IntRange(0), default=None, help="Report only this seed.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Number of runs in parallel.")
@settings_options(Plan, changes=True)
@settings_options(Configuration, without=("arm", "seed"), changes=True)
def reproduce(
    plan: str, out: Path, data_dir: str | None, report_seed: int | None, jobs: int, **changes: object
) -> None:
    """Run every arm and seed of PLAN, and report.

    PLAN is demo, mlp-mnist, mlp-fashion, mlp-cifar10, cnn-mnist, cnn-fashion, cnn-cifar10, resnet-cifar10, lm-kjv,
    lm-kjv-recurrent, lm-pydocs, parity, addition, tables-randhie, tables-fair, tables-bikeshare, or a TOML file;
    options override it. The same command resumes a stopped comparison. Exit status 1 if a run failed.
    To write your own plan, copy one of these small files.
    """
    from keras_twoarg.analysis.statistics import scipy_stats
    from keras_twoarg.experiments import plan as job
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.experiments.reports.page import write_report
    from keras_twoarg.experiments.reports.runs import read_runs
    from keras_twoarg.utils.figures import pyplot

    scipy_stats(), pyplot()  # missing packages are named now, not behind the training
    check_target(out / "report.html", "report")
    chosen = job.read_plan(plan, **changes)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    if report_seed is not None and report_seed not in seeds:
        raise ValueError(
            f"`--report-seed` must be one of the plan's seeds, {seeds[0]} to {seeds[-1]}. Received: {report_seed}. "
            "`--first-seed` and `--seeds` choose what runs"
        )
    with show_progress() as progress:
        folders = job.run(chosen, out, progress, jobs=jobs, data_dir=data_dir)
    runs = read_runs([out], seed=report_seed)
    print_findings(runs)
    if chosen.configuration.architecture in ("transformer", "recurrent"):
        print_samples(chosen, folders)
    say(f"Report: {write_report(runs, out)}")
    if failed := job.failed_runs(folders):
        say(f"Failed: {', '.join(failed)}. The same command retries them")
        raise SystemExit(1)


def print_samples(plan: Plan, folders: Sequence[Path]) -> None:
    """Print samples of the first trained network, from before and after training."""
    from keras_twoarg.experiments.training.generation import before_and_after
    from keras_twoarg.experiments.training.text import load_text

    trained = next((folder for folder in folders if (folder / "joint.keras").exists()), None)
    if trained is not None:
        before, after = before_and_after(trained, load_text(plan.data))
        for when, sample in (("before", before), ("after", after)):
            say(f"{trained.name} writes, {when} training: {' '.join(sample.split())}")
