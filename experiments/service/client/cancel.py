"""bitalloc cancel: the end of a job."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.service.client.client import Client
from experiments.service.client.options import ClientOptions, JobName
from experiments.settings.command_line import Command, run_typed


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelOptions(ClientOptions):
    """End a job; what it has finished is kept."""

    job: JobName
    """Its id."""
    delete: bool = False
    """Delete it with its files instead; it must be over."""


def main(arguments: Sequence[str]) -> int:
    """End a job and return the exit code."""
    return run_typed("experiments.service.client.cancel", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=CancelOptions, work=_command)


def _command(options: CancelOptions) -> None:
    with Client(options.server) as client:
        if options.delete:
            client.delete(options.job)
            print(f"{options.job} is deleted")
            return
        job = client.cancel(options.job)
    ending = job["state"] == "running"
    print(f"{options.job} is {'ending' if ending else job['state']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
