"""Which bytes an answer carries, against a model that has them in a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from livejobs.web.files.ranges import LONGEST, MOST, Span, decide, http_date, parse

ETAG = '"01a2,b"'
MODIFIED = datetime(2024, 2, 29, 12, 30, 1, tzinfo=UTC)
SECONDS = int(MODIFIED.timestamp())

# Ranges

positions = st.integers(0, 70) | st.sampled_from([0, 2**63, 2**64, 10**30, 10**400])
specs = st.one_of(
    st.tuples(positions, positions).map(lambda it: f"{it[0]}-{it[1]}"),
    positions.map(lambda it: f"{it}-"),
    positions.map(lambda it: f"-{it}"),
    st.sampled_from(["", " ", "-", "--1", "1", "a-b", "0x1-2", "+1-2", "00-007"]),
    st.sampled_from(["²-3", "٣-٤", "1 -2"]),
)
proper = st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda it: f"{it[0]}-{sum(it)}")
separators = st.sampled_from([",", ", ", " ,", ",,", "\t,\t", ", ,"])
units = st.sampled_from(["bytes=", "Bytes=", "BYTES="]) | st.sampled_from(
    ["bytes =", " bytes=", "bytes", "items=", "byte\u017f=", "", "bytes==", "bytes=bytes="]
)


def joined(one: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    several = st.lists(one, max_size=most)
    return st.builds(str.join, separators, several)


ranges = st.one_of(
    st.builds(str.__add__, units, joined(specs, 4)),
    st.builds(lambda rest: "bytes=" + rest, joined(proper, 40)),
    st.text("bytes=0123456789-, \t²٣", max_size=20),
    st.text(max_size=20),
)


def model(said: str, size: int) -> list[list[int]] | None:
    """The positions each range asks for, of those there are; None if the header says nothing."""
    if size == 0 or len(said) > LONGEST or not said.lower().startswith("bytes="):
        return None
    asked = [part for part in (it.strip(" \t") for it in said[6:].split(",")) if part]
    if not asked or any(not re.fullmatch("[0-9]+-[0-9]*|-[0-9]+", it) for it in asked):
        return None
    found = []
    for first, last in (it.split("-") for it in asked):
        if first and last and int(first) > int(last):
            return None
        least = int(first) if first else size - int(last)
        most = int(last) if first and last else size
        found.append([at for at in range(size) if least <= at <= most])
    return found


def runs(positions: set[int]) -> int:
    return sum(at - 1 not in positions for at in positions)


@given(ranges, st.integers(0, 60))
@example("bytes=0-9,99999-", 60)
@example("bytes=-0", 60)
@example("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2)), 60)  # too long to look at
@example("bytes=" + ",".join(["0-59"] * 800), 60)
@example("bytes=" + "9" * 4000 + "-", 60)
def test_the_spans_are_the_bytes_asked_for(said: str, size: int) -> None:
    asked = model(said, size)
    spans = parse(said, size)
    if asked is None:
        assert spans is None
        return
    wanted = set().union(*asked)
    if runs(wanted) > MOST:
        assert spans is None
        return
    assert spans is not None
    given = [list(range(span.first, span.end)) for span in spans]
    assert sorted(at for some in given for at in some) == sorted(wanted)
    assert len(given) == runs(wanted)
    apart = [some for some in asked if some]
    if len(apart) == len(given):
        assert given == apart  # in the order asked for


@pytest.mark.parametrize("size", [1, 10**6, 2**53])
def test_sizes_of_any_magnitude_are_counted_to_the_byte(size: int) -> None:
    assert parse(f"bytes={size - 1}-", size) == (Span(size - 1, size),)
    assert parse(f"bytes={size}-", size) == ()
    assert parse(f"bytes=-{size + 1}", size) == (Span(0, size),)
    assert Span(0, size).content_range(size) == f"bytes 0-{size - 1}/{size}"


def test_too_many_ranges_are_ignored() -> None:
    for pieces, taken in ((MOST, True), (MOST + 1, False), (1000, False)):
        said = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2 * pieces, 2))
        assert (parse(said, 10**6) is not None) == taken


# Preconditions


class Tags(NamedTuple):
    """Values of If-Match or If-None-Match, and whether they name our file."""

    values: list[str]
    strongly: bool
    weakly: bool


OTHERS = ['"other"', 'W/"other"', '""', '"01a2"', '"b"', '"*"', '"a b*c"', "b*", "01a2,b", 'w/"x"']


@st.composite
def tags(draw: st.DrawFn) -> Tags:
    if draw(st.integers(0, 4)) == 0:
        return Tags([draw(st.sampled_from(["*", " *", "*\t"]))], strongly=True, weakly=True)
    some = draw(st.lists(st.sampled_from([*OTHERS, ETAG, "W/" + ETAG]), max_size=4))
    at = draw(st.integers(0, len(some)))
    comma = draw(st.sampled_from([",", ", ", " ,\t", ", ,"]))
    values = [comma.join(some[:at]), comma.join(some[at:])] if at else [comma.join(some)]
    return Tags(values, ETAG in some, ETAG in some or "W/" + ETAG in some)


class Date(NamedTuple):
    values: list[str]
    seconds: int | None  # None: it is to be ignored


FORMATS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
NO_DATES = [
    "", "0", "now", "Thu, 31 Feb 2024 00:00:00 GMT", "Thu, 29 Feb 2024 12:30:01 +0000",
    "Thu, 29 Feb 2024 12:30:01", "29 Feb 2024 12:30:01 GMT", "2024-02-29T12:30:01Z",
    "Thu, 29 Feb 2024 24:00:00 GMT", ETAG, "x" * 5000,
    "Thu, ٢٩ Feb 2024 12:30:01 GMT",
]  # fmt: skip


@st.composite
def dates(draw: st.DrawFn) -> Date:
    away = draw(st.sampled_from([0, 0, 1, -1, 86_400, -86_400, 10**8]))
    date = datetime.fromtimestamp(SECONDS + away, UTC)
    good = date.strftime(draw(st.sampled_from(FORMATS)))
    bad = draw(st.sampled_from(NO_DATES))
    return draw(
        st.sampled_from(
            [Date([good], SECONDS + away)] * 4 + [Date([bad], None), Date([good, good], None)]
        )
    )


class Same(NamedTuple):
    """Values of If-Range, and whether they are true of our file."""

    values: list[str]
    true: bool


sames = st.one_of(
    dates().map(lambda it: Same(it.values, it.values == [ETAG])),
    st.sampled_from(
        [Same([ETAG], True), Same(["W/" + ETAG], False), Same(['"other"'], False),
         Same([ETAG, ETAG], False), Same([f"{ETAG}, {ETAG}"], False), Same(["*"], False),
         Same([""], False)]
    ),
)  # fmt: skip


def lines(**fields: Tags | Date | Same | None) -> Iterator[tuple[bytes, bytes]]:
    for name, field in fields.items():
        for one in field.values if field is not None else ():
            yield name.replace("_", "-").encode(), one.encode("latin-1", "replace")


@given(
    st.sampled_from(["GET", "HEAD"]),
    st.none() | tags(),
    st.none() | dates(),
    st.none() | tags(),
    st.none() | dates(),
    st.none() | sames,
    st.sampled_from([None, "bytes=0-3", "bytes=4-1", "bytes=99-", "items=0-3"]),
    st.integers(0, 999),
)
def test_preconditions_are_evaluated_in_their_order(
    method: str,
    match: Tags | None,
    unmodified: Date | None,
    none_match: Tags | None,
    modified: Date | None,
    same: Same | None,
    asked: str | None,
    ms: int,
) -> None:
    raw = [
        *lines(if_range=same, if_modified_since=modified, if_none_match=none_match),
        *lines(if_unmodified_since=unmodified, if_match=match),
        *([] if asked is None else [(b"range", asked.encode())]),
    ]
    when: dict[str, Any] = {"etag": ETAG, "modified": SECONDS * 1000 + ms, "size": 10}
    decision = decide(method, Headers(raw=raw), **when)
    assert decision.status == status(method, match, unmodified, none_match, modified, same, asked)
    assert decision.spans == ((Span(0, 4),) if decision.status == 206 else ())


def status(
    method: str,
    match: Tags | None,
    unmodified: Date | None,
    none_match: Tags | None,
    modified: Date | None,
    same: Same | None,
    asked: str | None,
) -> int:
    """RFC 9110, 13.2.2, step by step."""
    if match is not None:
        if not match.strongly:
            return 412
    elif unmodified is not None and (unmodified.seconds or SECONDS) < SECONDS:
        return 412
    if none_match is not None:
        if none_match.weakly:
            return 304
    elif modified is not None and (modified.seconds or 0) >= SECONDS:
        return 304
    if method == "GET" and asked is not None and (same is None or same.true):
        return {"bytes=0-3": 206, "bytes=99-": 416}.get(asked, 200)
    return 200


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_a_malformed_tag_matches_nothing(said: str) -> None:
    if said.strip() == "*" or ETAG in said:
        return
    at: dict[str, Any] = {"etag": ETAG, "modified": 0, "size": 10}
    assert decide("GET", Headers({"if-match": said}), **at).status == 412
    assert decide("GET", Headers({"if-none-match": said}), **at).status == 200


def test_two_range_headers_are_ignored() -> None:
    twice = Headers(raw=[(b"range", b"bytes=0-1"), (b"range", b"bytes=2-3")])
    assert decide("GET", twice, etag=ETAG, modified=0, size=10).status == 200


def test_a_date_never_proves_that_a_part_is_of_this_file() -> None:
    """Two files may have had the same name in one second. A tag proves it, and we send one."""
    headers = Headers({"range": "bytes=0-0", "if-range": http_date(SECONDS * 1000)})
    assert decide("GET", headers, etag=ETAG, modified=SECONDS * 1000, size=10).status == 200


@given(st.integers(0, 4_000_000_000_000))
def test_the_date_we_say_is_the_date_we_understand(ms: int) -> None:
    said = http_date(ms)
    assert said == format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)
    headers = Headers({"if-modified-since": said})
    assert decide("GET", headers, etag=ETAG, modified=ms, size=10).status == 304
    assert decide("GET", headers, etag=ETAG, modified=ms + 1000, size=10).status == 200


def test_joined_spans_never_touch() -> None:
    spans: Sequence[Span] = parse("bytes=8-9,0-1,2-3,20-", 60) or ()
    assert spans == (Span(0, 4), Span(8, 10), Span(20, 60))
    assert all(one.end < other.first for one, other in pairwise(spans))
