"""A connection of our own runner without a socket: a test hands over each read and sees what is
written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState

from livejobs.config import Settings
from livejobs.server.instant.heads import Heads
from livejobs.server.instant.recognizing import RecognizingConnection
from livejobs.server.limited import ConnectionLimits
from livejobs.server.runner import uvicorn_config
from tests.support.server import LONG_ENOUGH


class Line(asyncio.Transport):
    """One connection to an app, from the client's end."""

    def __init__(self, app: Any, heads: Heads | None = None) -> None:
        """`heads`: those that other connections have made known."""
        super().__init__({"peername": ("127.0.0.1", 1234), "sockname": ("127.0.0.1", 80)})
        config = uvicorn_config(app, Settings(data=Path("unused")), ConnectionLimits(100))
        config.heads = heads or config.heads
        self.state = ServerState()
        self.written = bytearray()
        self.reading = True
        self.closed = False
        self.connection = RecognizingConnection(config, self.state, {})
        self.connection.connection_made(self)

    # The client's

    async def ask(self, pieces: Iterable[bytes], answers: int) -> bytes:
        """Send the pieces, each read alone, and return so many answers."""
        for piece in pieces:
            self.send(piece)
            await asyncio.sleep(0)
        await self.answered(answers)
        return self.take()

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    async def answered(self, answers: int) -> None:
        async with asyncio.timeout(LONG_ENOUGH):
            while self.state.total_requests < answers and not self.ended:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0)

    @property
    def ended(self) -> bool:
        """Whether no further answer comes."""
        refused = self.connection.refused and self.connection.waiting is None
        return self.closed or refused

    def take(self) -> bytes:
        taken, self.written = bytes(self.written), bytearray()
        return taken

    def leave(self) -> None:
        self.closed = True
        self.connection.connection_lost(None)

    # The transport's

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:  # else it is lost, as with a socket
            self.written += data

    def writelines(self, pieces: Iterable[Any]) -> None:
        self.write(b"".join(pieces))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


def note_taken(app: Any) -> list[bool]:
    """Of each request that is offered to the app from now on: whether the app took it."""
    taken: list[bool] = []
    offered = app.instant

    def noted(*offer: Any) -> bool:
        taken.append(offered(*offer))
        return taken[-1]

    app.instant = noted
    return taken
