"""A slot: its encoded forms live until the next change, and what nobody holds can be dropped."""

from __future__ import annotations

import pytest
from msgspec import Raw

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.model import Entry, Stored
from livejobs.jobs import state
from livejobs.jobs.entries import Tail, Whole
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot

KEY = "key"
RESULT = Entry("results", 1, 0, Raw(b'{"n":1}'))


def slot_of(id: str = "a") -> Slot:
    head = reducer.create(say.NewJob(), id=id, project="default", owner="me", now=0)
    return Slot(Stored(head, 1), "epoch", "", Tail())


def with_answer(slot: Slot, size: int = 10) -> Slot:
    slot.current().keep(KEY, b"answer", size)
    return slot


def held(slot: Slot) -> tuple[bool, bool]:
    """Whether the tail, and all entries, are in memory."""
    return slot.tail is not None, slot.whole is not None


def test_forms_are_made_once_until_the_job_changes() -> None:
    slot = slot_of()
    first = slot.state_json(0)
    assert slot.state_json(1) is first
    slot.take(slot.head, 2, ())
    assert slot.state_json(1) != first


def test_a_change_drops_the_answers_of_the_last_state() -> None:
    slot = with_answer(slot_of())
    assert slot.current().answers == {KEY: b"answer"}
    slot.take(slot.head, 2, ())
    assert (slot.current().answers, slot.size) == ({}, 0)


def test_a_heartbeat_drops_the_answers_though_the_cursor_stays() -> None:
    slot = with_answer(slot_of())
    slot.note_heartbeat(5)
    assert slot.current().answers == {}
    assert slot.cursor.seq == 1
    assert b'"heartbeat_at":"1970-01-01T00:00:00.005Z"' in slot.state_json(5)


def test_a_move_of_the_queue_drops_the_answers_when_the_next_reader_asks() -> None:
    lanes, slot = Lanes(), slot_of()
    first = slot_of("b")
    first.lane, first.ticket = lanes.join(first.head)
    slot.lane, slot.ticket = lanes.join(slot.head)
    with_answer(slot)
    tag = slot.tag(0)
    lanes.leave(first.lane, first.ticket, 0, started=True)
    assert slot.current().answers == {}
    assert (tag, slot.tag(0)) == ("epoch.1+2.2", "epoch.1+1.1")


def test_an_answer_that_two_readers_made_at_once_counts_once() -> None:
    slot = with_answer(with_answer(slot_of()))
    assert slot.size == 10


def test_a_slot_without_holders_drops_everything_that_can_be_read_again() -> None:
    slot = with_answer(slot_of())
    slot.whole = Whole()
    slot.take(slot.head, 2, (RESULT,))
    with_answer(slot)
    size = slot.size
    assert slot.let_go() == size > 10
    assert (held(slot), slot.forms, slot.size) == ((False, False), None, 0)


def test_a_viewer_keeps_the_tail_and_a_face_keeps_all_entries() -> None:
    slot = with_answer(slot_of())
    slot.whole = Whole()
    with slot.held_whole():
        slot.let_go()
        assert (held(slot), slot.size) == ((True, True), 10)
    with slot.held():
        state_json = slot.state_json(0)
        slot.let_go()
        assert (held(slot), slot.size) == ((True, False), 0)
        assert slot.state_json(0) is state_json
    assert (slot.holders, slot.whole_holders) == (0, 0)


def test_trim_drops_the_entries_of_the_largest_jobs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "ENTRY_BYTES_KEPT", 100)
    registry = Registry()
    small, large = with_answer(registry.add(slot_of("a")), 60), registry.add(slot_of("b"))
    with_answer(large, 101)
    registry.trim()
    assert (small.size, large.size) == (60, 0)
