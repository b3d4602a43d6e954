"""A systemd unit that starts the service with the machine, and again whenever it ends."""

import getpass
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_PRINTS = "--print-systemd-unit"


def systemd_unit(arguments: Sequence[str], folder: Path, tracker: str = "") -> str:
    """Return the text of a unit that serves as this user does now.

    Args:
        arguments: Of the command, as they were typed.
        folder: The service's; the user's cache is the one other place that jobs write.
        tracker: HOST:PORT of the boards' tracker, which this user's environment may have named
            and systemd's does not; empty for none.
    """
    given = [word for word in arguments if word != _PRINTS]
    start = [sys.executable, "-m", "bitalloc.command", "serve", *given]
    if "--folder" not in given:
        start += ["--folder", str(folder)]
    if tracker and "--tracker" not in given:
        start += ["--tracker", tracker]
    command = " ".join(_quoted(word) for word in start)
    return f"""\
[Unit]
Description=BitAlloc service
Wants=network-online.target
After=network-online.target

[Service]
User={getpass.getuser()}
WorkingDirectory={_plain(str(Path.cwd()))}
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


def _quoted(word: str) -> str:
    """Return a word of a command line, of which systemd replaces nothing."""
    return shlex.quote(_plain(word).replace("$", "$$"))


def _plain(text: str) -> str:
    return text.replace("%", "%%")
