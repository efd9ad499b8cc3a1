"""The command report, which rebuilds a report."""

from pathlib import Path

import click

from keras_twoarg.cli.common import print_findings, say, twoarg
from keras_twoarg.utils import files


@twoarg.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html.  [default: the first folder]")
@click.option("--seed", "--report-seed", "seed", type=int, help="Report only this seed.")
def report(folders: tuple[Path, ...], out: Path | None, seed: int | None) -> None:
    """Rebuild tables, figures and report.html.

    It uses only the records in FOLDERS, without training, and compares several folders.
    """
    from keras_twoarg.experiments.reports.html import check_target
    from keras_twoarg.experiments.reports.page import write_report
    from keras_twoarg.experiments.reports.runs import read_runs

    page = (out or folders[0]) / "report.html"
    check_target(page, "report")  # before the tables, which take seconds to minutes
    runs = read_runs(folders, seed=seed)
    files.check_writable(page)
    print_findings(runs)
    say(f"Report: {write_report(runs, out or folders[0])}")
