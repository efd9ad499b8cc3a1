"""The command `twoarg`. Each command is a thin skin over functions that can be imported."""

import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from keras_twoarg import __version__

console = Console()


class UserMistake(click.ClickException):
    """A mistake in what the user gave: one line, exit status 2."""

    exit_code = 2


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a user's mistake into one line and exit status 2; `TWOARG_DEBUG=1` shows the traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
            if os.environ.get("TWOARG_DEBUG"):
                raise
            raise UserMistake(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise click.ClickException("Stopped. The same command goes on where this one was stopped.") from None

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="twoarg")
def twoarg() -> None:
    """Two-argument activation functions: train, look at, report and export."""


def _widths(_context: Any, _parameter: Any, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(width) for width in value.split(","))
    except ValueError:
        raise click.BadParameter(f"expected whole numbers such as 64,64,64. Received: {value}") from None


def _words(_context: Any, _parameter: Any, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(word.strip() for word in value.split(","))


def _json(_context: Any, _parameter: Any, value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"this is no JSON ({error}): {value}") from None
    if not isinstance(found, dict) or not all(isinstance(choices, list) for choices in found.values()):
        raise click.BadParameter(f'expected lists of choices such as {{"depth": [2, 3]}}. Received: {value}')
    return found


_OUT_HELP = "Folder for everything that comes out."


@twoarg.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), help=_OUT_HELP)
@click.option("--seed", "first_seed", type=click.IntRange(0), default=1, help="First seed.")
@click.option("--seeds", type=click.IntRange(1), default=2, help="Number of seeds.")
@click.option("--data", default="mnist5k", help="As for train.")
@click.option("--epochs", type=click.IntRange(1), default=50, help="Epochs of Sessions II and III.")
@click.option("--pretraining-epochs", type=int, help="As for train.  [default: the paper's]")
@one_line_errors
def demo(out: Path, first_seed: int, seeds: int, data: str, epochs: int, pretraining_epochs: int | None) -> None:
    """Run the main job on real digits: two-argument units against matched ReLU, and a report."""
    from keras_twoarg import demo as job

    with _progress() as progress:
        chosen = list(range(first_seed, first_seed + seeds))
        found = job.run(out, chosen, data, progress, epochs=epochs, pretraining_epochs=pretraining_epochs)
    _print_report(out)
    for seed, verdict in found.soft_xor.items():
        console.print(f"phi of seed {seed}: {verdict}")
    if found.agreement:
        console.print(f"{found.agreement}.")
    console.print(f"Report: {found.report}")


@twoarg.command()
@click.option("--arm", default="two_arg", help="two_arg, one_arg, or a Keras activation such as relu.")
@click.option("--data", required=True, help="mnist5k, fashion_mnist, a prepared TFDS name, or an .npz.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=_OUT_HELP)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of split, weights and batches.")
@click.option("--subset", type=click.IntRange(0), default=0, help="Training images, drawn at random; 0 for all.")
@click.option("--architecture", type=click.Choice(["mlp", "cnn"]), default="mlp")
@click.option("--widths", callback=_widths, help="Units of each hidden layer, such as 64,64,64.  [default: matched]")
@click.option("--epochs", type=int, default=20, help="Epochs of Session II.")
@click.option("--frozen-epochs", type=int, default=20, help="Epochs of Session III; 0 for none.")
@click.option("--batch-size", type=int, default=100)
@click.option("--learning-rate", type=float, default=1e-3)
@click.option("--dropout", type=float, default=0.5)
@click.option("--pairing", type=click.Choice(["adjacent", "halves"]), default="adjacent")
@click.option("--evaluation", type=click.Choice(["auto", "exact", "interpolated"]), default="auto", help="Of phi.")
@click.option(
    "--start", default="random", help="Surface of Session I: random, product, xnor, maxout, swiglu, or glorot."
)
@click.option("--pretraining-epochs", type=int, help="Passes over the grid in Session I.  [default: the paper's]")
@click.option("--amplitude", type=click.FloatRange(0), default=0.01, help="Std of the random surface; 0: unscaled.")
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
    """Train one arm and seed: Sessions I, II and III."""
    from keras_twoarg.training import datasets, sessions

    configuration["amplitude"] = configuration["amplitude"] or None
    if hparams is not None:
        from keras_twoarg.tuning import read_hparams

        chosen = {key for key in configuration if context.get_parameter_source(key) is ParameterSource.COMMANDLINE}
        configuration |= {key: value for key, value in read_hparams(hparams).items() if key not in chosen}
    dataset = datasets.load(data, data_dir=data_dir)
    if subset:
        dataset = datasets.subset(dataset, subset)
    with _progress() as progress:
        sessions.run_sessions(dataset, out, progress, **configuration)
    _print_report(out)


@twoarg.command()
@click.option("--arm", "arms", multiple=True, help="As for train; give it once for each arm.")
@click.option("--data", help="As for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=_OUT_HELP + " Shared, with workers.")
@click.option("--tuner", type=click.Choice(["random", "bayesian", "hyperband", "grid"]), default="bayesian")
@click.option("--trials", type=click.IntRange(1), default=20, help="For each arm.")
@click.option("--epochs", type=click.IntRange(1), default=10, help="Of each trial; of the longest for hyperband.")
@click.option("--architecture", type=click.Choice(["mlp", "cnn"]), default="mlp")
@click.option("--subset", type=click.IntRange(0), default=0, help="Training images, drawn at random; 0 for all.")
@click.option("--space", callback=_json, help='Other choices, as JSON: {"depth": [2, 3], "norm": ["layer"]}.')
@click.option("--evaluation", type=click.Choice(["auto", "exact", "interpolated"]), default="auto", help="Of phi.")
@click.option("--pretraining-epochs", type=click.IntRange(1), help="As for train.  [default: the paper's]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of split, weights and search.")
@click.option("--chief", "chief_at", metavar="HOST:PORT", help="Hand out trials to workers, listening here.")
@click.option("--worker", "worker_of", metavar="HOST:PORT", help="Run trials for the chief there.")
@click.option("--name", help="Of this worker.  [default: host and process]")
@click.option("--silence", type=float, default=60.0, help="Seconds after which a silent worker's trial moves on.")
@click.option("--patience", type=float, default=1800.0, help="Seconds to wait for the other side.")
@one_line_errors
def tune(
    out: Path,
    data_dir: str | None,
    chief_at: str | None,
    worker_of: str | None,
    name: str | None,
    silence: float,
    patience: float,
    **settings: Any,
) -> None:
    """Search for the best hyperparameters of each arm, with the same number of parameters and the same budget.

    The same command goes on where it was stopped. Use the result with `twoarg train --hparams OUT/best-ARM.json`.
    On many machines: one `--chief`, and as many `--worker` as there are, all with the same shared --out.
    """
    from keras_twoarg.tuning import Search, cluster
    from keras_twoarg.tuning import tune as job

    def say(text: str) -> None:
        console.print(text, highlight=False)

    if worker_of is not None:
        name = name or f"{platform.node()}-{os.getpid()}"
        with _progress() as progress:
            cluster.worker(out, worker_of, name, progress, patience=patience, data_dir=data_dir)
        return
    if not settings["arms"] or settings["data"] is None:
        raise ValueError("Give --data and at least one --arm")
    search = Search(**settings)
    if chief_at is not None:
        rows = cluster.chief(
            search, out, chief_at, silence=silence, patience=patience, on_trial=_say_trial, say=say, data_dir=data_dir
        )
    else:
        with _progress() as progress:
            rows = job(search, out, progress, on_trial=_say_trial, data_dir=data_dir)
    _print_search(rows, out)


@twoarg.command()
@click.argument("plan")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=_OUT_HELP)
@click.option("--data", help="Other data than the plan's, as for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--seed", type=click.IntRange(0), default=None, help="Report this seed alone.")
@click.option("--seeds", type=click.IntRange(1), help="Number of seeds, from 0.  [default: the plan's, as below]")
@click.option("--arms", callback=_words, help="Arms, such as two_arg,relu.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs of Session II.")
@click.option("--frozen-epochs", type=click.IntRange(0), help="Epochs of Session III.")
@click.option("--subset", type=click.IntRange(0), help="Training images, drawn at random; 0 for all.")
@click.option("--widths", callback=_widths, help="Units of each hidden layer of two_arg; the others are matched.")
@click.option("--evaluation", type=click.Choice(["auto", "exact", "interpolated"]), help="Of phi.")
@click.option("--start", help="Surface of Session I, as for train.")
@click.option("--robustness", is_flag=True, default=None, help="Measure corruptions and AutoAttack too.")
@click.option("--points", type=click.IntRange(1), help="Test images for that.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Runs at the same time.")
@one_line_errors
def reproduce(plan: str, out: Path, data_dir: str | None, seed: int | None, jobs: int, **changes: Any) -> None:
    """Run every arm and seed of PLAN, and report: demo, mlp-mnist, mlp-fashion, mlp-cifar10, cnn-mnist, ... or a file.

    The same command goes on where it was stopped. Plans are small TOML files; copy one to write your own.
    """
    from keras_twoarg import reproduce as job
    from keras_twoarg.plots.report import write_report

    chosen = job.read_plan(plan, **changes)
    with _progress() as progress:
        job.run(chosen, out, progress, jobs=jobs, data_dir=data_dir, on_run=lambda: _print_report(out))
    _print_findings(out, seed=seed)
    console.print(f"Report: {write_report([out], out, seed=seed)}")


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html.  [default: the first folder]")
@click.option("--seed", type=int, help="Report this seed alone.")
@one_line_errors
def report(folders: tuple[Path, ...], out: Path | None, seed: int | None) -> None:
    """Rebuild table, figures and report.html from the records in folders."""
    from keras_twoarg.plots.report import write_report

    _print_findings(*folders, seed=seed)
    console.print(f"Report: {write_report(folders, out or folders[0], seed=seed)}")


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", default="mnist5k", help="Data whose pre-activations are drawn, as for train.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("surface.png"), help="Picture to write.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the images that are drawn.")
@one_line_errors
def show(model: Path, data: str, out: Path, seed: int) -> None:
    """Draw the learned surface, the density on it and its quadratic fit, and say whether it is a soft XOR."""
    from keras_twoarg.plots.surface import show_model

    console.print(show_model(model, data, out, seed))
    console.print(f"Picture: {out}")


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder (or file) of the export.")
@click.option("--format", "format_", default="tf_saved_model", help="tf_saved_model, onnx, openvino or litert.")
@click.option("--softmax", is_flag=True, help="Serve probabilities instead of logits.")
@click.option("--pixels", is_flag=True, help="Take pixels within [0, 255] instead of scaled images.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the random inputs of the comparison.")
@one_line_errors
def export(model: Path, out: Path, format_: str, softmax: bool, pixels: bool, seed: int) -> None:
    """Export a .keras file for serving, load the export again and compare outputs.

    Servers look for versions: --out served/NAME/1. The inputs and outputs that are compared go to recorded.npz
    beside it, for `twoarg serve-check served/NAME`.
    """
    from keras_twoarg import serving

    loaded = serving.servable(serving.load(model), softmax=softmax, pixels=pixels)
    serving.export(loaded, out, format=format_)
    inputs = serving.random_inputs(loaded, seed) * (127.5 if pixels else 1) + (127.5 if pixels else 0)
    serving.record(loaded, out.parent / "recorded.npz", inputs)
    try:
        found = serving.compare(loaded, out, inputs, format_)
        console.print(found.sentence)
    except ImportError as error:
        console.print(f"Not compared. {error}")
    console.print(f"Export: {out}")


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, help="As for train; its test images are used.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option(
    "--reference", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="For mCE: a .keras file."
)
@click.option("--points", type=click.IntRange(1), default=1000, help="Test images, the same for every model.")
@click.option("--eps", type=float, help="Largest perturbation of pixels within [0, 1].  [default: the data's usual]")
@click.option("--norm", type=click.Choice(["Linf", "L2"]), default="Linf")
@click.option("--corruptions", callback=_words, help="Such as fog,snow; none for none.  [default: all 15]")
@click.option("--attacks", callback=_words, help="Such as fgsm,pgd; none for none.  [default: AutoAttack]")
@click.option("--bounds", type=float, nargs=2, default=(-1.0, 1.0), help="What the model takes for black and white.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help=_OUT_HELP)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of points, corruptions and attacks.")
@one_line_errors
def robustness(
    model: Path, data: str, data_dir: str | None, reference: Path | None, out: Path, points: int, **settings: Any
) -> None:
    """Measure MODEL under the 15 corruptions of CIFAR-10-C, and AutoAttack; the same command goes on where it was."""
    from keras_twoarg import serving
    from keras_twoarg.plots.robustness import write_robustness_report
    from keras_twoarg.robustness.evaluation import draw_points, evaluate
    from keras_twoarg.tables.robustness import single_table
    from keras_twoarg.training import datasets

    for name in ("corruptions", "attacks"):
        if settings[name] is None:
            del settings[name]
        elif settings[name] == ("none",):
            settings[name] = ()
    dataset = datasets.load(data, data_dir=data_dir)
    with _progress() as progress:
        compared = None
        if reference is not None:
            other = {**settings, "attacks": ()}
            compared = evaluate(serving.load(reference), dataset, out / "reference", progress, points=points, **other)
        found = evaluate(serving.load(model), dataset, out / "model", progress, points=points, **settings)
    for table in single_table(found, compared):
        console.print(table.rich())
    pixels, _ = draw_points(dataset, points, settings["seed"])
    console.print(f"Report: {write_robustness_report(found, compared, out / 'model', pixels)}")


@twoarg.command("serve-check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File for the results as JSON.")
@one_line_errors
def serve_check(folder: Path, out: Path | None) -> None:
    """Run the exports in FOLDER in processes without Keras, and compare them with what was recorded at export.

    TensorFlow, its command-line tool and its C library; ONNX Runtime, OpenVINO and LiteRT for what else is there.
    Exit status 1 if anything does not agree.
    """
    from keras_twoarg import serve_check as job
    from keras_twoarg.training import records

    with console.status("") as status:
        found = job.check(folder, lambda runtime: status.update(f"{runtime} ..."))
    console.print(job.checks_table(found).rich())
    if out is not None:
        records.write_json(out, [vars(check) for check in found])
    if not all(check.agrees for check in found):
        raise SystemExit(1)


@twoarg.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", default="mnist5k", help="Data that the tables are chosen for, as for train.")
@click.option("--data-dir", type=click.Path(), help="Folder of prepared TensorFlow Datasets.")
@click.option("--tolerance", type=click.FloatRange(0, min_open=True), default=3e-3, help="Error, in phi's std.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The baked model, a .keras file.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the split: validation images are used.")
@one_line_errors
def bake(model: Path, data: str, data_dir: str | None, tolerance: float, out: Path, seed: int) -> None:
    """Replace phi by constant tables, and report what that changed; the report goes beside the model, as JSON."""
    from keras_twoarg import baking, serving
    from keras_twoarg.training import datasets, records

    if out.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {out}")
    validation = datasets.split(datasets.load(data, data_dir=data_dir), seed)
    images, labels = validation.x_validation, validation.y_validation
    baked, found = baking.bake(serving.load(model), images, tolerance, labels=labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    baked.save(out)
    records.write_json(out.with_suffix(".json"), found.to_dict())
    console.print(str(found), highlight=False, soft_wrap=True)
    console.print(f"Baked model: {out}")


@twoarg.command()
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=click.Choice(["mlp28", "mlp32", "cnn28", "cnn32"]),
    help="[default: all]",
)
@click.option("--variant", "variants", multiple=True, help="What fills the units; related to relu.  [default: all]")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["pairs", "networks", "memory", "exports"]),
    help="[default: all]",
)
@click.option("--rounds", type=click.IntRange(2), default=7, help="Timed rounds, in which all take turns.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of weights and data.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench.json"), help="All times, as JSON.")
@one_line_errors
def bench(
    networks: tuple[str, ...], variants: tuple[str, ...], parts: tuple[str, ...], rounds: int, seed: int, out: Path
) -> None:
    """Measure what two arguments cost: exact, interpolated, baked, and other activations, side by side.

    Every part that is done is in the file; the same command goes on with the next one.
    """
    from keras_twoarg import benchmark
    from keras_twoarg.benchmark_table import tables

    if unknown := set(variants) - set(benchmark.VARIANTS):
        raise ValueError(f"Unknown variants: {sorted(unknown)}. Known: {', '.join(benchmark.VARIANTS)}")
    names, parts = networks or tuple(benchmark.NETWORKS), parts or benchmark.PARTS
    out.parent.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        found = benchmark.run(names, variants or benchmark.VARIANTS, rounds, parts, out, progress, seed)
    for table in tables(found):
        console.print(table)
    console.print(f"All times: {out}")


def _say_trial(row: dict[str, Any]) -> None:
    """Print one line for a trial that has ended."""
    score = "failed" if row["score"] is None else f"val {row['score']:.2%}"
    values = "  ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row["hyperparameters"].items()
    )
    arm, note = row["configuration"]["arm"], row["message"] or values
    console.print(f"{arm:>9} trial {row['trial']:3d}  {score:>10}  {note}", highlight=False, soft_wrap=True)


def _print_search(rows: dict[str, list[dict[str, Any]]], out: Path) -> None:
    from keras_twoarg.plots.searches import write_search_report
    from keras_twoarg.tables.searches import search_table

    console.print(search_table(rows).rich())
    for arm in rows:
        console.print(f"twoarg train --hparams {out / f'best-{arm}.json'} ...", highlight=False)
    console.print(f"Report: {write_search_report(rows, out)}")


def _print_report(*folders: Path, seed: int | None = None) -> None:
    from keras_twoarg.tables.groups import read_runs
    from keras_twoarg.tables.runs import paired_table, runs_table

    found = read_runs(folders, seed=seed)
    for table in (runs_table(found), paired_table(found)):
        if table is not None:
            console.print(table.rich())


def _print_findings(*folders: Path, seed: int | None = None) -> None:
    """Print all tables: also what takes some seconds to compute."""
    from keras_twoarg.tables.groups import read_runs
    from keras_twoarg.tables.robustness import read_robustness, robustness_table
    from keras_twoarg.tables.runs import fairness_table
    from keras_twoarg.tables.surfaces import read_surfaces, soft_xor_table, surface_table

    if (costs := fairness_table(read_runs(folders, seed=seed))) is not None:
        console.print(costs.rich())
    _print_report(*folders, seed=seed)
    surfaces = read_surfaces(folders, seed=seed)
    robust = robustness_table(read_robustness(folders, seed=seed))
    for table in (surface_table(surfaces), soft_xor_table(surfaces), robust):
        if table is not None:
            console.print(table.rich())


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int, str], None]]:
    """Give a function that moves one bar for each stage."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def progress(stage: str, done: int, total: int, note: str) -> None:
            description = f"Session {stage}" if stage in ("I", "II", "III") else stage
            if stage not in tasks:
                tasks[stage] = bars.add_task(description, total=total, note=note)
            bars.update(tasks[stage], completed=done, note=note)

        yield progress
