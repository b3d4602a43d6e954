"""Reach: whether a Ray cluster answers at an address, before anything waits for one.

Ray itself tries for minutes, says nothing meanwhile, and may end the process that it tries in. So
an address is tried by a connection, and then by a process that can be given up.
"""

import re
import socket
import subprocess
import sys

_CONNECT_S = 5.0
"""In which a machine that is there takes a connection."""
_JOIN_S = 60.0
"""In which a cluster takes in a process, on a machine that is busy with other work."""
_ADDRESS = re.compile(r"(?P<host>[^\s/\[\]:]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")
_PORTS = range(1, 2**16)
_JOIN = """
import sys
import ray
try:
    ray.init(address=sys.argv[1], logging_level="error", log_to_driver=False)
except Exception as error:
    print(error.__cause__ or error)
    sys.exit(1)
print("joined")
"""
_SHOWN = 300
"""Characters of what Ray says that are handed on."""


def is_address(text: str) -> bool:
    """Return whether a text is HOST:PORT."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and int(found["port"]) in _PORTS


def why_closed(address: str) -> str:
    """Return why nobody takes a connection at HOST:PORT, in words; empty where somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except UnicodeError:
        return f"{host} is no name of a machine"
    except socket.gaierror as error:
        return f"no machine of the name {host} is known here ({error.strerror})"
    except TimeoutError:
        return f"no machine answered within {_CONNECT_S:g} s"
    except ConnectionRefusedError:
        return "nobody listens there"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def why_apart(address: str) -> str:
    """Return why a process of this machine cannot join a cluster at HOST:PORT; empty where one can.

    It takes as long as Ray needs for that, or a minute.
    """
    if closed := why_closed(address):
        return closed
    try:
        tried = subprocess.run(
            [sys.executable, "-P", "-c", _JOIN, address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_JOIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"somebody listens there, and did not answer as Ray does within {_JOIN_S:g} s"
    if tried.returncode == 0:
        return ""
    said = shortened(tried.stdout)
    return said or "somebody listens there, and Ray ended without a word when it tried to join"


def shortened(text: str) -> str:
    """Return what Ray says as one line that can be read."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
