"""The route of the WebSocket `livejobs.v1`: many subscriptions and reports over one connection."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from livejobs.core.errors import Forbidden, NotStarted
from livejobs.service import LiveJobs
from livejobs.web.handover import hand_over
from livejobs.web.streams.conversation import Caller, Conversation
from livejobs.web.streams.protocol import PROTOCOL


class Socket:
    """The route's handler. It is an ASGI app, as there is no response to return."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].state.live
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            caller = await Caller.of(live, scope)
        except (Forbidden, NotStarted):  # the handshake fails, as for a foreign page
            await send({"type": "websocket.close"})
            return
        offered = scope.get("subprotocols", [])
        chosen = PROTOCOL if PROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        begin = None
        if "id" in scope["path_params"]:
            begin = Request({**scope, "type": "http", "method": "GET"})
        await hand_over(partial(serve, live, caller, begin), scope, receive, send)


SOCKET: Final = Socket()


async def serve(
    live: LiveJobs, caller: Caller, begin: Request | None, receive: Receive, send: Send
) -> None:
    """Serve a connection until it ends. One that was opened on a job's address begins with a
    subscription to that job."""
    conversation = Conversation(live, caller, send)
    async with conversation.until_closed():
        await conversation.open(receive)
        if begin is not None:
            await conversation.subscribe_to_url(begin)
            begin = None  # free its memory
        await conversation.listen(receive)
