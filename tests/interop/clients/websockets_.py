"""Python `websockets`: its own loop reconnects, we subscribe again from our cursor."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

url, name = sys.argv[1:]
job: dict[str, Any] = {}
since: str | None = None


def say(**fact: object) -> None:
    print(json.dumps(fact), flush=True)


async def follow(socket: ClientConnection) -> bool:
    """Whether it is over."""
    global since  # noqa: PLW0603  a script
    asked = {"op": "subscribe", "id": "x", "job": name, "since": since, "logs": True}
    await socket.send(json.dumps(asked))
    async for text in socket:
        message = json.loads(text)
        if message["op"] == "snapshot":
            job.update(message["job"])
            say(logs=job["logs"])
            say(state=job)
        elif message["op"] == "delta":
            job.update(message["set"])
            say(logs=message["append"].get("logs", []))
            say(state=job)
        elif message["op"] == "end":
            return True
        assert message["op"] != "error", message
        since = job.get("cursor")
    return False


async def main() -> None:
    address = url.replace("http", "ws", 1) + "/v1/ws"
    async for socket in connect(address, subprotocols=[Subprotocol("livejobs.v1")]):
        try:
            if await follow(socket):
                await socket.close()
                say(over="end")
                return
        except ConnectionClosed:
            pass


asyncio.run(main())
