"""A request and its answer: uvicorn's cycle, where it is not enough."""

from __future__ import annotations

from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Expecting(RequestResponseCycle):
    """A request whose client sends the body only when asked to (Expect: 100-continue)."""

    async def send(self, message: Any) -> None:
        if self.waiting_for_100_continue and self.more_body:
            # Answered without asking for the body. The client may still send it, and then the
            # next bytes could be either the body or another request.
            self.keep_alive = False
        await super().send(message)


async def receive_all(cycle: RequestResponseCycle, receive: Any) -> Message:
    """Return the received bytes before the disconnect. uvicorn would drop them, and with them
    the last lines of a worker that dies."""
    message: Message = await receive()
    if message["type"] == "http.disconnect" and cycle.body and not cycle.response_complete:
        body, cycle.body = bytes(cycle.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": cycle.more_body}
    return message
