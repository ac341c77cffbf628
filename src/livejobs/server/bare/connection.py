"""A connection that is only its descriptor, and what it could not send yet."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from livejobs.live.frames import Sendable
from livejobs.server.admission import Admission, Client
from livejobs.server.bare.poller import Poller


class Home(NamedTuple):
    """What a connection shares with all others of its server."""

    poller: Poller
    admission: Admission
    connections: set[Any]  # all of them, bare or not


class Owner(Protocol):
    """The sink that a connection belongs to."""

    def resumed(self) -> None:
        """Everything has been sent that had to wait."""

    def gone(self) -> None:
        """The connection is closed. This is called once."""


class Bare:
    """`push` writes at once. What the socket does not take now, waits here and goes first."""

    __slots__ = ("client", "ending", "fd", "home", "owner", "rest", "waiting")

    def __init__(self, fd: int, client: Client, home: Home) -> None:
        self.fd = fd  # -1: closed
        self.client = client
        self.home = home
        self.owner: Owner | None = None
        self.rest: memoryview | None = None  # not sent yet
        self.ending = False  # close when `rest` has been sent
        self.waiting: list[asyncio.Future[None]] = []  # for `rest` to be sent

    # Sending

    def push(self, messages: Sendable) -> bool:
        """Write the messages. False: some bytes wait, and the owner hears when they were sent."""
        if len(messages) == 1 and "ready" in messages[0]:
            return self.write(messages[0]["ready"])
        return self.write(b"".join([self.bytes_of(message) for message in messages]))

    async def send(self, message: Any) -> None:
        """As the `send` of an ASGI server. Raises OSError if the client has gone."""
        await self.flushed()
        if self.fd >= 0:
            self.push((message,))
            if self.fd >= 0 or self.ending:
                return
        raise ConnectionResetError("the client has gone")

    def bytes_of(self, message: Mapping[str, Any]) -> bytes:
        """The ASGI message as it is written. A last message marks the connection as ending."""
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        if self.rest is not None:
            self.rest = memoryview(b"".join((self.rest, data)))
            return False
        try:  # as `_send`, without a call: this is done for each viewer of each message
            sent = os.write(self.fd, data)
        except OSError as error:
            sent = self._not_sent(data, error)
        if sent < len(data):
            self.rest = memoryview(data)[sent:]  # a view: many viewers share the bytes
            return False
        if self.ending:
            self.close()
        return True

    def _send(self, data: bytes | memoryview) -> int:
        """How many bytes the socket took. A client that has gone needs no more."""
        try:
            return os.write(self.fd, data)
        except OSError as error:
            return self._not_sent(data, error)

    def _not_sent(self, data: bytes | memoryview, error: OSError) -> int:
        if isinstance(error, BlockingIOError):
            return 0
        self.close()  # also "bad file descriptor": it was closed before, and nothing happens
        return len(data)

    def flush(self) -> None:
        """Send what waits, until all was sent or the socket is full again."""
        while self.rest is not None:
            rest = self.rest  # a client that has gone takes it away
            sent = self._send(rest)
            if not sent:
                return
            self.rest = rest[sent:] if sent < len(rest) else None
        if self.ending:
            self.close()
            return
        self._wake(None)
        if self.owner is not None:
            self.owner.resumed()

    async def flushed(self) -> None:
        """Wait until nothing waits to be sent. Raises OSError if the client goes meanwhile."""
        while self.rest is not None:
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            await future

    def _wake(self, error: OSError | None) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)

    # Events

    def take_event(self, event: int) -> None:
        """Called by the poller. The connection may end in each step."""
        if event & (select.EPOLLERR | select.EPOLLHUP):
            self.lost()
            return
        if event & (select.EPOLLIN | select.EPOLLRDHUP):
            self.read()
        if event & select.EPOLLOUT and self.rest is not None:
            self.flush()

    def lost(self) -> None:
        """The client has closed both directions, or its host has."""
        self.close()

    def read(self) -> None:
        """Read what the client has sent, to the last byte: no further event reports it."""
        raise NotImplementedError

    # The end

    def hang_up(self) -> None:
        """The hub has no further use for the connection."""
        self.close()

    def end(self) -> None:
        """Close when everything has been sent."""
        self.ending = True
        if self.rest is None:
            self.close()

    def close(self) -> None:
        """Close now. Bytes that the kernel has taken are still sent."""
        if self.fd < 0:
            return
        self.home.poller.drop(self)
        self.home.connections.discard(self)
        self.home.admission.leave(self.client)
        self.fd, self.rest = -1, None
        self._wake(ConnectionResetError("the client has gone"))
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.gone()

    # As the server calls its connections

    def second_passed(self) -> None:
        """Called by the server once a second."""

    def shutdown(self) -> None:
        """The server stops. The stream's own last message ends the connection."""
