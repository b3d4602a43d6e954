"""bitalloc completion: the commands, flags and values that the Tab key adds."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Literal

import tyro

from agents.methods import METHODS
from bitalloc.command import COMMANDS
from env.tasks.networks.catalogue import NETWORKS
from env.tasks.task_config import TASKS
from experiments.settings.command_line import Command, run_typed
from experiments.settings.completion import SCRIPTS, completion_script
from experiments.settings.typed_words import Word, list_words

_SUGGESTIONS = {
    "--method": tuple(METHODS),
    "--methods": tuple(METHODS),
    "--task.name": tuple(TASKS),
    "--task.network": tuple(NETWORKS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionOptions:
    """Print a script that completes commands, flags and values of bitalloc with the Tab key.

    Write it where the shell looks for such scripts, and start a new shell:

    bash: ~/.local/share/bash-completion/completions/bitalloc, for the package bash-completion;

    zsh: _bitalloc, in any folder of $fpath;

    fish: ~/.config/fish/completions/bitalloc.fish.
    """

    shell: Annotated[
        Literal["bash", "zsh", "fish"],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="bash|zsh|fish"),
    ]
    """The shell that reads it."""


def main(arguments: Sequence[str]) -> int:
    """Print a script for a shell and return the exit code."""
    return run_typed("bitalloc.completion", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=CompletionOptions, work=_command)


def _command(options: CompletionOptions) -> None:
    typed = {name: import_module(module).command() for name, (module, _) in COMMANDS.items()}
    about = {name: what for name, (_, what) in COMMANDS.items()}
    words = list_words(typed, about, _SUGGESTIONS)
    shells = {Word(name=name, kind="command"): ["completion"] for name in SCRIPTS}
    print(completion_script(options.shell, "bitalloc", {**words, **shells}), end="")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
