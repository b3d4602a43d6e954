"""bitalloc fetch: a job's files, taken home."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.service.client.client import Client
from experiments.service.client.options import ClientOptions, JobName
from experiments.settings.command_line import Command, run_typed


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOptions(ClientOptions):
    """Write a job's files into a folder, each compared with its digest."""

    job: JobName
    """Its id."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where to; a folder of the job's name by default."""
    names: tuple[str, ...] = ()
    """Which files, or folders of them; all by default."""


def main(arguments: Sequence[str]) -> int:
    """Fetch files and return the exit code."""
    return run_typed("experiments.service.client.fetch", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=FetchOptions, work=_command)


def _command(options: FetchOptions) -> None:
    folder = options.output or Path(options.job)
    with Client(options.server) as client:
        fetched = client.fetch(options.job, folder, options.names)
    print(f"{len(fetched)} files are in {folder}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
