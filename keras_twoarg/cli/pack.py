"""The command pack, which packs runs."""

from pathlib import Path

import click

from keras_twoarg.cli.common import say, twoarg


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The packed folder, new or from an earlier pack."
)
@click.option("--ends", is_flag=True, help="Keep phi's weights only at the start and at the best epoch.")
def pack(folders: tuple[Path, ...], out: Path, ends: bool) -> None:
    """Pack runs into a few files to commit.

    The records in FOLDERS go to runs.jsonl, snapshots of phi to arrays.npz, and robustness to robustness.jsonl.
    Models are not packed. `twoarg report` reads packed folders like folders of runs.
    """
    from keras_twoarg.experiments.reports.pack import pack as job

    packed = job(folders, out, ends=ends)
    say(f"Packed into {out}: {packed.records} records, {packed.phi} with phi, {packed.robustness} of robustness")
