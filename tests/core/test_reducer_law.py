"""The fold keeps its law for any reports, in any order, at any time."""

from __future__ import annotations

from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.model import (
    FINISHED,
    KINDS,
    STATUSES,
    Entry,
    File,
    Head,
    decode_head,
    encode_head,
)
from livejobs.core.reducer import MOVES, Finished
from tests.core.folding import ENDS, NOW, new, read, seen, told
from tests.support.examples import examples
from tests.support.strategies import going_on, new_jobs, wire_reports


def without_rate(head: Head) -> bytes:
    """The rate takes the reports of one call as one sample, so it depends on how they are sent."""
    progress = replace(head.progress, pace=None, rate=None, eta=None)
    return encode_head(replace(head, progress=progress))


def by_the_table(head: Head, report: dict[str, Any]) -> Any:
    """The status after a report."""
    status = MOVES[head.status, "report"]
    event = report["type"]
    if event == "retry" and head.cancel_requested:
        event = "cancelled"
    return MOVES.get((status, event), status)


class AnyWorker(RuleBasedStateMachine):
    """A job that gets any report at any time, beside the simplest model of it."""

    @initialize(job=new_jobs)
    def create(self, job: say.NewJob) -> None:
        self.now = NOW
        self.head = reducer.create(job, id="j", project="default", owner="me", now=self.now)
        self.entries: list[Entry] = []
        self.highest: dict[str, int] = {}
        self.children = dict.fromkeys(STATUSES, 0)
        self.attempts = 1
        self.ended: Head | None = None

    @rule(by=st.sampled_from([0, 1, 49, 1000, 3_600_000, 10**9, -1, -3_600_000, -(10**9)]))
    def time_passes_or_is_set_back(self, by: int) -> None:
        self.now += by

    @rule(reports=st.lists(wire_reports, min_size=1, max_size=4))
    def report(self, reports: list[dict[str, Any]]) -> None:
        before, entries = self.head, self.entries
        want = self.expected(reports)
        if want is None:
            with pytest.raises(Finished):
                reducer.fold(before, read(*reports), self.now)
            return
        folded = reducer.fold(before, read(*reports), self.now)
        assert folded.accepted == len(want)
        assert (folded.head is before) == (not want)
        self.head = self.one_by_one(before, want)
        assert without_rate(folded.head) == without_rate(self.head)
        self.entries = [*entries, *folded.entries]

    def expected(self, reports: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """The reports that count; None if one of them comes after the end."""
        highest, status, counting = dict(self.highest), self.head.status, []
        for report in reports:
            producer, n = report.get("producer", ""), report.get("n")
            if n is not None and n <= highest.get(producer, 0):
                continue
            if status in FINISHED:
                return None
            status = self.next_status(report)
            counting.append(report)
            if n is not None:
                highest[producer] = n
        self.highest = highest
        return counting

    def next_status(self, report: dict[str, Any]) -> Any:
        if report["type"] == "retry":
            return "cancelled" if self.head.cancel_requested else "queued"
        return ENDS.get(report["type"], "running")

    def one_by_one(self, head: Head, reports: list[dict[str, Any]]) -> Head:
        for report in reports:
            after = told(head, report, now=self.now)
            assert after.status == self.next_status(report) == by_the_table(head, report)
            self.attempts += after.status == "queued"
            head = after
        return head

    @rule(force=st.booleans())
    def cancel(self, force: bool) -> None:
        if self.head.finished:
            with pytest.raises(Finished):
                reducer.cancel(self.head, self.now, force=force)
            return
        ends = force or self.head.status == "queued"
        expected = "cancelled" if ends else "running"
        assert MOVES[self.head.status, "force_cancel" if force else "cancel"] == expected
        self.head = reducer.cancel(self.head, self.now, force=force)
        assert (self.head.status, self.head.cancel_requested) == (expected, True)

    @rule()
    def fall_silent(self) -> None:
        running = self.head.status == "running"
        self.head = reducer.stall(self.head, self.now)
        assert self.head.stalled == running

    @rule()
    def be_answered(self) -> None:
        was = self.head
        if was.waiting is None:
            with pytest.raises(reducer.NotWaiting):
                reducer.answer(was, None, 1, "ann", self.now)
            return
        assert was.status == "running"
        self.head = reducer.answer(was, was.waiting.n, 1, "ann", self.now)

    @rule()
    def be_lost(self) -> None:
        was = self.head
        self.head = reducer.lose(was, self.now, 3600)
        if was.status == "running" and was.waiting is None:
            assert self.head.status == MOVES["running", "lose"]
            assert self.head.error is not None
            assert (self.head.status, self.head.error.code) == ("failed", "lost")
        else:
            assert self.head is was

    @rule(name=st.sampled_from(["a", "b"]))
    def be_given_a_file(self, name: str) -> None:
        file = File(name, 1, "text/plain")
        if self.head.finished:
            with pytest.raises(Finished):
                reducer.take_file(self.head, file, self.now)
            return
        was, self.head = self.head, reducer.take_file(self.head, file, self.now)
        assert self.head.status == MOVES[was.status, "file"] == was.status

    @rule(after=st.sampled_from(STATUSES))
    def gain_a_child(self, after: Any) -> None:
        self.count_child(None, after)

    @precondition(lambda self: any(self.children.values()))
    @rule(data=st.data(), after=st.sampled_from(STATUSES))
    def have_a_child_move(self, data: st.DataObject, after: Any) -> None:
        there = [status for status in STATUSES if self.children[status]]
        self.count_child(data.draw(st.sampled_from(there)), after)

    def count_child(self, before: Any, after: Any) -> None:
        if not self.head.finished:
            self.children[after] += 1
            if before is not None:
                self.children[before] -= 1
        self.head = reducer.child_moved(self.head, before, after, self.now)

    @rule()
    def be_written_and_read_back(self) -> None:
        again = decode_head(encode_head(self.head))
        assert again == self.head
        self.head = again

    @invariant()
    def a_finished_job_stays_as_it_ended(self) -> None:
        if self.ended is not None:
            assert self.head == self.ended
        elif self.head.finished:
            self.ended = self.head

    @invariant()
    def entries_are_counted_and_numbered_without_gaps(self) -> None:
        for kind in KINDS:
            numbers = [entry.n for entry in self.entries if entry.kind == kind]
            assert numbers == [*range(1, self.head.total(kind) + 1)]

    @invariant()
    def producers_and_attempts_and_children_are_as_told(self) -> None:
        assert self.head.producers == self.highest
        assert self.head.attempt == self.attempts
        counts: dict[str, int] = seen(self.head)["children"]
        assert counts == self.children | {"total": sum(self.children.values())}

    @invariant()
    def what_is_seen_makes_sense(self) -> None:
        job = seen(self.head)
        percents = [job["progress"]["percent"], *(step["percent"] for step in job["steps"])]
        assert all(p is None or (type(p) is int and 0 <= p <= 100) for p in percents)
        assert job["status"] != "succeeded" or percents[0] == 100
        amounts = [job["progress"]["rate"], job["progress"]["eta_seconds"], *job["timing"].values()]
        assert all(x is None or (isfinite(x) and x >= 0) for x in amounts)
        assert all(isfinite(x) and abs(x) <= say.SAFE for x in job["counters"].values())

    @invariant()
    def each_status_has_its_times(self) -> None:
        job = seen(self.head)
        assert (job["completed_at"] is not None) == (job["status"] in FINISHED)
        assert (job["started_at"] is not None) or job["status"] in ("queued", "cancelled")
        assert not job["stalled"] or job["status"] == "running"
        if self.head.finished:
            assert not any(step["status"] == "running" for step in job["steps"])
            assert (job["progress"]["rate"], job["progress"]["eta_seconds"]) == (None, None)


AnyWorker.TestCase.settings = settings(
    max_examples=examples(30), stateful_step_count=25, deadline=None
)
TestAnyWorker = AnyWorker.TestCase


@given(st.lists(going_on, max_size=6))
@settings(max_examples=examples(50), deadline=None)
def test_a_numbered_report_counts_once_however_often_it_is_sent(
    between: list[dict[str, Any]],
) -> None:
    one = {"type": "count", "counters": {"sure": 1}, "producer": "worker"}
    numbered = [{**one, "n": n} for n in range(1, 4)]
    head = told(new(), numbered[0], *between, *numbered[:2], *numbered)
    again = reducer.fold(head, read(*numbered), NOW)
    assert (again.head, again.accepted, again.entries) == (head, 0, ())
    assert head.counters["sure"] == 3
