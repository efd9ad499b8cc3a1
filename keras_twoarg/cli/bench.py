"""The command bench, which measures costs."""

from pathlib import Path

import click

from keras_twoarg.cli.common import console, say, show_progress, twoarg
from keras_twoarg.utils import files


@twoarg.command()
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=click.Choice(["mlp28", "mlp32", "cnn28", "cnn32", "cnn32-half"]),
    help="Network to measure, except in places; repeatable.  [default: all]",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="What fills the units in networks and memory, compared with relu; repeatable.  [default: all]",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["networks", "memory", "exports", "places", "one_sample", "epoch", "first_step"]),
    help="What to measure; repeatable.  [default: all]",
)
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=7,
    help="Timed rounds; in each, all variants take turns. Not for memory and first_step.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of weights and data.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench.json"), help="File for all times, as JSON.")
def bench(
    networks: tuple[str, ...], variants: tuple[str, ...], parts: tuple[str, ...], rounds: int, seed: int, out: Path
) -> None:
    """Measure what two arguments cost.

    Exact, interpolated and baked phi and other activations are compared. Finished parts are in the file, and the
    same command resumes with the next one. The last table compares our aims with the results.
    """
    from keras_twoarg.experiments.benchmark.networks import NETWORKS, VARIANTS
    from keras_twoarg.experiments.benchmark.run import run
    from keras_twoarg.experiments.benchmark.tables import PARTS, tables

    if unknown := set(variants) - set(VARIANTS):
        raise ValueError(f"Unknown variants: {sorted(unknown)}. Known: {', '.join(VARIANTS)}")
    names, parts = networks or tuple(NETWORKS), parts or tuple(PARTS)
    before = files.read_json(out) if out.exists() else {"machine": {}}
    if not isinstance(before, dict) or not isinstance(before.get("machine"), dict):
        raise ValueError(f"--out must be a new file, or one that `twoarg bench` wrote. Received: {out}")
    files.check_writable(out)
    with show_progress() as progress:
        times = run(names, variants or VARIANTS, rounds, parts, out, progress, seed)
    for table in tables(times):
        console.print(table)
    say(f"All times: {out}")
