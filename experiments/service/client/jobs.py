"""bitalloc jobs: what there is to see."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.table import Table

from experiments.service.client.client import Client
from experiments.service.client.options import ClientOptions
from experiments.settings.command_line import Command, run_typed
from experiments.terminal.tables import print_whole

_COLUMNS = ("id", "kind", "user", "target", "state", "health", "evaluations", "reason")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsOptions(ClientOptions):
    """List jobs, or where they can run."""

    states: tuple[str, ...] = ()
    """Only these: queued, waiting_for_board, running, succeeded, failed, cancelled, lost."""
    boards: bool = False
    """List this machine and the boards instead."""
    log: Annotated[str, tyro.conf.arg(metavar="JOB")] = ""
    """Print what a job's process printed instead."""


def main(arguments: Sequence[str]) -> int:
    """List jobs and return the exit code."""
    return run_typed("experiments.service.client.jobs", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=JobsOptions, work=_command)


def _command(options: JobsOptions) -> None:
    with Client(options.server) as client:
        if options.log:
            print(client.logs(options.log), end="")
        elif options.boards:
            print_whole(_boards(client.boards()))
        else:
            found = list(client.jobs(options.states))
            print_whole(_jobs(found) if found else "there is no job: bitalloc submit hands one in")


def _jobs(jobs: Iterable[Mapping[str, Any]]) -> Table:
    table = Table()
    for column in _COLUMNS:
        table.add_column(column)
    for job in jobs:
        done = f"{job['done']} of {job['evaluations']}" if job["evaluations"] else ""
        shown = {**job, "evaluations": done}
        table.add_row(*(str(shown[column]) for column in _COLUMNS))
    return table


def _boards(boards: Iterable[Mapping[str, Any]]) -> Table:
    table = Table()
    for column in ("key", "free", "job", "user", "queued", "machine", "hottest", "health"):
        table.add_column(column)
    for board in boards:
        facts = board["facts"]
        machine = str(facts.get("board") or facts.get("cpu") or "")
        heat = board["hottest_c"]
        hottest = "" if heat is None else f"{heat:.0f} °C"
        shown = [board["job"] or "", board["user"] or "", str(board["queued"]), machine, hottest]
        table.add_row(board["key"], str(board["free"]), *shown, board["health"])
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
