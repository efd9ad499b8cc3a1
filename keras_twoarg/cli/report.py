"""The command that rebuilds a report: report."""

from pathlib import Path

import click

from keras_twoarg.cli.common import one_line_errors, print_findings, say, twoarg
from keras_twoarg.utils import files


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html.  [default: the first folder]")
@click.option("--seed", type=int, help="Report this seed alone.")
@one_line_errors
def report(folders: tuple[Path, ...], out: Path | None, seed: int | None) -> None:
    """Rebuild tables, figures and report.html.

    From the records in FOLDERS alone, without training; several folders are compared.
    """
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.experiments.reports.page import write_report

    page = (out or folders[0]) / "report.html"
    check_target(page)  # the tables take some seconds to minutes
    files.check_writable(page)
    surfaces = print_findings(*folders, seed=seed)
    say(f"Report: {write_report(folders, out or folders[0], seed=seed, surfaces=surfaces)}")
