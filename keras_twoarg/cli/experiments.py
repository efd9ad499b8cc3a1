"""The commands that train, compare and look: demo, train, reproduce, report, show."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from keras_twoarg.cli.common import (
    OUT_HELP,
    console,
    one_line_errors,
    print_findings,
    print_report,
    show_progress,
    twoarg,
    widths,
    words,
)


@twoarg.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), help=OUT_HELP)
@click.option("--seed", "first_seed", type=click.IntRange(0), default=1, help="First seed.")
@click.option("--seeds", type=click.IntRange(1), default=2, help="Number of seeds.")
@click.option("--data", default="mnist5k", help="As for train.")
@click.option("--epochs", type=click.IntRange(1), default=50, help="Epochs of the joint and of the frozen stage.")
@click.option("--pretraining-epochs", type=int, help="As for train.  [default: the paper's]")
@one_line_errors
def demo(out: Path, first_seed: int, seeds: int, data: str, epochs: int, pretraining_epochs: int | None) -> None:
    """Run the main job on real digits.

    Two-argument units against matched ReLU, an export, and a report.
    """
    from keras_twoarg.experiments import demo as job

    with show_progress() as progress:
        chosen = list(range(first_seed, first_seed + seeds))
        found = job.run(out, chosen, data, progress, epochs=epochs, pretraining_epochs=pretraining_epochs)
    print_report(out)
    for seed, verdict in found.soft_xor.items():
        console.print(f"phi of seed {seed}: {verdict}")
    if found.agreement:
        console.print(f"{found.agreement}.")
    console.print(f"Report: {found.report}")


@twoarg.command()
@click.option(
    "--arm",
    default="two_arg",
    help="two_arg, one_arg, quadratic, swiglu, maxout, xnor, product, prelu, or a Keras activation.",
)
@click.option("--data", required=True, help="mnist5k, fashion_mnist, a prepared TFDS name, or an .npz.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of split, weights and batches.")
@click.option("--subset", type=click.IntRange(0), default=0, help="Training images, drawn at random; 0 for all.")
@click.option("--architecture", type=click.Choice(["mlp", "cnn"]), default="mlp")
@click.option("--widths", callback=widths, help="Units of each hidden layer, such as 64,64,64.  [default: matched]")
@click.option("--epochs", type=int, default=20, help="Epochs of the joint stage.")
@click.option("--frozen-epochs", type=int, default=20, help="Epochs of the frozen stage; 0 for none.")
@click.option("--batch-size", type=int, default=100)
@click.option("--learning-rate", type=float, default=1e-3)
@click.option("--dropout", type=float, default=0.5)
@click.option("--pairing", type=click.Choice(["adjacent", "halves"]), default="adjacent")
@click.option("--evaluation", type=click.Choice(["auto", "exact", "interpolated"]), default="auto", help="Of phi.")
@click.option(
    "--phi-init",
    default="random",
    help="What phi is fitted to first: random, product, xnor, maxout, swiglu; glorot: none.",
)
@click.option("--pretraining-epochs", type=int, help="Passes over the grid of pretraining.  [default: the paper's]")
@click.option("--phi-init-std", type=click.FloatRange(0), default=0.01, help="Std of the random surface; 0: unscaled.")
@click.option("--hparams", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="From twoarg tune.")
@click.pass_context
@one_line_errors
def train(
    context: click.Context,
    data: str,
    data_dir: str | None,
    subset: int,
    out: Path,
    hparams: Path | None,
    **configuration: Any,
) -> None:
    """Train one arm and seed, all stages."""
    from keras_twoarg.experiments.training import datasets, sessions

    configuration["phi_init_std"] = configuration["phi_init_std"] or None
    if hparams is not None:
        from keras_twoarg.experiments.tuning import read_hparams

        chosen = {key for key in configuration if context.get_parameter_source(key) is ParameterSource.COMMANDLINE}
        configuration |= {key: value for key, value in read_hparams(hparams).items() if key not in chosen}
    dataset = datasets.load(data, data_dir=data_dir)
    if subset:
        dataset = datasets.subset(dataset, subset)
    with show_progress() as progress:
        sessions.run_sessions(dataset, out, progress, **configuration)
    print_report(out)


@twoarg.command()
@click.argument("plan")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=OUT_HELP)
@click.option("--data", help="Other data than the plan's, as for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--seed", type=click.IntRange(0), default=None, help="Report this seed alone.")
@click.option("--seeds", type=click.IntRange(1), help="Number of seeds, from 0.  [default: the plan's, as below]")
@click.option("--arms", callback=words, help="Arms, such as two_arg,relu.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs of the joint stage.")
@click.option("--frozen-epochs", type=click.IntRange(0), help="Epochs of the frozen stage.")
@click.option("--subset", type=click.IntRange(0), help="Training images, drawn at random; 0 for all.")
@click.option("--widths", callback=widths, help="Units of each hidden layer of two_arg; the others are matched.")
@click.option("--evaluation", type=click.Choice(["auto", "exact", "interpolated"]), help="Of phi.")
@click.option("--phi-init", help="What phi is fitted to first, as for train.")
@click.option("--robustness", is_flag=True, default=None, help="Measure corruptions and AutoAttack too.")
@click.option("--points", type=click.IntRange(1), help="Test images for that.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Runs at the same time.")
@one_line_errors
def reproduce(plan: str, out: Path, data_dir: str | None, seed: int | None, jobs: int, **changes: Any) -> None:
    """Run every arm and seed of PLAN, and report.

    PLAN is demo, mlp-mnist, mlp-fashion, mlp-cifar10, cnn-mnist, cnn-fashion, cnn-cifar10, or a file. The same
    command goes on where it was stopped. Plans are small TOML files; copy one to write your own.
    """
    from keras_twoarg.experiments import plan as job
    from keras_twoarg.experiments.reports.page import write_report

    chosen = job.read_plan(plan, **changes)
    with show_progress() as progress:
        job.run(chosen, out, progress, jobs=jobs, data_dir=data_dir, on_run=lambda: print_report(out))
    print_findings(out, seed=seed)
    console.print(f"Report: {write_report([out], out, seed=seed)}")


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html.  [default: the first folder]")
@click.option("--seed", type=int, help="Report this seed alone.")
@one_line_errors
def report(folders: tuple[Path, ...], out: Path | None, seed: int | None) -> None:
    """Rebuild tables, figures and report.html.

    From the records in FOLDERS alone, without training; several folders are compared.
    """
    from keras_twoarg.experiments.reports.page import write_report

    print_findings(*folders, seed=seed)
    console.print(f"Report: {write_report(folders, out or folders[0], seed=seed)}")


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", default="mnist5k", help="Data whose pre-activations are drawn, as for train.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("surface.png"), help="Picture to write.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the images that are drawn.")
@one_line_errors
def show(model: Path, data: str, out: Path, seed: int) -> None:
    """Draw phi, and say whether it is a soft XOR.

    With the density of its arguments and the quadratic fit.
    """
    from keras_twoarg.experiments.show import show_model

    console.print(show_model(model, data, out, seed))
    console.print(f"Picture: {out}")
