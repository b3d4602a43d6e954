"""PatientProtocol: uvicorn's HTTP/1.1, which waits only so long for headers of some length."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 15.0
MOST_HEADER_BYTES = 1 << 14


class PatientProtocol(H11Protocol):
    """Ends connections on which the headers of a request do not arrive, or do not end."""

    headers_s = HEADERS_S
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Go on waiting while the headers are not whole, from when they began."""
        if self._is_too_long(data):
            self.send_400_response(f"expected headers of at most {MOST_HEADER_BYTES:,} bytes")
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_more()
        elif self.conn.trailing_data[0] and self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _is_too_long(self, data: bytes) -> bool:
        """Whether a request's headers are too long; h11 lets those pass that come in one piece."""
        if self.conn.their_state is not h11.IDLE:
            return False
        begun = self.conn.trailing_data[0] + data
        return len(begun) > MOST_HEADER_BYTES and b"\r\n\r\n" not in begun[:MOST_HEADER_BYTES]

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.headers_s, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
