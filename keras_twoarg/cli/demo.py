"""The command demo, which trains and compares on real digits."""

from pathlib import Path

import click

from keras_twoarg.cli.common import OUT_HELP, print_report, say, show_progress, twoarg


@twoarg.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), help=OUT_HELP)
@click.option("--seed", "--first-seed", "first_seed", type=click.IntRange(0), default=1, help="First seed.")
@click.option("--seeds", type=click.IntRange(1), default=2, help="Number of seeds.")
@click.option("--data", default="mnist5k", help="As for train.")
@click.option("--epochs", type=click.IntRange(1), default=50, help="Epochs of the joint and of the frozen stage.")
@click.option("--pretraining-epochs", type=int, help="As for train.  [default: the paper's]")
def demo(out: Path, first_seed: int, seeds: int, data: str, epochs: int, pretraining_epochs: int | None) -> None:
    """Train and compare two_arg and ReLU on 5,000 digits.

    It runs all stages at equal parameters, exports a model, and writes a report and a page to play with.
    """
    from keras_twoarg.analysis.statistics import scipy_stats
    from keras_twoarg.experiments import demo as job
    from keras_twoarg.utils.figures import pyplot

    scipy_stats(), pyplot()  # missing packages are named now, not behind the training
    with show_progress() as progress:
        chosen = list(range(first_seed, first_seed + seeds))
        findings = job.run(out, chosen, data, progress, epochs=epochs, pretraining_epochs=pretraining_epochs)
    print_report(findings.runs)
    for seed, verdict in findings.soft_xor.items():
        say(f"phi of seed {seed}: {verdict}")
    if findings.agreement:
        say(f"{findings.agreement}.")
    say(f"Report: {findings.report}")
    if findings.play:
        say(f"To play with: {findings.play}")
