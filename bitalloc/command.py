"""bitalloc: one command for what python -m experiments.NAME starts one by one."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from experiments.errors import ConfigError
from experiments.settings.keys import hint_at
from experiments.terminal.exit_codes import DONE, run_command
from experiments.terminal.streams import patient_streams
from experiments.terminal.typed import typed_as

COMMANDS = {
    "run": ("experiments.run", "search the bit-width of every layer of a network"),
    "evaluate": (
        "experiments.evaluate",
        "train the chosen bits longer and score them on test images",
    ),
    "allocate": (
        "experiments.service.client.allocate",
        "answer other budgets from what a run learnt",
    ),
    "report": ("experiments.report.command", "write runs as one page"),
    "compare": ("experiments.compare.command", "run every method under the same budgets"),
    "measure": ("experiments.measure", "time one allocation beside all-8-bit, untrained"),
    "export": (
        "experiments.export.command",
        "write the chosen network as a folder that runs by itself",
    ),
    "staircase": ("experiments.staircase.command", "measure what each bit is worth on this device"),
    "tabulate": (
        "experiments.tabulate.command",
        "retrain every allocation of a small network: a table to judge methods by",
    ),
    "bench": ("experiments.bench.command", "measure kernels, tables, rounding and noise"),
    "boards": ("experiments.boards.command", "list boards, and find out what is wrong with one"),
    "serve": ("experiments.service.serve", "do jobs that come over HTTP"),
    "token": ("experiments.service.token", "say who may use a service"),
    "submit": ("experiments.service.client.submit", "hand a job in to a service"),
    "jobs": ("experiments.service.client.jobs", "list the jobs, boards or files of a service"),
    "watch": ("experiments.service.client.watch", "follow a job until it is over"),
    "cancel": ("experiments.service.client.cancel", "end a job"),
    "fetch": ("experiments.service.client.fetch", "take a job's files home"),
    "completion": ("bitalloc.completion", "print what completes all this in bash, zsh or fish"),
}
"""Name, module with its `main`, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the command that is named first and return its exit code.

    Args:
        arguments: The command line without the program's name; None for the process's own.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    if name in COMMANDS:
        _see_modules_here()
        module, _ = COMMANDS[name]
        with typed_as(f"bitalloc {name}"):
            exit_code: int = import_module(module).main(rest)
        return exit_code
    with patient_streams():
        return run_command(lambda: _help(name))


def _see_modules_here() -> None:
    """Let `package.module:function` name a file of the working folder, as `python -m` does.

    It is looked at last: a file called env.py there takes no package's place.
    """
    here = os.getcwd()
    if not {"", here} & {*sys.path}:
        sys.path.append(here)


def _help(name: str) -> int:
    """Print what there is; refuse what there is not."""
    if name not in ("-h", "--help"):
        raise ConfigError(
            f"bitalloc: expected one of {', '.join(COMMANDS)}, found {name!r}",
            hint_at(name, COMMANDS, "bitalloc --help says what they do"),
        )
    print("usage: bitalloc COMMAND ...\n")
    width = max(map(len, COMMANDS))
    for command, (_, what) in COMMANDS.items():
        print(f"  {command:<{width}}  {what}")
    print("\nbitalloc COMMAND --help shows a command's flags, --help SECTION those of a section")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
