"""The command: `list` (the default) and `doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from experiments.boards.doctor import Check, examine
from experiments.errors import ConfigError
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, USER_MISTAKE
from experiments.terminal.tables import print_whole
from hardware.target import host_and_port
from hardware.tracker import tracked_keys
from hardware.worker.rpc.address import usual_tracker

_MARKS = {"good": "[green]good[/]", "warning": "[yellow]warning[/]", "bad": "[red]bad[/]"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOptions:
    """List the boards of a tracker; what is done where no command is named."""

    tracker: Annotated[str, tyro.conf.arg(metavar="HOST:PORT")] = ""
    """Where the tracker is; $TVM_TRACKER_HOST and _PORT by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions(ConfiguredOptions):
    """Examine one board from end to end.

    It is named by --target.board with --target.server HOST:PORT, or with --target.tracker
    HOST:PORT and --target.key KEY.
    """


def main(arguments: Sequence[str]) -> int:
    """List the boards of a tracker, or examine one; return the exit code."""
    commands = command()
    named = next(iter(arguments), "") in (*commands, "--help", "-h")
    return run_typed("experiments.boards", commands, arguments if named else ["list", *arguments])


def command() -> Mapping[str, Command]:
    """Return what can be typed, by its name."""
    return {
        "list": Command(options=ListOptions, work=_list),
        "doctor": configured_command(DoctorOptions, _examine),
    }


def _list(options: ListOptions) -> None:
    text = options.tracker or usual_tracker()
    if not text:
        raise ConfigError(
            "expected a tracker, found neither --tracker nor TVM_TRACKER_HOST",
            "start one: python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port 9190",
        )
    host, port = host_and_port(text)
    table = Table(title=f"boards of the tracker at {text}", title_justify="left")
    for column in ("key", "boards", "free", "waiting", "addresses"):
        table.add_column(column)
    keys = tracked_keys(host, port)
    for item in keys:
        counts = (len(item.addresses), item.free, item.waiting)
        table.add_row(item.key, *map(str, counts), ", ".join(item.addresses))
    print_whole(table if keys else f"the tracker at {text} knows no board yet")


def _examine(options: DoctorOptions) -> int:
    target = options.config.target
    if not target.remote:
        raise ConfigError(
            "target.board: expected a board to examine, found none",
            "add --target.board and --target.server, or --target.tracker with --target.key",
        )
    checks: list[Check] = []
    console = Console(soft_wrap=True)
    for check in examine(target, options.config.protocol):
        checks.append(check)
        console.print(f"{_MARKS[check.outcome]:<20} {check.name}: ", end="")
        console.print(check.found, markup=False, highlight=False)
        if check.cure:
            console.print(f"        cure: {check.cure}", markup=False, highlight=False)
    if any(check.lost for check in checks):
        return HARDWARE_LOST
    return USER_MISTAKE if any(check.outcome == "bad" for check in checks) else DONE
