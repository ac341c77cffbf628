"""What connections of each protocol have in common: configuration, limits, and fair turns.

A connection is counted in when it is made. After a large read it pauses, so that the others get
their turn.
"""

from __future__ import annotations

import asyncio
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl

from livejobs.server.admission import OVERFLOW, Admission, Client
from livejobs.server.bare.connection import Home
from livejobs.server.bare.poller import Poller
from livejobs.server.instant.heads import Heads

LARGE_READ = 64 << 10  # bytes; after so large a read, the next is likely to be as large
PAUSE_FACTOR = 3  # pause after such a read, in multiples of the time that it took to parse


class ConnectionLimits(NamedTuple):
    connections: int
    connections_per_address: int | None = None
    head_bytes: int = 64 << 10
    head_seconds: int = 10
    body_silence_seconds: int = 30
    stuck_seconds: int = 30  # until a client must have read what we sent
    # When the server stops, for the first request of a connection. A proxy connects when it has a
    # request, and answers its client with 502 if the connection closes.
    first_seconds: float = 0.5
    pong_seconds: int = 20  # between two pings of a WebSocket, and until the answer


class Config(uvicorn.Config):
    """uvicorn's configuration, which each connection gets, and what our connections need."""

    def __init__(self, app: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(app, **options)
        self.limits = limits
        self.admission = Admission(limits.connections, limits.connections_per_address)
        self.home = Home(Poller(), self.admission, set())
        self.heads = Heads()


class LimitedConnection:
    """What our connections have in common, whichever version of HTTP they speak."""

    __slots__ = ()

    admission: Admission
    limits: ConnectionLimits
    client: Client
    connections: set[Any]
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def second_passed(self) -> None:
        """Called by the server once a second."""
        raise NotImplementedError

    def enter(self) -> bool:
        """Count this connection in. False if it is over a limit; it may be aborted already."""
        excess = self.admission.enter(self.client, len(self.connections))
        if excess > 0:
            self.admission.note_refusal(self.client)
        if excess > OVERFLOW:
            self.transport.abort()
        return excess <= 0

    def take_turns(self, received: int, began: float) -> None:
        # uvloop would read from a fast sender again and again. So reading pauses, to give other
        # connections their turn: the longer the parsing took, the longer.
        if received > LARGE_READ and not self.flow.read_paused:
            self.transport.pause_reading()
            self.loop.call_later(PAUSE_FACTOR * (thread_time() - began), self.read_on)

    def read_on(self) -> None:
        if not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()


class OwnStream:
    """Marks a class of ours whose `send` is as known as uvicorn's (see direct.py)."""

    __slots__ = ()

    scope: Any
