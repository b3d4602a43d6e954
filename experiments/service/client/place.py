"""Place: which server a client talks to, and by which token; kept in a file of the user alone."""

import configparser
import os
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import ConfigError, cannot_write
from quant.records.atomic_file import atomic_file

USUAL_SERVER = "http://127.0.0.1:8437"
_SERVER, _TOKEN = "BITALLOC_SERVER", "BITALLOC_TOKEN"
_CLIENT = "client"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A server, and the token that opens it."""

    server: str
    token: str


def find_place(server: str = "") -> Place:
    """Return where to ask, from `$BITALLOC_SERVER`, `$BITALLOC_TOKEN` and the client's file.

    Args:
        server: An address; empty for the usual one.

    Raises:
        ConfigError: no token is known for the server.
    """
    known = _read()
    address = server or os.environ.get(_SERVER, "") or known.get(_CLIENT, "server", fallback="")
    address = (address or USUAL_SERVER).rstrip("/")
    token = os.environ.get(_TOKEN, "") or known.get(address, "token", fallback="")
    if not token:
        raise ConfigError(
            f"expected a token for {address} in {client_file()} or ${_TOKEN}, found none",
            "ask the operator for one (bitalloc token create NAME), then: "
            f"bitalloc token use TOKEN --server {address}",
        )
    return Place(server=address, token=token)


def remember(place: Place) -> Path:
    """Write a server and its token into the client's file, which its user alone can read.

    Raises:
        RunFolderError: it cannot be written.
    """
    known, path = _read(), client_file()
    known[_CLIENT] = {"server": place.server}
    known[place.server] = {"token": place.token}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_file(path) as made:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                known.write(file)
    except OSError as error:
        raise cannot_write(path, error, "$XDG_CONFIG_HOME") from None
    return path


def client_file() -> Path:
    """Return where servers and tokens are kept."""
    root = os.environ.get("XDG_CONFIG_HOME", "") or Path("~/.config").expanduser()
    return Path(root, "bitalloc", "client.ini")


def _read() -> configparser.ConfigParser:
    known = configparser.ConfigParser(interpolation=None)
    try:
        known.read(client_file(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{client_file()} cannot be read: {reason}") from None
    return known
