"""A job's log as it is written: as text, and as events.

Both go on for as long as the job does, so they are let go when the server stops and when their
credential is no longer good.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from livejobs import clock
from livejobs.access.keyring import LOOK_EVERY
from livejobs.core import wire
from livejobs.core.access import Principal
from livejobs.core.model import LEVELS, Record
from livejobs.jobs.reader import PAGE
from livejobs.jobs.state import Slot
from livejobs.live.catchup import RESET
from livejobs.live.frames import PING, Message, event
from livejobs.live.hub import BYE, PING_EVERY
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.handover import as_it_is
from livejobs.web.streams.events import HEADERS, position, retry, said_cursor

Pages = AsyncIterator[Sequence[Record]]


def level_of(request: Request) -> int:
    return LEVELS.index(http.choice(request, "level", LEVELS) or "debug")


async def ticking(pages: Pages, seconds: float) -> AsyncGenerator[Sequence[Record] | None]:
    """The pages; None for every time that none came for so long."""
    next_ = None
    try:
        while True:
            next_ = next_ or asyncio.ensure_future(anext(pages, None))
            await asyncio.wait({next_}, timeout=seconds)
            if not next_.done():
                yield None
                continue
            page, next_ = next_.result(), None
            if page is None:
                return
            yield page
    finally:
        if next_ is not None:
            next_.cancel()


# As text


async def log_text(request: Request) -> Response:
    """Lines as they were said. With `follow=1` also those still to come."""
    live, by = http.service(request), http.principal(request)
    slot = await live.find(request.path_params["id"], by)
    pages = live.logs(
        slot,
        after=http.whole(request, "after", 0, least=0, most=2**53),
        level=level_of(request),
        tail=http.whole(request, "tail", None, least=1, most=1000),
        limit=http.whole(request, "limit", None, least=1, most=1000),
        follow=http.switch(request, "follow"),
    )
    headers = {
        "cache-control": "no-store",
        "vary": http.VARY,
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
        **as_it_is(request.scope),
    }
    # HEAD is not kept waiting for lines it does not get.
    body = () if request.method == "HEAD" else _text(live, by, pages)
    return StreamingResponse(body, 200, headers, "text/plain; charset=utf-8")


async def _text(live: LiveJobs, by: Principal, pages: Pages) -> AsyncIterator[bytes]:
    yield b""  # some servers and layers send the head with the first piece
    async with aclosing(ticking(pages, LOOK_EVERY)) as looks:
        async for records in looks:
            if live.keyring.valid(by, clock.now_ms()) is not None:
                return
            if not records:
                continue
            lines = (msgspec.json.decode(record.entry.value)["message"] for record in records)
            yield "".join(f"{harmless(line)}\n" for line in lines).encode()


# Everything that could move a terminal's cursor, ring, or set its title. A tab and a line break are
# text. U+2028 and U+2029 end a line for some readers, so a message could forge the next one; bidi
# marks, embeddings and isolates change the order in which it is read.
_CONTROLS: Final[dict[int, str]] = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)
} | {
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def harmless(line: str) -> str:
    return line if line.isascii() and line.isprintable() else line.translate(_CONTROLS)


# As events


async def log_events(request: Request) -> Response:
    """`logs` events, as a job's own stream has them, and nothing else of the job."""
    live, by = http.service(request), http.principal(request)
    slot = await live.find(request.path_params["id"], by)
    since, foreign = position(live, slot.head.project, said_cursor(request))
    if slot.head.finished and since is not None and since >= slot.seq:
        return Response(status_code=204)  # an EventSource takes it as the end
    first = http.whole(request, "tail", None, least=1, most=1000) if since is None else None
    pages = live.logs(
        slot,
        after=http.whole(request, "after", 0, least=0, most=2**53),
        after_seq=since or 0,
        level=level_of(request),
        tail=first,
        follow=True,
    )
    hello = retry() + event(RESET) if foreign else retry()
    body = () if request.method == "HEAD" else _events(live, by, slot, pages, hello)
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    return StreamingResponse(body, 200, headers)


async def _events(
    live: LiveJobs, by: Principal, slot: Slot, pages: Pages, hello: bytes
) -> AsyncIterator[bytes]:
    yield hello
    async with aclosing(ticking(whole_changes(pages), LOOK_EVERY)) as looks:
        quiet = 0
        async for records in looks:
            quiet = 0 if records else quiet + LOOK_EVERY
            if (why := live.keyring.valid(by, clock.now_ms())) is not None:
                yield event(Message("unwelcome", wire.encode({"reason": why})))
                return
            if records:
                yield event(_logs(slot, records))
            elif quiet % PING_EVERY == 0:
                yield event(PING)
    cursor = str(slot.cursor)
    yield event(Message("end", END, cursor) if slot.head.finished else BYE)


END: Final = b"{}"


def _logs(slot: Slot, records: Sequence[Record]) -> Message:
    lines = b",".join(bytes(record.entry.value) for record in records)
    cursor = slot.cursor._replace(seq=records[-1].seq)
    return Message("logs", b"[" + lines + b"]", str(cursor))


async def whole_changes(pages: Pages) -> AsyncIterator[Sequence[Record]]:
    """Pages that end where a change does: who is cut after one goes on with the next."""
    rest: list[Record] = []
    async for page in pages:
        rest += page
        if len(page) >= PAGE:  # there may be more of the last change
            last = rest[-1].seq
            whole = [record for record in rest if record.seq != last]
            if whole:
                yield whole
            rest = rest[len(whole) :]
        else:
            if rest:
                yield rest
            rest = []
    if rest:
        yield rest
