"""The tracker of boards: what it knows, asked in its own protocol, without loading TVM."""

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

from hardware.errors import BoardLostError

OTHER_SERVICE = "is it the port of another service?"
_SERVER = "server:"
_LIMIT_S = 10.0
_MAGIC = struct.Struct("<i")
_TRACKER_MAGIC = 0x2F271
_SUMMARY, _SUCCESS = 6, 0
_MOST_BYTES = 1 << 24
"""Of an answer: of a tracker with a hundred thousand boards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedKey:
    """What a tracker knows of one key."""

    key: str
    addresses: tuple[str, ...]
    """Of the boards that are connected to it."""
    free: int
    """Boards that nobody uses."""
    waiting: int
    """Hosts that wait for one."""


def tracked_keys(host: str, port: int) -> list[TrackedKey]:
    """Return every key of a tracker, by name.

    Raises:
        BoardLostError: the tracker does not answer, or something else does.

    Source: `tvm.rpc.base` and `tvm.rpc.tracker`, "Tracker protocol".
    """
    who = f"the tracker at {host}:{port}"
    try:
        with socket.create_connection((host, port), _LIMIT_S) as connection:
            connection.sendall(_MAGIC.pack(_TRACKER_MAGIC))
            if _MAGIC.unpack(_receive(connection, _MAGIC.size))[0] != _TRACKER_MAGIC:
                raise ValueError("no tracker")
            question = json.dumps([_SUMMARY]).encode()
            connection.sendall(_MAGIC.pack(len(question)) + question)
            (size,) = _MAGIC.unpack(_receive(connection, _MAGIC.size))
            if not 0 < size <= _MOST_BYTES:
                raise ValueError("no answer")
            code, summary = json.loads(_receive(connection, size))
            if code != _SUCCESS:
                raise ValueError("a refusal")
            return _keys(summary)
    except EOFError:
        raise BoardLostError(
            f"{who} does not answer: it ends the connection", OTHER_SERVICE
        ) from None
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise BoardLostError(f"{who} does not answer: {reason}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BoardLostError(f"{who} does not answer as TVM RPC does", OTHER_SERVICE) from None


def _keys(summary: Any) -> list[TrackedKey]:
    addresses: dict[str, list[str]] = {key: [] for key in summary["queue_info"]}
    for server in summary["server_info"]:
        if server["key"].startswith(_SERVER):
            place = ":".join(str(part) for part in server["addr"] if part is not None)
            addresses.setdefault(server["key"].removeprefix(_SERVER), []).append(place)
    queues = summary["queue_info"]
    return [
        TrackedKey(
            key=key,
            addresses=tuple(places),
            free=int(queues.get(key, {}).get("free", 0)),
            waiting=int(queues.get(key, {}).get("pending", 0)),
        )
        for key, places in sorted(addresses.items())
    ]


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)
