"""bitalloc watch: a job as it goes on."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.service.client.client import Client
from experiments.service.client.following import follow
from experiments.service.client.options import ClientOptions, JobName
from experiments.settings.command_line import Command, run_typed


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchOptions(ClientOptions):
    """Follow a job until it is over. Ctrl-C ends the watching; the job goes on."""

    job: JobName
    """Its id."""


def main(arguments: Sequence[str]) -> int:
    """Follow a job and return the exit code that its command would have had."""
    return run_typed("experiments.service.client.watch", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=WatchOptions, work=_command)


def _command(options: WatchOptions) -> int:
    with Client(options.server) as client:
        return follow(client, options.job)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
