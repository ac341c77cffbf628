"""Whether the bytes of an answer have reached the system of its client.

`send` returns when the kernel has the bytes, and the kernel holds megabytes. A client that dies
then did not get the file; a client that closes right after the last byte did. The kernel knows
what was acknowledged, also after the connection has ended. It does not know what the client's
program has read: bytes in the client's own kernel count as received.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from typing import Any, Final

from starlette.types import Send

SPARED: Final = 64 << 10  # unacknowledged bytes that an open connection may have
PATIENCE: Final = 30.0  # seconds without a further acknowledgment
PAUSES: Final = (0.002, 0.05)  # seconds between checks: from, to

# In struct tcp_info of Linux: the state is the first byte; tcpi_bytes_acked is 64 bits.
INFO_SIZE: Final = 128
ACKED_AT: Final = 120
CLOSED: Final = 7  # TCP_CLOSE: the client has reset the connection, or the kernel gave up


class Arrival:
    """One answer on its connection. It keeps the socket open, so `wait` or `close` must end it."""

    def __init__(self, exchange: Any, sock: socket.socket) -> None:
        self._exchange = exchange  # uvicorn's: one request and its answer
        self._sock = sock
        self._end = 0  # of the answer, in bytes of the connection

    @property
    def dropped(self) -> bool:
        """Read right after a `send`: the client had disconnected, and `send` wrote nothing."""
        return bool(self._exchange.disconnected)

    def written(self) -> bool | None:
        """Whether the last byte, which was just written, has arrived; None: `wait` for it."""
        if self._held_back():
            return False
        unsent = self._exchange.transport.get_write_buffer_size()
        self._end = self._look()[1] + _outgoing(self._sock) + unsent
        return self._arrived()

    def _held_back(self) -> bool:
        """HTTP/2: the window was too small for all of it when the client cancelled the stream."""
        stream = getattr(self._exchange, "stream", None)
        return self.dropped and stream is not None and bool(stream.pending_bytes)

    def _arrived(self) -> bool | None:
        state, acknowledged = self._look()
        if state == CLOSED:
            return acknowledged >= self._end
        return True if acknowledged >= self._end - SPARED else None

    def _look(self) -> tuple[int, int]:
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_SIZE)
        return info[0], struct.unpack_from("=Q", info, ACKED_AT)[0]

    async def wait(self) -> bool:
        """Wait until it is known whether the last byte arrived."""
        try:
            return await self._wait()
        finally:
            self.close()

    async def _wait(self) -> bool:
        pause, waited, before = PAUSES[0], 0.0, 0
        while (arrived := self._arrived()) is None:
            acknowledged = self._look()[1]
            waited = waited + pause if acknowledged == before else 0.0
            if waited > PATIENCE:
                return False
            before = acknowledged
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSES[1])
        return arrived

    def close(self) -> None:
        self._sock.close()


def _outgoing(sock: socket.socket) -> int:
    """Bytes in the kernel that the client has not acknowledged."""
    buffer = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", buffer)[0])


def arrival_of(send: Send) -> Arrival | None:
    """None: the connection can't be found (another server, or a layer in between), or is not TCP on
    Linux."""
    exchange: Any = getattr(send, "__self__", None)
    transport = getattr(exchange, "transport", None)
    if transport is None or not hasattr(exchange, "disconnected") or transport.is_closing():
        return None
    held = _second_hold(transport.get_extra_info("socket"))
    if held is None:
        return None
    arrival = Arrival(exchange, held)
    try:
        arrival.written()
    except (OSError, struct.error):
        arrival.close()
        return None
    return arrival


def _second_hold(sock: Any) -> socket.socket | None:
    """The socket by a descriptor of our own, which stays open when the loop closes its own."""
    if sock is None or not hasattr(socket, "TCP_INFO") or sock.fileno() < 0:
        return None
    try:
        return socket.socket(fileno=os.dup(sock.fileno()))
    except OSError:  # there are no more descriptors
        return None
