"""Address: how a configuration's board is reached."""

import os
from dataclasses import dataclass

from hardware.errors import TargetError
from hardware.target import TargetConfig

__all__ = ["Address", "address_of", "host_and_port"]

_ENVIRONMENT = ("TVM_TRACKER_HOST", "TVM_TRACKER_PORT", "TVM_TRACKER_KEY")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A tracker with a key, or a board's own server without one."""

    host: str
    port: int
    key: str = ""

    def __str__(self) -> str:
        """Return the address for messages."""
        where = f"{self.host}:{self.port}"
        return f"{self.key!r} of the tracker at {where}" if self.key else f"the board at {where}"


def address_of(config: TargetConfig) -> Address:
    """Return how the board is reached; what is not given comes from `TVM_TRACKER_*`.

    Raises:
        TargetError: there is neither a server nor a tracker with a key.
    """
    if config.server:
        host, port = host_and_port(config.server)
        return Address(host=host, port=port)
    host_name, port_name, key_name = _ENVIRONMENT
    tracker = config.tracker
    if not tracker and os.environ.get(host_name):
        tracker = f"{os.environ[host_name]}:{os.environ.get(port_name, '9190')}"
    key = config.key or os.environ.get(key_name, "")
    if not tracker or not key:
        missing = "target.tracker" if not tracker else "target.key"
        raise TargetError(
            f"{missing}: expected how to reach the board {config.board}, found nothing, in "
            f"{'target or ' + host_name if not tracker else 'target or ' + key_name}",
            "give --target.tracker HOST:PORT --target.key KEY, or --target.server HOST:PORT",
        )
    host, port = host_and_port(tracker)
    return Address(host=host, port=port, key=key)


def host_and_port(text: str) -> tuple[str, int]:
    """Return the two parts of HOST:PORT.

    Raises:
        TargetError: it is something else.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise TargetError(f"expected HOST:PORT, found {text!r}")
    return host, int(port)
