"""A job's log alone: as plain text, and as events.

A log that is followed is a subscription like any other (view `logs`). Plain text without `follow`
is read from the store, page by page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from livejobs import clock
from livejobs.core.access import Principal
from livejobs.core.model import LEVELS, Record
from livejobs.jobs.state import Slot
from livejobs.live.channel import Viewer
from livejobs.live.frames import SSE, Message, Sendable, Wire, body_piece
from livejobs.live.hub import Hub
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.handover import as_it_is
from livejobs.web.streams.events import hello, position, requested_cursor, seen_all
from livejobs.web.streams.response import HEADERS, Stream, Subscribe

Pages: TypeAlias = AsyncIterator[Sequence[Record]]


def level_of(request: Request) -> int:
    return LEVELS.index(http.choice(request, "level", LEVELS) or "debug")


def after_of(request: Request) -> int:
    return http.whole(request, "after", 0, least=0, most=2**53)


def tail_of(request: Request) -> int | None:
    return http.whole(request, "tail", None, least=1, most=1000)


def subscription(
    hub: Hub, request: Request, slot: Slot, wire: Wire, since: int | None
) -> Subscribe:
    """Begin with the last `tail` lines, or else with those after `since` and `after`."""
    tail = tail_of(request) if since is None else None
    after = after_of(request) if tail is None else 0
    options = Options("logs", level=level_of(request), after=after)
    begin = (since or 0) if tail is None else None

    def subscribe(sink: Sink) -> Viewer:
        return hub.watch_job(sink, wire, slot, options, begin, tail or 0)

    return subscribe


# As events


async def log_events(request: Request) -> Response:
    """The same `logs` events as in a job's own stream, and nothing else of the job."""
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    since, foreign = await position(live, slot.head.project, requested_cursor(request))
    if seen_all(slot, since):
        return Response(status_code=204)  # ends an EventSource
    subscribe = subscription(live.hub, request, slot, SSE, since)
    return Stream(live.hub, http.principal(request), subscribe, hello=hello(foreign))


# As text


async def log_text(request: Request) -> Response:
    """One message after the other. With `follow=1` also those still to come."""
    live, by = http.service(request), http.principal(request)
    slot = await live.find(request.path_params["id"], by)
    headers = (
        (b"content-type", b"text/plain; charset=utf-8"),
        *HEADERS,
        *((name.encode(), value.encode()) for name, value in as_it_is(request.scope).items()),
    )
    limit = http.whole(request, "limit", None, least=1, most=1000)
    if http.switch(request, "follow"):  # without a limit: until the job ends
        subscribe = subscription(live.hub, request, slot, TEXT, None)
        # Some servers and middleware send the head with the first piece of the body.
        return Stream(live.hub, by, subscribe, hello=b"", wire=TEXT, headers=headers)
    pages = live.logs(
        slot,
        after=after_of(request),
        level=level_of(request),
        tail=tail_of(request),
        limit=limit,
    )
    removed = slot.head.removed("logs")
    cut = removed if tail_of(request) is None and after_of(request) < removed else 0
    body = () if request.method == "HEAD" else _text(live, by, pages, cut)
    response = StreamingResponse(body, 200)
    response.raw_headers = list(headers)
    return response


async def _text(live: LiveJobs, by: Principal, pages: Pages, cut: int) -> AsyncIterator[bytes]:
    yield cut_text(cut)
    async for records in pages:
        if live.keyring.valid(by, clock.now_ms()) is not None:
            return
        yield text_of(msgspec.json.decode(record.entry.value, type=Line) for record in records)


class Line(Struct, frozen=True):
    message: str


class TextWire:
    """The messages of log lines, one after the other. Anything else sends no text."""

    transport: Final = "text"

    def encode(self, messages: Sequence[Message]) -> Sendable:
        return body_piece(b"".join(map(self._text, messages)), messages)

    def _text(self, message: Message) -> bytes:
        if message.op == "trimmed":
            return cut_text(msgspec.json.decode(message.data)["logs"])
        return text_of(_decode(message.data)) if message.op == "logs" else b""


TEXT: Final = TextWire()


def cut_text(removed: int) -> bytes:
    if not removed:
        return b""
    return b"[%s earlier %s removed]\n" % (
        f"{removed:,}".encode(),
        b"line was" if removed == 1 else b"lines were",
    )


_decode: Final = msgspec.json.Decoder(list[Line]).decode


def text_of(lines: Iterable[Line]) -> bytes:
    return "".join(f"{harmless(line.message)}\n" for line in lines).encode()


# Everything that can move a terminal's cursor, ring its bell or set its title. A tab and a line
# break are text. Some readers end a line at U+2028 and U+2029, so a message could forge the next
# one. Bidi marks, embeddings and isolates change the order in which a line is read.
_CONTROLS: Final[dict[int, str]] = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)
} | {
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def harmless(line: str) -> str:
    return line if line.isascii() and line.isprintable() else line.translate(_CONTROLS)
