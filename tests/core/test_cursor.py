"""Cursors: text and position are one and the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.core.cursor import Cursor, parse

cursors = st.builds(
    Cursor, st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), st.integers(0, 10**18 - 1)
)


@given(cursors)
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor) -> None:
    assert parse(str(cursor)) == cursor


@given(st.text() | cursors.flatmap(lambda c: st.sampled_from([f"{c}{x}" for x in "\n .0x"])))
def test_what_reads_as_a_cursor_is_written_the_same_again(text: str) -> None:
    cursor = parse(text)
    assert cursor is None or str(cursor) == text


@given(cursors)
def test_a_cursor_fits_an_event_id_that_needs_no_preflight(cursor: Cursor) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(cursor))


@pytest.mark.parametrize(
    "text",
    ["", ".", "a", "a.", ".1", "a.b", "a.-1", "a.01", "a.1.2", "a.1 ", " a.1", "a.1\n", "a.+1",
     "ä.1", "a.\u0661", "a." + "9" * 19, "a" * 41 + ".1", "a.1\0"],
)  # fmt: skip
def test_what_was_never_a_cursor_is_none(text: str) -> None:
    assert parse(text) is None
