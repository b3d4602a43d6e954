"""Address: how a configuration's board is reached."""

import os
from dataclasses import dataclass

from hardware.errors import TargetError
from hardware.target import TargetConfig, host_and_port

_HOST, _PORT, _KEY = "TVM_TRACKER_HOST", "TVM_TRACKER_PORT", "TVM_TRACKER_KEY"


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
    tracker = config.tracker or usual_tracker()
    key = config.key or os.environ.get(_KEY, "")
    if not tracker or not key:
        missing = "target.tracker" if not tracker else "target.key"
        raise TargetError(
            f"{missing}: expected how to reach the board {config.board}, found nothing, in "
            f"target or {_HOST if not tracker else _KEY}",
            "give --target.tracker HOST:PORT --target.key KEY, or --target.server HOST:PORT",
        )
    host, port = host_and_port(tracker)
    return Address(host=host, port=port, key=key)


def usual_tracker() -> str:
    """Return HOST:PORT of the tracker that `TVM_TRACKER_*` name, or an empty text."""
    return f"{os.environ[_HOST]}:{os.environ.get(_PORT, '9190')}" if os.environ.get(_HOST) else ""
