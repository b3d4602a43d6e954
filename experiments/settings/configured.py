"""Commands that take the whole configuration: defaults, a YAML file, then dotted flags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.settings.command_line import Command, parse_options, path_flag
from experiments.settings.load import read_config_file
from experiments.settings.run_config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredOptions:
    """Options of a command that takes the whole configuration: defaults, a file, dotted flags."""

    file: Annotated[Path | None, tyro.conf.arg(name="config", metavar="FILE.yaml")] = None
    """Configuration to read over the defaults below; the other flags win over it."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    typed: tyro.conf.Suppress[tyro.conf.Fixed[str]] = ""
    """The command as it was typed, for the record."""


def read_base(arguments: Sequence[str]) -> RunConfig:
    """Return what the dotted flags are read over: the file that `--config` names, or the defaults.

    Raises:
        ConfigError: the file is missing or wrong.
    """
    file = path_flag("--config", "a YAML file", arguments)
    return RunConfig() if file is None else read_config_file(file)


def configured_command(
    options: type[ConfiguredOptions],
    work: Callable[[Any], int | None],
    base: Callable[[Sequence[str]], RunConfig] = read_base,
) -> Command:
    """Return a command whose dotted flags are read over what `base` makes of the command line."""
    return Command(
        options=options,
        work=work,
        defaults=lambda arguments, typed: options(config=base(arguments), typed=typed),
    )


def load_config(arguments: Sequence[str]) -> RunConfig:
    """Return the configuration that dotted flags ask for.

    Raises:
        BitAllocError: an unknown key, a wrong type, or a value its section refuses.
        SystemExit: `--help` was asked for and printed.
    """
    default = ConfiguredOptions(config=read_base(arguments))
    return parse_options(ConfiguredOptions, arguments, "experiments.run", default=default).config
