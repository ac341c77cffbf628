"""How much is kept of a job's entries. Cap's fields and the laws are in core/trimming.py."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.model import Entry, Head, encode_head
from livejobs.core.trimming import PIECES, Cap, trim
from tests.support.examples import examples

NEW = Head(id="a", project="p", owner="o", created_at=1, updated_at=1, queued_at=1)


def logged(head: Head, sizes: Sequence[int], cap: Cap) -> Head:
    first = head.logs_total + 1
    entries = [Entry("logs", n, 1, Raw(b"1" * size)) for n, size in enumerate(sizes, first)]
    return trim(replace(head, logs_total=head.logs_total + len(sizes)), entries, {"logs": cap})


BATCHES = st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=40), max_size=30)
LIMIT = st.none() | st.integers(1, 2000)


@settings(max_examples=examples(200))
@given(BATCHES, LIMIT, LIMIT)
def test_no_more_is_kept_than_the_cap_and_never_much_less(
    batches: list[list[int]], count: int | None, bytes: int | None
) -> None:
    cap, head, sizes = Cap(count, bytes), NEW, list[int]()
    for batch in batches:
        before, head = head, logged(head, batch, cap)
        sizes += batch
        removed = head.removed("logs")
        assert before.removed("logs") <= removed < len(sizes)
        kept = sizes[removed:]
        assert not cap.exceeded(len(kept), sum(kept)) or len(head.kept["logs"].pieces) == 1
        if removed and count is not None and bytes is None:
            assert len(kept) + ceil(count / PIECES) > count
        assert len(encode_head(head)) < 2000  # the bound of what the head remembers


def test_lines_go_in_pieces_of_a_sixteenth() -> None:
    head, cap, cuts = NEW, Cap(count=1600), set[int]()
    for _ in range(500):
        head = logged(head, [5] * 10, cap)
        cuts.add(head.removed("logs"))
    assert sorted(cuts) == list(range(0, 5000 - 1600 + 1, 100))


def test_the_newest_line_stays_even_if_it_alone_is_too_large() -> None:
    head = logged(NEW, [5, 5, 5], Cap(bytes=10))
    assert head.removed("logs") == 1
    assert logged(head, [500], Cap(bytes=10)).removed("logs") == 3


def test_a_limit_that_is_set_later_removes_what_came_before_it_first() -> None:
    head = replace(NEW, logs_total=50)
    head = logged(head, [1] * 5, Cap(count=60))
    assert head.removed("logs") == 0
    assert logged(head, [1] * 6, Cap(count=60)).removed("logs") == 50


@pytest.mark.parametrize("cap", [Cap(), Cap(count=10), Cap(bytes=10)])
def test_other_kinds_are_left_alone(cap: Cap) -> None:
    entries = [Entry("results", n, 0, Raw(b"1" * 9)) for n in range(1, 50)]
    head = replace(NEW, results_total=49)
    assert trim(head, entries, {"logs": cap}) is head
    assert trim(head, (), {"results": cap}) is head
