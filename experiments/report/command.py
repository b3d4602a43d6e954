"""python -m experiments.report RUN...: run folders as one HTML page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.report.page import render
from experiments.terminal.exit_codes import run_command
from quant.atomic_file import write_atomically

__all__ = ["main", "write_report"]


def main(arguments: Sequence[str]) -> int:
    """Write the page that the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.report",
        description="Write runs as one self-contained HTML page.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--output",
        type=Path,
        help="the file to write (default: RUN/report.html, or ./report.html for several runs)",
    )
    parsed = parser.parse_args(list(arguments))
    return run_command(lambda: print(f"report: {write_report(parsed.runs, parsed.output)}"))


def write_report(runs: Sequence[Path], output: Path | None = None) -> Path:
    """Write the page of one or more run folders and return where it is.

    Args:
        runs: Folders, of runs that may still be going on.
        output: The file; None for `report.html` in the one folder, or here for several.

    Raises:
        RunFolderError: a folder is not a run's, or the page cannot be written.
    """
    records = [RunRecord.open(path) for path in runs]
    if output is None:
        output = records[0].path / files.REPORT if len(records) == 1 else Path(files.REPORT)
    page = render(records)
    try:
        write_atomically(output, page)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {output}: {error.strerror or error}",
            "choose another file with --output",
        ) from None
    return output
