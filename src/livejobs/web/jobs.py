"""The job over REST: create, report, read, list, cancel, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from livejobs.committer import now_ms
from livejobs.core import reports as say
from livejobs.core import wire
from livejobs.core.errors import FieldError, Invalid, LivejobsError
from livejobs.core.model import LEVELS, STATUSES, Kind, Record
from livejobs.service import LiveJobs, Receipt
from livejobs.state import Slot
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.streams import job_events

AT_ONCE: Final = 1000  # lines of a stream in one commit
POLL_AGAIN: Final = "2"  # seconds, for Retry-After while a job is unfinished


# Creating


async def create(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.headers)
    body = await http.read_body(request, live.bounds.body)
    slot, new = await live.create_once(
        say.decode_new_job(body), by=http.principal(request), key=_idempotency(request), body=body
    )
    return await _created(live, slot, new)


async def put(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.headers)
    body = await http.read_body(request, live.bounds.body)
    id = request.path_params["id"]
    new = say.decode_new_job(body)
    slot, made = await live.put(id, new, by=http.principal(request))
    return await _created(live, slot, made)


async def _created(live: LiveJobs, slot: Slot, new: bool) -> Response:
    headers = {"location": f"{slot.base}/v1/jobs/{slot.head.id}", "cache-control": "no-store"}
    return http.JSONBytes(await live.state(slot), 201 if new else 200, headers)


def _idempotency(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise Invalid("Idempotency-Key takes 1 to 255 characters.")
    return key


# Reporting


async def report(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    if http.takes_lines(request.headers):
        receipt = await _report_lines(request, live, slot)
    else:
        body = await http.read_body(request, live.bounds.body)
        receipt = await live.apply(slot, live.decode(body))
    return http.JSONBytes(wire.encode(receipt), 200, {"cache-control": "no-store"})


async def _report_lines(request: Request, live: LiveJobs, slot: Slot) -> Receipt:
    """Lines are kept as they arrive: all complete ones of what has come make one commit."""
    taken = Lines(live, slot)
    rest = b""
    try:
        async for chunk in request.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            for at in range(0, len(lines), AT_ONCE):
                await taken.keep(lines[at : at + AT_ONCE])
            if len(rest) > live.bounds.body:
                taken.refuse(http.too_large(live.bounds.body, "A line"))
    except ClientDisconnect:
        rest = b""  # a line cut in the middle was never said
    await taken.keep([rest])
    return taken.receipt()


class Lines:
    """Where a stream of reports is: how many lines came, how many were kept."""

    def __init__(self, live: LiveJobs, slot: Slot) -> None:
        self._live = live
        self._slot = slot
        self._read = 0  # lines, the empty ones too: what an editor would count
        self._kept = 0
        self._accepted = 0
        self._last: Receipt | None = None

    async def keep(self, lines: Sequence[bytes]) -> None:
        good, numbers, bad = self._decoded(lines)
        if good:
            batch = await self._live.apply_lines(self._slot, good)
            self._last = batch.receipt
            self._kept += batch.kept
            self._accepted += batch.receipt.accepted
            if batch.refused is not None:
                self._read = numbers[batch.kept] - 1
                self.refuse(batch.refused)
        if bad is not None:
            self.refuse(bad)
        self._read += len(lines)

    def _decoded(
        self, lines: Sequence[bytes]
    ) -> tuple[list[say.AnyReport], list[int], LivejobsError | None]:
        """The reports up to the first bad line, and their line numbers."""
        try:
            reports = say.decode_lines(lines, self._live.bounds)
        except LivejobsError:
            return self._decoded_one_by_one(lines)
        numbers = [n for n, line in enumerate(lines, self._read + 1) if line.strip()]
        return reports, numbers, None

    def _decoded_one_by_one(
        self, lines: Sequence[bytes]
    ) -> tuple[list[say.AnyReport], list[int], LivejobsError | None]:
        good: list[say.AnyReport] = []
        numbers: list[int] = []
        for number, line in enumerate(lines, self._read + 1):
            if not line.strip():
                continue
            try:
                if len(line) > self._live.bounds.body:
                    raise http.too_large(self._live.bounds.body, "A line")
                good.append(say.decode_line(line, self._live.bounds))
            except LivejobsError as error:
                error.extra["line"] = number
                return good, numbers, error
            numbers.append(number)
        return good, numbers, None

    def refuse(self, error: LivejobsError) -> None:
        error.extra.setdefault("line", self._read + 1)
        error.extra["kept"] = self._kept
        error.headers["Connection"] = "close"  # what else was sent is not read
        raise error

    def receipt(self) -> Receipt:
        if self._last is None:
            raise Invalid(
                "The body holds no report.", errors=[FieldError("", "Send at least one line.")]
            )
        return msgspec.structs.replace(self._last, accepted=self._accepted)


# Reading


async def snapshot(request: Request) -> Response:
    if http.accepts(request, "text/event-stream"):
        return await job_events(request)
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    known = http.none_match(request.headers)
    waited = await _wait(request, live, slot, known)
    if waited is not None:
        headers["preference-applied"] = f"wait={waited}"
    body = await live.state(slot)  # before the tag: a queued job's place is part of it
    headers["etag"] = f'W/"{slot.tag(now_ms())}"'
    if not slot.head.finished:
        headers["retry-after"] = POLL_AGAIN
    if _matches(slot, known):
        return Response(status_code=304, headers=headers)
    return http.JSONBytes(body, 200, headers)


def _matches(slot: Slot, known: Sequence[str]) -> bool:
    """The whole tag, or the bare cursor by those who don't mind a queued job's place."""
    return bool(known) and (
        slot.tag(now_ms()) in known or str(slot.cursor) in known or "*" in known
    )


async def _wait(request: Request, live: LiveJobs, slot: Slot, known: Sequence[str]) -> int | None:
    """Hold the answer as long as the client asked for and there is nothing new to say."""
    finished = http.choice(request, "until", ("finished",)) is not None
    asked = http.preferred_wait(request.headers)
    if asked is None and not finished:
        return None
    since = slot.seq if _matches(slot, known) else None
    if not finished and since is None:
        return asked
    # A client that has gone is not waited for.
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, request, group.cancel_scope)
        await live.wait(slot, since=since, seconds=asked or 30, finished=finished)
        group.cancel_scope.cancel()
    return asked


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def listing(request: Request) -> Response:
    live = http.service(request)
    found = await live.list(
        query(request),
        limit=http.whole(request, "limit", 100, least=1, most=1000),
        after=request.query_params.get("after"),
    )
    now = now_ms()
    jobs = b",".join(slot.head_json(now) for slot in found.slots)
    rest = wire.encode({"next": found.next, "counts": found.counts})
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    if found.next is not None:
        target = request.url.include_query_params(after=found.next)
        headers["link"] = f'<{live.settings.base_path}{target.path}?{target.query}>; rel="next"'
    return http.JSONBytes(b'{"jobs":[' + jobs + b"]," + rest[1:], 200, headers)


def query(request: Request) -> Query:
    """The filters of lists and feeds."""
    said = request.query_params
    q = said.get("q") or None
    if q is not None and not 3 <= len(q) <= 200:
        raise http.bad_query("q", "3 to 200 characters")
    return Query(
        projects=projects(request),
        statuses=http.several(request, "status", STATUSES),
        type=said.get("type") or None,
        tag=said.get("tag") or None,
        parent=said.get("parent") or None,
        owner=said.get("owner") or None,
        q=q,
    )


def projects(request: Request) -> tuple[str, ...] | None:
    by = http.principal(request)
    project = request.query_params.get("project") or by.default_project
    if project == "*":
        return by.projects
    return (project,) if by.sees(project) else ()


# Entries


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
    return StreamingResponse(_text(pages), 200, headers, "text/plain; charset=utf-8")


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


# Ending


async def cancel(request: Request) -> Response:
    live = http.service(request)
    force = http.switch(request, "force")
    slot = await live.cancel(request.path_params["id"], force=force, by=http.principal(request))
    return http.JSONBytes(await live.state(slot), 202, {"cache-control": "no-store"})


async def delete(request: Request) -> Response:
    await http.service(request).delete(request.path_params["id"], by=http.principal(request))
    return Response(status_code=204)
