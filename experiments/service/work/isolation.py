"""Isolation: a process without any network but a loopback of its own, where the kernel allows it.

    python -m experiments.service.work.isolation

tries it, and ends with 0 where it is allowed.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

_NEW_USER, _NEW_NET = 0x1000_0000, 0x4000_0000
_SET_FLAGS = 0x8914
_UP_AND_RUNNING = 0x1 | 0x40


@cache
def can_leave_network() -> bool:
    """Return whether processes of this user may be without a network; tries it once, in one."""
    tried = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


def leave_network() -> None:
    """Leave the network, in a fork that becomes another program.

    Root does it alone; others need a namespace of users, in which they stay who they are.

    Raises:
        OSError: the kernel does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NET) != 0:
        user, group = os.geteuid(), os.getegid()
        if libc.unshare(_NEW_USER | _NEW_NET) != 0:
            raise OSError(ctypes.get_errno(), "no namespace without a network")
        _write("setgroups", "deny")
        _write("uid_map", f"{user} {user} 1")
        _write("gid_map", f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP_AND_RUNNING))


def _write(name: str, text: str) -> None:
    Path("/proc/self", name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    try:
        leave_network()
    except OSError:
        sys.exit(1)
