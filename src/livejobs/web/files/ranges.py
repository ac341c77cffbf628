"""Ranges and preconditions of RFC 9110: which bytes of a file to answer with. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from starlette.datastructures import Headers

from livejobs.web.tags import ANY, not_modified, tags

MOST: Final = 16  # ranges; a request for more gets the whole file
LONGEST: Final = 4096  # bytes of a Range header; a longer one is ignored


class Span(NamedTuple):
    """Bytes from `first` up to, not including, `end`."""

    first: int
    end: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.first}-{self.end - 1}/{size}"


class Decision(NamedTuple):
    """The status, and the spans for a 206."""

    status: Literal[200, 206, 304, 412, 416]
    spans: tuple[Span, ...] = ()


def decide(method: str, headers: Headers, *, etag: str, modified: int, size: int) -> Decision:
    """In the order of RFC 9110, 13.2.2. `modified` is in milliseconds."""
    seconds = modified // 1000
    if _failed(headers, etag, seconds):
        return Decision(412)
    if _not_modified(headers, etag, seconds):
        return Decision(304)
    asked = headers.getlist("range")
    if method != "GET" or len(asked) != 1 or not _same(headers, etag):
        return Decision(200)
    spans = parse(asked[0], size)
    if spans is None:
        return Decision(200)
    return Decision(206, spans) if spans else Decision(416)


# Preconditions


def _failed(headers: Headers, etag: str, modified: int) -> bool:
    known = tags(headers.raw, b"if-match")
    if known is not None:
        return not (ANY in known or etag.encode() in known)  # strong: a weak tag matches nothing
    until = _date(headers, "if-unmodified-since")
    return until is not None and modified > until


def _not_modified(headers: Headers, etag: str, modified: int) -> bool:
    known = not_modified(headers.raw, etag.encode())
    if known is not None:
        return known
    since = _date(headers, "if-modified-since")
    return since is not None and modified <= since


def _same(headers: Headers, etag: str) -> bool:
    """Whether the client's part is of this very file (If-Range). A date never proves that: the
    file may have changed twice within a second. Nor may a client that has our tag send a date."""
    values = headers.getlist("if-range")
    return not values or [one.strip() for one in values] == [etag]


_DATE: Final = re.compile(  # the format of today, and two obsolete ones that must be understood
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII,
)


def _date(headers: Headers, name: str) -> int | None:
    """Seconds; None: there is not exactly one valid date, so the header is ignored."""
    values = headers.getlist(name)
    if len(values) != 1 or not _DATE.fullmatch(values[0]):
        return None
    try:
        return int(parsedate_to_datetime(values[0]).replace(tzinfo=UTC).timestamp())
    except ValueError:  # the 31st of February
        return None


def http_date(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)


# Ranges

_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)\Z", re.ASCII)


def parse(header: str, size: int) -> tuple[Span, ...] | None:
    """The requested spans, overlapping ones joined; () if none can be satisfied. None: the header
    is ignored, as its unit or syntax is unknown, it asks for too much, or the file is empty (some
    clients ask for a range of whatever there is)."""
    unit, _, rest = header.partition("=")
    if unit.lower() != "bytes" or len(header) > LONGEST or not size:
        return None
    asked: list[Span] = []
    for part in rest.split(","):
        spec = part.strip(" \t")
        if not spec:
            continue
        span = _span(spec, size)
        if span is None:
            return None
        asked.append(span)
    if not asked:
        return None
    spans = _joined([span for span in asked if span.first < span.end])
    return spans if len(spans) <= MOST else None


def _span(spec: str, size: int) -> Span | None:
    """Empty if it begins past the end; None if it is malformed."""
    found = _SPEC.match(spec)
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return Span(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    end = min(int(last) + 1, size) if last else size
    return Span(int(first), max(int(first), end)) if int(first) < size else Span(size, size)


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans that neither overlap nor touch. Their order is kept if none had to be joined."""
    in_order: list[Span] = []
    for span in sorted(spans):
        if in_order and span.first <= in_order[-1].end:
            in_order[-1] = Span(in_order[-1].first, max(in_order[-1].end, span.end))
        else:
            in_order.append(span)
    return tuple(spans) if len(in_order) == len(spans) else tuple(in_order)
