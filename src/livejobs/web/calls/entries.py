"""A job's entries over REST: pages of logs, results and errors."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.model import EntryKind
from livejobs.store.base import EntryQuery, is_full
from livejobs.web import http
from livejobs.web.streams.lines import level_of, log_events, log_text


async def logs(request: Request) -> Response:
    if http.accepts(request, "text/event-stream"):
        return await log_events(request)
    if http.accepts(request, "text/plain"):
        return await log_text(request)
    return await _page(request, "logs")


async def results(request: Request) -> Response:
    return await _page(request, "results")


async def errors(request: Request) -> Response:
    return await _page(request, "errors")


async def _page(request: Request, kind: EntryKind) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    limit = http.whole(request, "limit", 100, least=1, most=1000)
    last = http.whole(request, "tail", None, least=1, most=1000) if kind == "logs" else None
    after, removed = http.whole(request, "after", 0, least=0, most=2**53), slot.head.removed(kind)
    query = EntryQuery(
        slot.head.id,
        kind,
        after=max(after, removed),
        limit=last or limit + 1,
        level=level_of(request) if kind == "logs" else 0,
        tail=last is not None,
    )
    records = await live.entries(query)
    shown = records if last is not None else records[:limit]
    more = last is None and (len(records) > limit or is_full(records))
    listed = b",".join(bytes(record.entry.value) for record in shown)
    next_ = str(shown[-1].entry.n).encode() if more else b"null"
    body = b'{"%s":[%s],"next":%s' % (kind.encode(), listed, next_)
    if after < removed and (last is None or len(shown) < last):
        body += b',"trimmed":%d' % removed
    body += b"}"
    return http.JSONBytes(body, 200, {"cache-control": "private, no-cache", "vary": http.VARY})
