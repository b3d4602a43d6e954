"""A systemd unit that starts the service with the machine, and again whenever it ends."""

import getpass
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_PRINTS = "--print-systemd-unit"


def systemd_unit(arguments: Sequence[str], folder: Path) -> str:
    """Return the text of a unit that serves as this user does now.

    Args:
        arguments: Of the command, as they were typed.
        folder: The service's; the user's cache is the one other place that jobs write.
    """
    given = [word for word in arguments if word != _PRINTS]
    start = [sys.executable, "-m", "bitalloc.command", "serve", *given]
    if "--folder" not in given:
        start += ["--folder", str(folder)]
    command = " ".join(shlex.quote(word) for word in start)
    return f"""\
[Unit]
Description=BitAlloc service
Wants=network-online.target
After=network-online.target

[Service]
User={getpass.getuser()}
WorkingDirectory={Path.cwd()}
ExecStart={command}
Restart=always
RestartSec=2
# The server saves what runs when it is asked to end, and goes on with it when it starts.
KillMode=mixed
TimeoutStopSec=60
# Below its own control group the server makes one for each job, with the job's memory.
Delegate=yes
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectKernelModules=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""
