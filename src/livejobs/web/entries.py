"""What a job has gathered, over REST: pages of logs, results and errors, and logs as text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from livejobs.core.model import LEVELS, Kind, Record
from livejobs.web import http


async def logs(request: Request) -> Response:
    if http.accepts(request, "text/plain"):
        return await _log_text(request)
    return await _page(request, "logs")


async def results(request: Request) -> Response:
    return await _page(request, "results")


async def errors(request: Request) -> Response:
    return await _page(request, "errors")


async def _page(request: Request, kind: Kind) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    limit = http.whole(request, "limit", 100, least=1, most=1000)
    last = http.whole(request, "tail", None, least=1, most=1000) if kind == "logs" else None
    records = await live.entries(
        slot,
        kind,
        after=http.whole(request, "after", 0, least=0, most=2**53),
        limit=last or limit + 1,
        level=_level(request) if kind == "logs" else 0,
        tail=last is not None,
    )
    more = last is None and len(records) > limit
    shown = records[:limit] if more else records
    listed = b",".join(bytes(record.entry.value) for record in shown)
    next_ = str(shown[-1].entry.n).encode() if more else b"null"
    body = b'{"%s":[%s],"next":%s}' % (kind.encode(), listed, next_)
    return http.JSONBytes(body, 200, {"cache-control": "private, no-cache", "vary": http.VARY})


def _level(request: Request) -> int:
    return LEVELS.index(http.choice(request, "level", LEVELS) or "debug")


async def _log_text(request: Request) -> Response:
    """Lines as they were said. With `follow=1` also those still to come."""
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    last = http.whole(request, "tail", None, least=1, most=1000)
    limit = http.whole(request, "limit", None, least=1, most=1000)
    after = http.whole(request, "after", 0, least=0, most=2**53)
    level = _level(request)
    pages = live.logs(
        slot,
        after=after,
        level=level,
        tail=last,
        limit=limit,
        follow=http.switch(request, "follow"),
    )
    headers = {
        "cache-control": "no-store",
        "vary": http.VARY,
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
    }
    # HEAD is not kept waiting for lines it does not get.
    body = () if request.method == "HEAD" else _text(pages)
    return StreamingResponse(body, 200, headers, "text/plain; charset=utf-8")


async def _text(pages: AsyncIterator[Sequence[Record]]) -> AsyncIterator[bytes]:
    async for records in pages:
        lines = (msgspec.json.decode(record.entry.value)["message"] for record in records)
        yield "".join(f"{harmless(line)}\n" for line in lines).encode()


# Everything that could move a terminal's cursor, ring, or set its title. Bidi controls reorder
# what is read. A tab and a line break are text.
_CONTROLS: Final[dict[int, str]] = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (9, 10)
} | {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def harmless(line: str) -> str:
    return line if line.isascii() and line.isprintable() else line.translate(_CONTROLS)
