"""A session with a board, or with one of those that a tracker knows."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tvm import rpc

from hardware.errors import BoardBusyError, BoardLostError
from hardware.tracker import OTHER_SERVICE, tracked_keys
from hardware.worker.rpc.address import Address

_LIMIT_S = 10.0
_PLAIN = re.compile("refused|resolve|timed out|failed to connect|mismatch|in use", re.IGNORECASE)
"""What TVM's own sentences are about; others are of its insides."""


def open_connection(address: Address) -> Any:
    """Return TVM's session with the board, or with a free board of the key.

    It may block for as long as nobody answers: call it where it can be killed.

    Raises:
        BoardBusyError: all boards of the key are in use.
        BoardLostError: nothing answers, or the tracker knows no such board.
    """
    with _answering(str(address)):
        if not address.key:
            return rpc.connect(address.host, address.port)
        known = {item.key: item for item in tracked_keys(address.host, address.port)}
        found = known.get(address.key)
        if found is None or not found.addresses:
            others = ", ".join(key for key, item in known.items() if item.addresses) or "none"
            raise BoardLostError(
                f"expected a board registered as {address}, found none (keys with boards: {others})"
            )
        if not found.free:
            raise BoardBusyError(f"all {len(found.addresses)} boards of {address} are in use")
        tracker = _connect(address)
        tracker._sock.settimeout(None)
        return tracker.request(address.key, max_retry=1)


def _connect(address: Address) -> Any:
    with _answering(f"the tracker at {address.host}:{address.port}"):
        # TVM would try for a minute, and wait for ever for a tracker that hangs.
        socket.create_connection((address.host, address.port), _LIMIT_S).close()
        tracker = rpc.connect_tracker(address.host, address.port)
        tracker._sock.settimeout(_LIMIT_S)
        return tracker


def _in_words(error: Exception) -> str:
    """Return what TVM says of a connection where people can read it, else that it is no RPC."""
    for line in str(error).splitlines():
        if isinstance(error, RuntimeError) and _PLAIN.search(line) and "::" not in line:
            return f": {line.strip()}"
    return " as TVM RPC does"


@contextmanager
def _answering(who: str) -> Iterator[None]:
    """Turn the errors of a connection into one sentence that names the other side."""
    try:
        yield
    except BoardLostError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise BoardLostError(f"{who} does not answer: {reason}") from None
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise BoardLostError(f"{who} does not answer{_in_words(error)}", OTHER_SERVICE) from None
