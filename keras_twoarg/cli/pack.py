"""The command that packs runs: pack."""

from pathlib import Path

import click

from keras_twoarg.cli.common import console, one_line_errors, twoarg


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The packed folder, new or packed before.")
@click.option("--ends", is_flag=True, help="Keep phi's weights at the start and at the best epoch alone.")
@one_line_errors
def pack(folders: tuple[Path, ...], out: Path, ends: bool) -> None:
    """Pack runs into a few files to commit.

    All records below FOLDERS go into runs.jsonl, what phi was into arrays.npz, robustness into robustness.jsonl.
    Models stay where they are. `twoarg report` reads packed folders as it reads folders of runs.
    """
    from keras_twoarg.experiments.reports.pack import pack as job

    packed = job(folders, out, ends=ends)
    console.print(
        f"Packed into {out}: {packed.records} records, {packed.phi} with phi, {packed.robustness} of robustness",
        soft_wrap=True,
    )
