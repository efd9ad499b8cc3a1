"""The command serve-check, which runs exports without Keras."""

from pathlib import Path

import click

from keras_twoarg.cli.common import console, twoarg
from keras_twoarg.utils import files


@twoarg.command("serve-check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File for the results as JSON.")
def serve_check(folder: Path, out: Path | None) -> None:
    """Run exports in processes without Keras.

    All exports in FOLDER are compared with their records, all versions included: SavedModels in TensorFlow, its
    command-line tool and its C library, with both signatures; other formats in ONNX Runtime, OpenVINO and LiteRT.
    Exit status 1 if any export differs or does not run. A runtime without XLA may skip the compiled signature; the C
    library is skipped where TensorFlow's wheel has none.
    """
    from keras_twoarg.export import verify as job

    if out is not None:
        check_target(out)
        files.check_writable(out)
    with console.status("") as status:
        checks = job.check(folder, lambda runtime: status.update(f"{runtime} ..."))
    console.print(job.checks_table(checks))
    if out is not None:
        files.write_json(out, [{**vars(check), "passes": check.passes} for check in checks])
    if not all(check.passes for check in checks):
        raise SystemExit(1)


def check_target(out: Path) -> None:
    """Raise a ValueError unless the file does not exist, or holds earlier results."""

    def is_ours() -> bool:
        rows = files.read_json(out)
        return isinstance(rows, list) and bool(rows) and all("agrees" in row for row in rows)

    files.refuse_others(out, is_ours, "twoarg serve-check")
