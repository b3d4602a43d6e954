"""What a run's folder would start on this machine: nothing that its user has not named as well.

A folder may come from somebody else. Everything in it is data, but for the command of an external
energy meter, which is a program of the configuration's choice.
"""

import shlex
from pathlib import Path

from experiments.errors import ConfigError
from experiments.settings.run_config import RunConfig

ENERGY_COMMAND = "energy.command"


def check_started(config: RunConfig, named: str, folder: Path) -> None:
    """Refuse to start a command that the folder names and the user does not.

    Args:
        config: As the folder has it.
        named: What the user typed after `--energy.command`; empty without that flag.
        folder: The run's.

    Raises:
        ConfigError: shows the command, and how to agree to it.
    """
    command = config.energy.command
    if not command or command == named:
        return
    raise ConfigError(
        f"{folder} would start `{command}` as its energy meter; a folder's command is started only "
        "where it is named again",
        f"look at it, then add --{ENERGY_COMMAND} {shlex.quote(command)}",
    )
