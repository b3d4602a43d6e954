"""python -m experiments.report RUN...: run folders as one HTML page."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.errors import ConfigError, cannot_write
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.report.page import render
from experiments.settings.command_line import Command, run_typed
from quant.records.atomic_file import write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """Write runs as one self-contained HTML page."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of runs."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The file to write: RUN/report.html by default, or ./report.html for several runs."""

    def __post_init__(self) -> None:
        """Refuse a page of nothing."""
        if not self.runs:
            raise ConfigError("expected the folder of a run, found none")


def main(arguments: Sequence[str]) -> int:
    """Write the page that the command line asks for and return the exit code."""
    return run_typed("experiments.report", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=ReportOptions, work=_command)


def _command(options: ReportOptions) -> None:
    print(f"report: {write_report(options.runs, options.output)}")


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
    for sentence in (sentence for record in records for sentence in record.left_out):
        print(sentence, file=sys.stderr)
    try:
        write_atomically(output, page)
    except OSError as error:
        raise cannot_write(output, error, "--output FILE") from None
    return output
