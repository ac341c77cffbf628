"""Which bytes of a file an answer carries: ranges and preconditions of RFC 9110. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from starlette.datastructures import Headers

from livejobs.web.tags import ANY, not_modified, tags

MOST: Final = 16  # ranges; who asks for more gets the whole
LONGEST: Final = 4096  # bytes of a Range header that are looked at: no number of it is too much


class Span(NamedTuple):
    """Bytes from `first` up to, not including, `end`."""

    first: int
    end: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.first}-{self.end - 1}/{size}"


class Decision(NamedTuple):
    """What to answer with; with 206 which spans, with 416 none."""

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
    file may have changed twice within its second. Nor may a client send one that has our tag."""
    said = headers.getlist("if-range")
    return not said or [one.strip() for one in said] == [etag]


_DATE: Final = re.compile(  # the one that is sent today, and two that are to be understood
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII,
)


def _date(headers: Headers, name: str) -> int | None:
    """Seconds; None where there is no one date that can be read: such a header is ignored."""
    said = headers.getlist(name)
    if len(said) != 1 or not _DATE.fullmatch(said[0]):
        return None
    try:
        return int(parsedate_to_datetime(said[0]).replace(tzinfo=UTC).timestamp())
    except ValueError:  # the 31st of February
        return None


def http_date(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)


# Ranges

_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)\Z", re.ASCII)


def parse(said: str, size: int) -> tuple[Span, ...] | None:
    """The spans asked for, overlapping ones joined; () if none can be given, None if this asks
    for nothing we know of, or for too much: then the header is ignored. So it is of an empty
    file: some clients ask for the range of all there is, whatever that may be."""
    unit, _, rest = said.partition("=")
    if unit.lower() != "bytes" or len(said) > LONGEST or not size:
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
    """Empty if it lies past the end; None if it makes no sense."""
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
    """No two that overlap or touch. The order asked for is kept where nothing had to be joined."""
    in_order: list[Span] = []
    for span in sorted(spans):
        if in_order and span.first <= in_order[-1].end:
            in_order[-1] = Span(in_order[-1].first, max(in_order[-1].end, span.end))
        else:
            in_order.append(span)
    return tuple(spans) if len(in_order) == len(spans) else tuple(in_order)
