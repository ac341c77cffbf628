"""The list of jobs, and what a client can ask of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypedDict
from urllib.parse import urlencode

from starlette.responses import Response

from livejobs import clock
from livejobs.core.errors import Invalid
from livejobs.core.model import Head
from livejobs.faces.base import Around, Call
from livejobs.faces.ogc.shapes import JOBS, WORDS, OgcLink, StatusInfo, link, status_info
from livejobs.jobs.state import Slot
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.documents.parameters import PROJECT, Parameter
from livejobs.web.documents.schemas import TEXT, whole
from livejobs.web.guard import TOKEN

PAGE: Final = 10  # the default of the standard
LARGEST_PAGE: Final = 1000
PAGES: Final = 20  # that one request reads, to find jobs that fit


class JobList(TypedDict):
    jobs: Sequence[StatusInfo]
    links: Sequence[OgcLink]


async def job_list(call: Call) -> Response:
    asked = asked_for(call)
    after = call.request.query_params.get("after") or None
    jobs, rest = await page(call, asked, after)
    links = [link(address(call, after), "self")]
    if rest is not None:
        links.append(link(address(call, rest), "next"))
    shown = [status_info(it.head, Around(base=it.base)) for it in jobs]
    told: JobList = {"jobs": shown, "links": links}
    return call.json(told)


class Asked(NamedTuple):
    """Which jobs. What the store can't look for is looked for here."""

    query: Query
    limit: int
    types: Sequence[str]
    created: tuple[int, int]  # ms
    ran: tuple[int, int] | None  # seconds; None: of any duration, and not started either
    nothing: bool  # no job can fit

    def fits(self, head: Head, now: int) -> bool:
        first, last = self.created
        if not first <= head.created_at <= last or (self.types and head.type not in self.types):
            return False
        if self.ran is None:
            return True
        if head.started_at is None:
            return False
        least, most = self.ran
        return least <= ((head.completed_at or now) - head.started_at) / 1000 <= most


def asked_for(call: Call) -> Asked:
    request = call.request
    words = {word: status for status, word in WORDS.items()}
    statuses = [words[word] for word in http.several(request, "status", tuple(words))]
    kinds = http.names(request, "type")
    types = http.names(request, "processID")
    least = http.whole(request, "minDuration", None, least=0, most=FOREVER)
    most = http.whole(request, "maxDuration", None, least=0, most=FOREVER)
    filters = {"type": types[0]} if len(types) == 1 else {}
    return Asked(
        query=call.among(request.query_params.get("project"), statuses=tuple(statuses), **filters),
        limit=min(http.whole(request, "limit", PAGE, least=1, most=FOREVER), LARGEST_PAGE),
        types=types,
        created=interval(request.query_params.get("datetime") or "../.."),
        ran=None if least is most is None else (least or 0, FOREVER if most is None else most),
        nothing=bool(kinds) and "process" not in kinds,
    )


async def page(call: Call, asked: Asked, after: str | None) -> tuple[Sequence[Slot], str | None]:
    """The jobs of a page, and where the next one begins. It may have fewer jobs than it may, even
    none, and still a next page: a request reads only so many jobs."""
    if asked.nothing:
        return (), None
    for _ in range(PAGES):
        found = await call.live.list(asked.query, limit=asked.limit, after=after)
        now, after = clock.now_ms(), found.next
        jobs = [slot for slot in found.slots if asked.fits(slot.head, now)]
        if jobs or after is None:
            break
    return jobs, after


FOREVER: Final = 10**12  # seconds
_TIME: Final = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+ -]\d\d:\d\d)"
_INTERVAL: Final = re.compile(f"({_TIME})|({_TIME}|(?:\\.\\.)?)/({_TIME}|(?:\\.\\.)?)", re.ASCII)


def interval(text: str) -> tuple[int, int]:
    """The first and the last millisecond of a time, or of an interval with open ends."""
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise bad_time()
    first, last = (found[1], found[1]) if found[1] else (found[2], found[3])
    begins, ends = milliseconds(first, 0), milliseconds(last, FOREVER * 1000)
    if begins > ends:
        raise bad_time()
    return begins, ends


def milliseconds(text: str, otherwise: int) -> int:
    if text in ("", ".."):
        return otherwise
    try:  # a plus sign that is not encoded arrives as a space
        time = datetime.fromisoformat(text.upper().replace(" ", "+"))
    except ValueError:
        raise bad_time() from None
    return (time - EPOCH) // timedelta(milliseconds=1)


EPOCH: Final = datetime.fromtimestamp(0, UTC)


def bad_time() -> Invalid:
    return http.bad_query("datetime", "a time like 2026-01-31T12:00:00Z, or an interval of two")


def address(call: Call, after: str | None) -> str:
    """Of a page of this list."""
    asked = [it for it in call.request.query_params.multi_items() if it[0] != "after"]
    asked += [("after", after)] if after else []
    if TOKEN in call.request.scope:
        asked.append(("token", call.request.scope[TOKEN]))
    path = call.live.settings.base_path + JOBS
    return f"{path}?{urlencode(asked)}" if asked else path


FILTERED: Final = (
    Parameter("type", TEXT, "`process`: all jobs are."),
    Parameter("processID", TEXT, "Only jobs of these types. Use commas."),
    Parameter("status", TEXT, f"Only jobs in these states: {', '.join(WORDS.values())}."),
    Parameter("datetime", TEXT, "Only jobs created then: a time, or `FROM/TO`; `..` is open."),
    Parameter("minDuration", whole(0), "Only jobs that ran for at least so many seconds."),
    Parameter("maxDuration", whole(0), "Only jobs that ran for at most so many seconds."),
    Parameter("limit", whole(1), f"Default {PAGE}, at most {LARGEST_PAGE}."),
    Parameter("after", TEXT, "From the `next` link of the page before."),
    PROJECT,
)
