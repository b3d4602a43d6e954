"""A systemd unit that starts the board with the machine and again whenever it ends."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def systemd_unit(arguments: Sequence[str], program: Path | None) -> str:
    """Return the text of a unit.

    Args:
        arguments: Of the board's command.
        program: The packed file that is run; None: the module, from the current folder.
    """
    start = [sys.executable, *([str(program)] if program else ["-m", "hardware.board"])]
    command = " ".join(shlex.quote(word) for word in [*start, *arguments])
    folder = program.parent if program else Path.cwd()
    return f"""\
[Unit]
Description=BitAlloc board (TVM RPC)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
WorkingDirectory={folder}
Environment=TVM_USE_RUNTIME_LIB=1
ExecStart={command}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
