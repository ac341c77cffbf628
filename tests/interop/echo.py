"""The server for Autobahn: our runner's WebSocket protocol, which echoes each message. At /bare it
does so after the handshake has left nothing of the connection but its socket.
"""

from __future__ import annotations

import asyncio
import sys

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from livejobs.config import Settings
from livejobs.live.sink import BareSocket
from livejobs.server.bare.taking import socket_taker_of
from livejobs.server.runner import run


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


async def echo_bare(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    take = socket_taker_of(send)
    bare = await take() if take else None
    assert bare is not None
    BareEcho(bare).hear()


class Echo(Starlette):
    """Starlette's own layers would hide the runner's `send`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bare = scope["type"] == "websocket" and scope["path"] == "/bare"
        await (echo_bare if bare else super().__call__)(scope, receive, send)


class BareEcho:
    """What answers the messages of one bare connection, and is its owner."""

    def __init__(self, bare: BareSocket) -> None:
        self.bare = bare
        self.task: asyncio.Task[None] | None = None
        bare.owner, bare.heard = self, self.hear

    def hear(self) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self.answer())

    async def answer(self) -> None:
        try:
            while (message := self.bare.next()) is not None:
                if message["type"] == "websocket.receive":
                    await self.bare.send({**message, "type": "websocket.send"})
        except OSError:
            pass  # the client has gone
        finally:
            self.task = None

    def resumed(self) -> None: ...

    def gone(self) -> None: ...


if __name__ == "__main__":
    # Autobahn's largest messages are 16 MB; the protocol takes twice the body's bound.
    settings = Settings(port=int(sys.argv[1]), max_body_bytes=16 << 20)
    run(Echo(routes=[WebSocketRoute("/", echo)]), settings)
