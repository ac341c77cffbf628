"""The server for Autobahn: our runner's WebSocket protocol, which echoes each message."""

from __future__ import annotations

import sys

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from livejobs.config import Settings
from livejobs.server.runner import run


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await socket.send_text(message["text"])
        else:
            await socket.send_bytes(message["bytes"])


if __name__ == "__main__":
    # Autobahn's largest messages are 16 MB; the protocol takes twice the body's bound.
    settings = Settings(port=int(sys.argv[1]), max_body_bytes=16 << 20)
    run(Starlette(routes=[WebSocketRoute("/", echo)]), settings)
