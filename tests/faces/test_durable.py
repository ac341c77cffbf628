"""The offsets and the events of Durable Streams, without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from livejobs import clock
from livejobs.core.cursor import Cursor
from livejobs.core.errors import BadCursor
from livejobs.core.model import Head, Stored
from livejobs.faces.durable import Events, Gone, ahead_of, cursor, form, offset_of, position
from livejobs.jobs.state import Slot
from livejobs.live.form import Step
from tests.faces.jobs import created

HEAD = created().head
numbers = st.integers(0, 10**16 - 1)


def slot(head: Head = HEAD, epoch: str = "k3f9") -> Slot:
    return Slot(Stored(head, 1), epoch, "", None)


def with_logs(total: int) -> Head:
    return replace(HEAD, logs_total=total)


# Offsets


@given(numbers, numbers)
def test_offsets_of_a_stream_sort_as_text(one: int, other: int) -> None:
    first, second = (offset_of("k3f9", HEAD, n) for n in (one, other))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(numbers, st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_an_offset_is_found_again(n: int, epoch: str) -> None:
    there = slot(with_logs(10**16 - 1), epoch)
    assert position(offset_of(epoch, HEAD, n), there, "logs") == n


def test_the_two_words_are_the_start_and_the_end() -> None:
    assert [position(text, slot(with_logs(7)), "logs") for text in ("-1", "now")] == [0, 7]


@given(st.text() | st.from_regex(r"[^_]{1,5}\.[0-9a-f]+_[0-9]{15,17}"))
def test_any_other_text_is_no_offset_of_this_stream(text: str) -> None:
    with pytest.raises((BadCursor, Gone)):
        position(text, slot(), "logs")


def test_an_offset_of_another_database_or_of_an_earlier_job_is_gone() -> None:
    offset = offset_of("k3f9", HEAD, 0)
    later = replace(HEAD, created_at=HEAD.created_at + 1)
    for there in (slot(epoch="k3fa"), slot(later)):
        with pytest.raises(Gone):
            position(offset, there, "logs")


def test_an_offset_past_the_end_is_refused() -> None:
    with pytest.raises(BadCursor):
        position(offset_of("k3f9", HEAD, 8), slot(with_logs(7)), "logs")


# Cursors


@given(st.integers(0, 10**12), st.integers(0, 4 * 10**12))
def test_a_cursor_grows_for_every_client(known: int, passed: int) -> None:
    now = 1_728_432_000_000 + passed
    given_ = int(cursor(now, ahead_of(str(known), now)))
    assert given_ > known
    assert given_ >= int(cursor(now, 0))


@given(st.text(max_size=20))
def test_a_cursor_of_another_kind_is_ignored(known: str) -> None:
    now = clock.now_ms()
    assert int(cursor(now, ahead_of(known, now))) >= int(cursor(now, 0))


# Events


def events(step: Step) -> list[tuple[str, Any]]:
    found = []
    for event in Events("results", 0)(step).decode().split("\n\n")[:-1]:
        name, _, data = event.partition("\ndata:")
        found.append((name.removeprefix("event: "), json.loads(data)))
    return found


def step(*reports: dict[str, Any], complete: bool = True) -> Step:
    told = created().later(5, *reports)
    results = tuple(entry for entry in told.entries if entry.kind == "results")
    return Step(None, told.head, results, complete, Cursor("k3f9", 2), "")


def test_a_result_is_its_value() -> None:
    value = {"deep": ["\n", "\u2028", None], "n": 1}
    (name, data), (then, control) = events(step({"type": "result", "value": value}))
    assert (name, data, then) == ("data", [value], "control")
    assert control["streamNextOffset"] == offset_of("k3f9", HEAD, 1)
    assert control["upToDate"] is True
    assert control["streamCursor"].isdigit()
    assert "streamClosed" not in control


def test_more_that_follows_is_not_the_end() -> None:
    reports = ({"type": "result", "value": 1}, {"type": "succeed"})
    _, (_, control) = events(step(*reports, complete=False))
    assert control.keys() == {"streamNextOffset", "streamCursor"}


def test_the_end_closes_the_stream_with_or_without_a_message() -> None:
    for reports, names in (
        (({"type": "result", "value": 1}, {"type": "succeed"}), ["data", "control"]),
        (({"type": "succeed"},), ["control"]),
    ):
        found = events(step(*reports))
        assert [name for name, _ in found] == names
        control = found[-1][1]
        assert (control["upToDate"], control["streamClosed"]) == (True, True)
        assert "streamCursor" not in control


def test_equal_forms_are_one_so_that_viewers_share_messages() -> None:
    assert form("logs") == form("logs", 0)
    assert hash(form("logs")) == hash(form("logs", 0))
    assert form("logs") != form("logs", 1) != form("results", 1)
