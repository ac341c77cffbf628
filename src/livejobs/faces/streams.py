"""Durable Streams, read only: a job's logs, results and errors as streams that a client resumes by
offset. A stream is open until its job has finished, and then closed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from livejobs import clock
from livejobs.core.errors import BadCursor, LivejobsError, NotFound
from livejobs.core.model import Entry, EntryKind, size_of
from livejobs.core.reducer import ErrorLine, LogLine
from livejobs.core.times import rfc3339
from livejobs.faces.base import JSON, Call, Face, Way
from livejobs.faces.durable import (
    ahead_of,
    control,
    cursor,
    data,
    form,
    listed,
    offset_of,
    position,
    removed,
)
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.store.base import EntryQuery
from livejobs.web import http, problems
from livejobs.web.calls.jobs import while_there
from livejobs.web.documents.parameters import KNOWN, Parameter
from livejobs.web.documents.schemas import TEXT
from livejobs.web.tags import not_modified, quote

PREFIX: Final = "/streams"
PAGE: Final = 1000  # entries of one read
CHUNK: Final = 4 << 20  # bytes of one answer: some clients read no second one
EVENT: Final = 256 << 10  # bytes of the first event
WAIT: Final = 20  # seconds of a long-poll
LASTS: Final = (50.0, 60.0)  # seconds of a stream of events, so that not all end at once


NOTHING: Final[Mapping[str, str]] = {}


# Reading


class Chunk(NamedTuple):
    """Some entries of a stream, in order, and where they end."""

    entries: Sequence[Entry]
    end: int  # the number of the last one, or where the client is
    at_tail: bool
    closed: bool


async def read(
    live: LiveJobs, slot: Slot, kind: EntryKind, start: int, *, most: int = CHUNK
) -> Chunk:
    """The entries after `start`, up to a size or to the end."""
    entries: list[Entry] = []
    end, size = start, 0
    while size < most and end < (upto := slot.head.total(kind)):
        query = EntryQuery(slot.head.id, kind, after=end, limit=PAGE)
        found = [it.entry for it in await live.entries(query) if it.entry.n <= upto]
        if not found or (entries and found[0].n != end + 1):  # removed meanwhile
            break
        entries += found
        end, size = found[-1].n, size + size_of(found)
    return as_of_now(slot, kind, entries, start)


async def begin(live: LiveJobs, slot: Slot, kind: EntryKind, start: int) -> tuple[Chunk, int]:
    """The first entries, and the seq after which the others follow. They are those of whole
    changes, because the entries of a change share a seq."""
    most = 2 * max(PAGE, live.settings.max_batch) + 1
    query = EntryQuery(slot.head.id, kind, after=start, limit=most, most_bytes=EVENT)
    records = await live.entries(query) if start < slot.head.total(kind) else ()
    cut = records[-1].seq if len(records) == most else slot.seq + 1
    whole = [it for it in records if it.seq < cut and it.seq <= slot.seq]
    chunk = as_of_now(slot, kind, [it.entry for it in whole], start)
    return chunk, slot.seq if chunk.at_tail else whole[-1].seq


def as_of_now(slot: Slot, kind: EntryKind, entries: Sequence[Entry], start: int) -> Chunk:
    if slot.gone:
        raise NotFound.job(slot.head.id)
    end, total = entries[-1].n if entries else start, slot.head.total(kind)
    if not entries and start < total:
        raise removed()
    return Chunk(entries, end, end == total, end == total and slot.head.finished)


# Answering

SAFE: Final = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",  # CORS decides who reads it
}
EVENTS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-type": "text/event-stream",
        "cache-control": "no-store, no-cache",
        "x-accel-buffering": "no",  # nginx passes events on as they arrive
        "vary": http.VARY,
        **SAFE,
    }.items()
)


class Reading(NamedTuple):
    """A request to one of the streams of a job."""

    call: Call
    slot: Slot
    kind: EntryKind

    async def start(self) -> int:
        """The number of the last entry that the client has read."""
        offsets = self.call.request.query_params.getlist("offset")
        if len(offsets) > 1:
            raise BadCursor("Query parameter 'offset' is there more than once.")
        try:
            return position((offsets or ["-1"])[0], self.slot, self.kind)
        except BadCursor:
            await self.call.live.refresh(self.slot)  # another node may have more
            return position(offsets[0], self.slot, self.kind)

    def offset(self, n: int) -> str:
        return offset_of(self.slot.epoch, self.slot.head, n)

    def metadata(self) -> Response:
        """The end of the stream, for HEAD."""
        chunk = as_of_now(self.slot, self.kind, (), self.slot.head.total(self.kind))
        response = Response(None, 200, self._headers(chunk, "no-store"), JSON)
        del response.headers["content-length"], response.headers["stream-up-to-date"]
        return response

    async def caught_up(self) -> Response:
        start = await self.start()
        chunk = await read(self.call.live, self.slot, self.kind, start)
        if self.call.request.query_params.get("offset") == "now":
            return self._given(chunk, "no-store")
        tag = quote(f"{self.offset(start)}-{chunk.end}{'-closed' if chunk.closed else ''}")
        headers = {"etag": tag.decode()}
        if not_modified(self.call.request.scope["headers"], tag):
            return Response(None, 304, self._headers(chunk, "private, no-cache") | headers)
        return self._given(chunk, "private, no-cache", headers)

    async def polled(self) -> Response:
        """Wait for more if there is nothing yet."""
        start, ahead = await self.start(), self._ahead()
        asked = http.preferred_wait(self.call.request.headers)
        more = {} if asked is None else {"preference-applied": f"wait={min(asked, WAIT)}"}
        await self._wait_after(start, min(asked or WAIT, WAIT))
        chunk = await read(self.call.live, self.slot, self.kind, start)
        if not chunk.closed:
            more["stream-cursor"] = cursor(clock.now_ms(), ahead)
        if chunk.entries:
            return self._given(chunk, "no-store", more)
        return Response(None, 204, self._headers(chunk, "no-store") | more)

    async def followed(self) -> Response:
        start, ahead = await self.start(), self._ahead()
        with self.slot.held():
            chunk, since = await begin(self.call.live, self.slot, self.kind, start)
        said = control(self.offset(chunk.end), chunk.at_tail, chunk.closed, ahead)
        return self.call.follow(
            self.slot,
            form(self.kind, ahead),
            since,
            data(chunk.entries) + said,
            headers=EVENTS,
            seconds=random.uniform(*LASTS),  # noqa: S311  no secret
        )

    async def _wait_after(self, start: int, seconds: float) -> None:
        request, slot, live = self.call.request, self.slot, self.call.live

        def more() -> bool:
            return slot.head.total(self.kind) > start

        if not more() and not live.over(slot):
            await while_there(request, live.until(slot, more, seconds))

    def _ahead(self) -> int:
        known = self.call.request.query_params.get("cursor", "")
        return ahead_of(known, clock.now_ms())

    def _given(self, chunk: Chunk, kept: str, more: Mapping[str, str] = NOTHING) -> Response:
        headers = {**self._headers(chunk, kept), **more}
        return Response(listed(chunk.entries), 200, headers, JSON)

    def _headers(self, chunk: Chunk, kept: str) -> dict[str, str]:
        headers = {"stream-next-offset": self.offset(chunk.end), "cache-control": kept}
        if chunk.at_tail:
            headers["stream-up-to-date"] = "true"
        if chunk.closed:
            headers["stream-closed"] = "true"
        return {**headers, "vary": http.VARY, **SAFE}


def way(kind: EntryKind, returns: Any, example: Any) -> Way:
    async def handler(call: Call) -> Response:
        reading = Reading(call, await call.job(), kind)
        if call.request.method == "HEAD":
            return reading.metadata()
        live = call.request.query_params.get("live")
        if live is None:
            return await reading.caught_up()
        if "offset" not in call.request.query_params:
            raise BadCursor("Query parameter 'live' needs 'offset'.")
        if live == "long-poll":
            return await reading.polled()
        if live == "sse":
            return await reading.followed()
        raise http.BadRequest("Query parameter 'live' takes long-poll or sse.")

    return Way(
        f"{PREFIX}/{{id}}/{kind}",
        f"Read the {kind} of a job as a stream",
        handler=handler,
        stream=form(kind),
        returns=returns,
        example=example,
        query=QUERY,
        empty=((204, "No message within the time"), (304, "Not modified")),
        refuses=REFUSES,
    )


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    return problems.of(error)


QUERY: Final = (
    Parameter("offset", TEXT, "Where to begin: an offset, `-1` (the start) or `now` (the end)."),
    Parameter("live", {"enum": ["long-poll", "sse"]}, "Wait for more. Needs `offset`."),
    Parameter("cursor", TEXT, "The last `Stream-Cursor`, for caches in between."),
    KNOWN,
)
REFUSES: Final = (
    BadCursor("Query parameter 'offset' takes -1, now, or an offset of this stream."),
    http.BadRequest("Query parameter 'live' takes long-poll or sse."),
    removed(),
)
AT: Final = rfc3339(1_704_164_645_678)
FACE: Final = Face(
    name="streams",
    ways=(
        way("logs", list[LogLine], [LogLine(1, AT, "info", None, "Frame 1 of 240")]),
        way("results", list[Any], [{"segment": 1}]),
        way("errors", list[ErrorLine], [ErrorLine(1, AT, "No such page", 7, None)]),
    ),
    refusal=refusal,
    prefix=PREFIX,
    error_type=problems.MEDIA_TYPE,
    error_headers=SAFE,
)
