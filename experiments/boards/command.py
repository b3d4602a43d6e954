"""The command: `list` (the default) and `doctor`."""

import argparse
import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from experiments.boards.check import Check
from experiments.boards.doctor import examine
from experiments.errors import ConfigError
from experiments.settings.load import load_config
from experiments.terminal.exit_codes import DONE, HARDWARE_LOST, USER_MISTAKE, run_command
from hardware.worker.rpc.address import Address, host_and_port

__all__ = ["main"]

_MARKS = {"good": "[green]good[/]", "warning": "[yellow]warning[/]", "bad": "[red]bad[/]"}


def main(arguments: Sequence[str]) -> int:
    """List the boards of a tracker, or examine one; return the exit code."""
    given = list(arguments)
    if given[:1] == ["doctor"]:
        return _doctor(given[1:])
    return run_command(lambda: _list(_parser().parse_args(given)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.boards",
        description="List the boards of a tracker. `python -m experiments.boards doctor "
        "--target.board rpi4 --target.server HOST:PORT` (or --target.tracker HOST:PORT "
        "--target.key KEY) examines one.",
        allow_abbrev=False,
    )
    parser.add_argument("--tracker", help="HOST:PORT; default: $TVM_TRACKER_HOST and _PORT")
    return parser


def _list(options: argparse.Namespace) -> None:
    text = options.tracker
    if not text and os.environ.get("TVM_TRACKER_HOST"):
        text = f"{os.environ['TVM_TRACKER_HOST']}:{os.environ.get('TVM_TRACKER_PORT', '9190')}"
    if not text:
        raise ConfigError(
            "expected a tracker, found neither --tracker nor TVM_TRACKER_HOST",
            "start one: python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port 9190",
        )
    host, port = host_and_port(text)
    from hardware.worker.rpc.tracker import tracked_keys  # loads TVM, which takes seconds

    table = Table(title=f"boards of the tracker at {text}", title_justify="left")
    for column in ("key", "boards", "free", "waiting", "addresses"):
        table.add_column(column)
    keys = tracked_keys(Address(host=host, port=port))
    for item in keys:
        counts = (len(item.addresses), item.free, item.waiting)
        table.add_row(item.key, *map(str, counts), ", ".join(item.addresses))
    Console().print(table if keys else f"the tracker at {text} knows no board yet")


def _doctor(arguments: Sequence[str]) -> int:
    checks: list[Check] = []

    def work() -> None:
        config = load_config(arguments)
        if not config.target.remote:
            raise ConfigError(
                "target.board: expected a board to examine, found none",
                "add --target.board and --target.server, or --target.tracker with --target.key",
            )
        console = Console(soft_wrap=True)
        for check in examine(config.target, config.protocol):
            checks.append(check)
            console.print(f"{_MARKS[check.outcome]:<20} {check.name}: ", end="")
            console.print(check.found, markup=False, highlight=False)
            if check.cure:
                console.print(f"        cure: {check.cure}", markup=False, highlight=False)

    if code := run_command(work):
        return code
    if any(check.lost for check in checks):
        return HARDWARE_LOST
    return USER_MISTAKE if any(check.outcome == "bad" for check in checks) else DONE
