"""Write to the transport directly, past ASGI's `send`.

The hub writes the same bytes to thousands of connections, and the most frequent requests are
answered with bytes that are ready. Behind a `send` of our own runner it is known what will
happen to the bytes. So they are written directly, after the same checks that `send` makes. When a
check fails, the caller uses `send`. (Most viewers need no `send` at all: see bare/.)
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from livejobs.live.sink import Send, Writer
from livejobs.server.limited import OwnStream
from livejobs.server.websocket import WebSocketConnection

OWN: Final = (RequestResponseCycle, WebSocketConnection, OwnStream)


def inline(send: Send) -> bool:
    """Whether this `send` belongs to our own runner. Then it suspends on plain futures only, and
    edits no message."""
    return isinstance(owner_of(send), OWN)


def called_directly(scope: Scope, send: Send) -> bool:
    """Whether our own runner called the app, with the very scope that the runner made. Layers for
    CORS may lie in between."""
    owner = owner_of(send)
    return isinstance(owner, OWN) and owner.scope is scope


def owner_of(send: Any) -> Any:
    """The connection behind a `send`, also through CORS layers: they edit only the start of an
    answer."""
    while type(getattr(getattr(send, "func", None), "__self__", None)) is CORSMiddleware:
        send = send.keywords["send"]
    return getattr(send, "__self__", None)


def writer_of(send: Send) -> Writer | None:
    """None if this `send` may do more than write: over HTTP/2, or with a layer in between."""
    owner = owner_of(send)
    if isinstance(owner, RequestResponseCycle):
        return partial(write_chunk, owner)
    if isinstance(owner, WebSocketConnection):
        return owner.write_now
    return None


def write_chunk(cycle: RequestResponseCycle, chunk: bytes) -> bool:
    if cycle.flow.write_paused or cycle.disconnected or not cycle.chunked_encoding:
        return False
    if cycle.response_complete or cycle.transport.is_closing():
        return False
    cycle.transport.write(chunk)
    return True


def answer_at_once(send: Send, status: int, lines: bytes, body: bytes) -> bool:
    """Head and body in one packet, which two calls of `send` can't do."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or not cycle.keep_alive:
        return False
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
        return False
    if cycle.waiting_for_100_continue or cycle.access_log or cycle.scope["method"] == "HEAD":
        return False
    defaults = [b"%b: %b\r\n" % header for header in cycle.default_headers]
    head = b"".join((STATUS_LINE[status], *defaults, lines))
    # Two pieces: joined, the body would be copied for each slow reader that waits for it.
    cycle.transport.writelines((head, body))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True
