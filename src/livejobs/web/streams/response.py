"""HTTP responses that last as long as a subscription."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core.access import Principal
from livejobs.live.frames import SSE, Wire
from livejobs.live.hub import Hub
from livejobs.live.sink import Bare, Sink, Take
from livejobs.web import http
from livejobs.web.handover import hand_over

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Subscribe: TypeAlias = Callable[[Sink], object]

HEADERS: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx passes events on as they arrive
    (b"x-content-type-options", b"nosniff"),
    (b"vary", http.VARY.encode()),
)
CLOSE: Final = (b"connection", b"close")  # of a bare connection, which takes no further request
EVENTS: Final[Headers] = ((b"content-type", b"text/event-stream; charset=utf-8"), *HEADERS)


class Stream(Response):
    """One subscription, sent until it ends or the client disconnects. `hello` is sent first."""

    def __init__(
        self,
        hub: Hub,
        by: Principal,
        subscribe: Subscribe,
        *,
        hello: bytes,
        wire: Wire = SSE,
        headers: Headers = EVENTS,
        seconds: float | None = None,
        solo: bool = True,
    ) -> None:
        """`solo`: the stream ends with its one subscription."""
        hub.check_limit(by)
        self._hub = hub
        self._by = by
        self._subscribe = subscribe
        self._hello = hello
        self._wire = wire
        self._head = headers
        self._seconds = seconds  # how long it lasts at most
        self._solo = solo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await start(send, self._head)
            await send({"type": "http.response.body", "body": b""})
        else:
            taker_of = scope["app"].powers.taker_of
            work = partial(last, self._hub, self._open, self._head, self._begin, taker_of)
            await hand_over(work, scope, receive, send)

    def _open(self, send: Send, bare: Bare | None) -> Sink:
        hub, wire, by = self._hub, self._wire, self._by
        return hub.open(send, wire, by, solo=self._solo, bare=bare, seconds=self._seconds)

    async def _begin(self, sink: Sink) -> None:
        self._subscribe(sink)
        await sink.write(({"type": "http.response.body", "body": self._hello, "more_body": True},))
        await self._hub.settle(sink)


async def last(
    hub: Hub,
    open_: Callable[[Send, Bare | None], Sink],
    headers: Headers,
    begin: Callable[[Sink], Awaitable[None]],
    taker_of: Callable[[Send], Take | None],
    receive: Receive,
    send: Send,
) -> None:
    take = taker_of(send)
    await start(send, headers if take is None else (*headers, CLOSE))
    bare = None if take is None else await take()
    sink = open_(send, bare)
    if bare is not None:
        await _begin_bare(hub, sink, begin)
        return
    try:
        await begin(sink)
        del begin, open_  # an idle client needs nothing of what the stream began with
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        hub.close(sink)


async def _begin_bare(hub: Hub, sink: Sink, begin: Callable[[Sink], Awaitable[None]]) -> None:
    """Afterwards the stream needs no task. The hub closes it when its client has gone."""
    try:
        await begin(sink)
    except OSError:
        hub.close(sink)  # the client has gone
    except BaseException:
        hub.close(sink)
        raise


async def start(send: Send, headers: Headers) -> None:
    # A list of its own for each client: middleware adds cookies to it.
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
