"""The fold keeps its law for any reports, in any order, at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any, NoReturn, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from livejobs.core import reducer, wire
from livejobs.core import reports as say
from livejobs.core.cursor import Cursor
from livejobs.core.model import (
    FINISHED,
    KINDS,
    STATUSES,
    Children,
    Entry,
    File,
    Head,
    Plan,
    Status,
    Step,
    decode_head,
    encode_head,
)
from livejobs.core.reducer import MOVES, Event, Finished
from tests.support.examples import examples
from tests.support.strategies import going_on, new_jobs, wire_reports

NOW = 1_767_323_045_678
BOUNDS = say.Bounds()
CURSOR = Cursor("k3f9", 17)
ENDS = {"succeed": "succeeded", "fail": "failed", "cancelled": "cancelled"}


def new(*, now: int = NOW, **fields: Any) -> Head:
    return reducer.create(
        say.decode_new_job(msgspec.json.encode(fields)),
        id="j",
        project="default",
        owner="me",
        now=now,
    )


def read(*reports: dict[str, Any]) -> list[say.AnyReport]:
    return say.decode_body(msgspec.json.encode(reports), BOUNDS)


def told(head: Head, *reports: dict[str, Any], now: int = NOW) -> Head:
    return reducer.fold(head, read(*reports), now).head if reports else head


def seen(head: Head) -> Any:
    """The job as clients read it. The reader refuses NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    shown = wire.encode(wire.with_entries(wire.fields(head, CURSOR), [], []))
    return json.loads(shown, parse_constant=refuse)


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


def test_the_table_of_moves_ends_where_a_job_has_finished() -> None:
    assert not FINISHED & {status for status, _ in MOVES}
    assert set(MOVES.values()) >= FINISHED


FROM_A_WORKER: dict[Event, dict[str, Any]] = {
    "report": {"type": "heartbeat"},
    "retry": {"type": "retry"},
    "succeed": {"type": "succeed"},
    "fail": {"type": "fail", "message": "m"},
    "cancelled": {"type": "cancelled"},
}
FROM_OTHERS: dict[Event, Callable[[Head], Head]] = {
    "cancel": lambda head: reducer.cancel(head, NOW),
    "force_cancel": lambda head: reducer.cancel(head, NOW, force=True),
    "stall": lambda head: reducer.stall(head, NOW),
    "lose": lambda head: reducer.lose(head, NOW, 3600),
    "file": lambda head: reducer.take_file(head, File("f", 1, "text/plain"), NOW),
}


def in_status(status: Status) -> Head:
    reports: dict[Status, list[dict[str, Any]]] = {
        "queued": [],
        "running": [{"type": "start"}],
        "succeeded": [{"type": "succeed"}],
        "failed": [{"type": "fail", "message": "m"}],
        "cancelled": [{"type": "cancelled"}],
    }
    return told(new(), *reports[status])


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("event", FROM_A_WORKER)
def test_a_worker_moves_a_job_as_the_table_says(status: Status, event: Event) -> None:
    head, report = in_status(status), FROM_A_WORKER[event]
    if (status, "report") in MOVES:
        assert told(head, report).status == MOVES[MOVES[status, "report"], event]
    else:
        with pytest.raises(Finished):
            told(head, report)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("event", FROM_OTHERS)
def test_others_move_a_job_as_the_table_says(status: Status, event: Event) -> None:
    head, change = in_status(status), FROM_OTHERS[event]
    if (status, event) in MOVES:
        assert change(head).status == MOVES[status, event]
    elif event in {"stall", "lose"}:  # the sweeper may come too late
        assert change(head) is head
    else:
        with pytest.raises(Finished):
            change(head)


def test_every_event_of_the_table_is_tried_here() -> None:
    assert {event for _, event in MOVES} == {*FROM_A_WORKER, *FROM_OTHERS} == {*get_args(Event)}


def test_the_producer_silent_longest_is_forgotten_when_there_are_too_many() -> None:
    def numbered(producer: int, n: int) -> dict[str, Any]:
        return {"type": "count", "counters": {"c": 1}, "producer": str(producer), "n": n}

    head = told(new(), *(numbered(producer, 1) for producer in range(1000)))
    head = told(head, numbered(0, 2))  # it reports again, so another one is silent longest
    head = decode_head(encode_head(head))  # as after a restart
    head = told(head, numbered(1000, 1), numbered(0, 2), numbered(2, 1))
    assert head.counters["c"] == 1002
    assert len(head.producers) == 1000
    assert "1" not in head.producers


def test_reports_of_one_call_are_one_sample_of_the_rate() -> None:
    first, second = {"type": "progress", "current": 3}, {"type": "progress", "current": 5}
    together = told(new(), first, second).progress.pace
    assert together is not None
    assert (together.value, together.work) == (5, 0)


REPORTS: list[dict[str, Any]] = [
    {"type": "start"},
    {"type": "progress"},
    {"type": "step", "name": "s"},
    {"type": "log", "message": "m"},
    {"type": "result", "value": None},
    {"type": "error", "message": "m"},
    {"type": "count", "counters": {}},
    {"type": "meta", "set": {}},
    {"type": "heartbeat"},
    {"type": "ask", "prompt": "p"},
    {"type": "retry"},
    {"type": "succeed"},
    {"type": "fail", "message": "m"},
    {"type": "cancelled"},
]


def by_type(report: dict[str, Any]) -> str:
    return str(report["type"])


def test_every_type_of_report_is_tried_here() -> None:
    known = {kind.__struct_config__.tag for kind in get_args(say.AnyReport)}
    assert {report["type"] for report in REPORTS} == known


@pytest.mark.parametrize("report", REPORTS, ids=by_type)
@pytest.mark.parametrize("end", [{"type": "succeed"}, {"type": "fail", "message": "x"},
                                 {"type": "cancelled"}], ids=by_type)  # fmt: skip
def test_nothing_moves_a_finished_job(report: dict[str, Any], end: dict[str, Any]) -> None:
    head = told(new(), end)
    with pytest.raises(Finished) as caught:
        told(head, report)
    assert (caught.value.status, caught.value.code) == (409, "job_finished")


@pytest.mark.parametrize("report", REPORTS, ids=by_type)
def test_any_report_starts_a_queued_job(report: dict[str, Any]) -> None:
    head = told(new(), report, now=NOW + 5)
    ended = {"retry": "queued", **ENDS}.get(report["type"], "running")
    assert head.status == ended
    assert head.started_at == (None if report["type"] == "retry" else NOW + 5)


def test_a_batch_with_a_report_after_the_end_changes_nothing() -> None:
    head = new()
    with pytest.raises(Finished):
        told(head, {"type": "succeed"}, {"type": "log", "message": "too late"})
    assert head == new()


def test_a_skipped_number_is_acknowledged_even_after_the_end() -> None:
    end = {"type": "succeed", "producer": "w", "n": 7}
    head = told(new(), end)
    assert reducer.fold(head, read(end, {**end, "n": 3}), NOW) == reducer.Folded(head, (), 0)


def test_producers_count_each_for_themselves_and_gaps_are_fine() -> None:
    one = {"type": "count", "counters": {"x": 1}}
    head = told(new(), {**one, "producer": "a", "n": 5}, {**one, "producer": "b", "n": 1}, one)
    again = told(head, {**one, "producer": "a", "n": 4}, {**one, "producer": "b", "n": 9}, one)
    assert (head.counters, again.counters) == ({"x": 3}, {"x": 5})


def test_the_last_progress_reported_wins() -> None:
    head = told(new(), {"type": "progress", "current": 1, "total": 4})
    assert seen(head)["progress"]["percent"] == 25
    head = told(head, {"type": "progress", "percent": 80.9})
    assert seen(head)["progress"]["percent"] == 80
    head = told(head, {"type": "progress", "message": "still 80"})
    assert seen(head)["progress"]["percent"] == 80
    head = told(head, {"type": "progress", "advance": 1})
    assert seen(head)["progress"] | {"rate": 0, "eta_seconds": 0} == {
        "percent": 50, "current": 2, "total": 4, "unit": None, "message": "still 80",
        "rate": 0, "eta_seconds": 0,
    }  # fmt: skip


def test_an_advance_counts_from_zero_and_adds_to_a_current_sent_with_it() -> None:
    head = told(new(), {"type": "progress", "advance": 2})
    assert head.progress.current == 2
    head = told(head, {"type": "progress", "current": 10, "advance": 0.5})
    assert head.progress.current == 10.5


def test_a_second_start_without_a_worker_keeps_the_first() -> None:
    head = told(new(), {"type": "start", "worker": {"host": "h"}}, {"type": "start"})
    assert head.worker == {"host": "h"}


def test_rate_and_eta_come_after_a_warm_up_and_go_with_the_end() -> None:
    head = told(new(total=100), {"type": "progress", "current": 0})
    head = told(head, {"type": "progress", "current": 30}, now=NOW + 3000)
    assert (seen(head)["progress"]["rate"], seen(head)["progress"]["eta_seconds"]) == (10, 7)
    head = told(head, {"type": "fail", "message": "x"}, now=NOW + 4000)
    assert seen(head)["progress"]["rate"] is None


def test_steps_make_the_percent_and_have_their_times() -> None:
    head = new(steps=["fetch", {"name": "encode", "title": "Encode", "weight": 3, "total": 8}])
    assert seen(head)["progress"]["percent"] == 0
    head = told(head, {"type": "step", "name": "fetch", "status": "succeeded"}, now=NOW + 1)
    head = told(head, {"type": "step", "name": "encode", "current": 4}, now=NOW + 2)
    head = told(head, {"type": "step", "name": "pack", "status": "pending", "weight": 0})
    job = seen(head)
    assert job["progress"]["percent"] == 62
    assert [step["percent"] for step in job["steps"]] == [100, 50, 0]
    assert job["steps"][1] == {
        "name": "encode", "title": "Encode", "status": "running", "weight": 3, "current": 4,
        "total": 8, "percent": 50, "started_at": "2026-01-02T03:04:05.680Z", "completed_at": None,
    }  # fmt: skip


def test_a_step_that_was_not_planned_is_added_at_the_end() -> None:
    head = told(new(steps=["a"]), {"type": "step", "name": "b", "weight": 0.5})
    assert [(step.name, step.status, step.weight) for step in head.steps] == [
        ("a", "pending", 1),
        ("b", "running", 0.5),
    ]


def test_a_step_that_runs_ends_with_the_job() -> None:
    running = told(new(steps=["a", "b"]), {"type": "step", "name": "a"})
    ends = {"succeed": "succeeded", "fail": "failed", "cancelled": "skipped"}
    for report, status in ends.items():
        message = {"message": "x"} if report == "fail" else {}
        ended = told(running, {"type": report} | message, now=NOW + 9)
        assert [step.status for step in ended.steps] == [status, "pending"]
        assert ended.steps[0].completed_at == NOW + 9


def test_a_step_begun_again_has_not_ended() -> None:
    head = told(new(), {"type": "step", "name": "a", "status": "failed"})
    head = told(head, {"type": "step", "name": "a", "status": "running"})
    assert (head.steps[0].completed_at, head.steps[0].started_at) == (None, NOW)


def test_a_retry_keeps_what_was_kept_and_clears_what_was_begun() -> None:
    head = told(
        new(total=10, unit="files", steps=["a"], meta={"k": 1}),
        {"type": "start", "worker": {"host": "h"}},
        {"type": "progress", "current": 5, "total": 20, "unit": "MB", "message": "half"},
        {"type": "step", "name": "a"},
        {"type": "step", "name": "unplanned"},
        {"type": "count", "counters": {"c": 2}},
        {"type": "meta", "set": {"l": 2}},
        {"type": "log", "message": "x"},
        {"type": "retry", "error": {"message": "flaky", "code": "E1", "detail": [1]}},
        now=NOW + 7,
    )
    job = seen(head)
    assert (job["status"], job["attempt"], job["started_at"]) == ("queued", 2, None)
    assert job["error"] == {"message": "flaky", "code": "E1", "detail": [1]}
    assert (job["counters"], job["meta"]) == ({"c": 2}, {"k": 1, "l": 2})
    assert (job["logs_total"], job["worker"]) == (1, None)
    assert job["progress"]["total"] == 10
    assert (job["progress"]["current"], job["progress"]["message"]) == (None, None)
    assert [(s["name"], s["status"]) for s in job["steps"]] == [("a", "pending")]
    assert seen(told(head, {"type": "start"}))["error"] is None


def test_a_retry_after_a_cancel_was_asked_for_ends_as_cancelled() -> None:
    head = reducer.cancel(told(new(), {"type": "start"}), NOW)
    ended = told(head, {"type": "retry", "error": "again?"})
    assert (ended.status, ended.attempt) == ("cancelled", 1)


def test_counters_add_and_stay_within_exact_numbers() -> None:
    head = told(new(), {"type": "count", "counters": {"a": 2**53, "b": -1.5}})
    head = told(head, {"type": "count", "counters": {"a": 2**53, "b": 0.5}})
    assert head.counters == {"a": 2**53, "b": -1.0}


def test_meta_merges_at_the_top_level_and_null_removes() -> None:
    head = new(meta={"keep": 1, "gone": 2, "deep": {"a": 1}, "null": None})
    head = told(head, {"type": "meta", "set": {"gone": None, "deep": {"b": None}}})
    assert head.meta == {"keep": 1, "deep": {"b": None}, "null": None}


def test_log_lines_keep_their_own_time_in_utc() -> None:
    at = "2026-01-02T05:04:05.678+02:00"
    folded = reducer.fold(
        new(), read({"type": "log", "message": "é", "level": "warning", "source": "s", "at": at}), 0
    )
    [entry] = folded.entries
    assert (entry.kind, entry.n, entry.level) == ("logs", 1, 2)
    assert msgspec.json.decode(entry.value) == {
        "n": 1, "at": "2026-01-02T03:04:05.678Z", "level": "warning", "source": "s", "message": "é",
    }  # fmt: skip


def test_results_and_errors_are_entries_and_the_job_goes_on() -> None:
    folded = reducer.fold(
        new(),
        read(
            {"type": "result", "value": {"id": 1}},
            {"type": "error", "message": "bad", "item": "seg-3", "detail": {"line": 4}},
        ),
        NOW,
    )
    assert folded.head.status == "running"
    assert [msgspec.json.decode(entry.value) for entry in folded.entries] == [
        {"n": 1, "at": "2026-01-02T03:04:05.678Z", "value": {"id": 1}},
        {"n": 1, "at": "2026-01-02T03:04:05.678Z", "message": "bad", "item": "seg-3",
         "detail": {"line": 4}},
    ]  # fmt: skip


def test_a_finished_job_expires_its_ttl_after_its_end() -> None:
    assert told(new(ttl_seconds=60), {"type": "succeed"}, now=NOW).expires_at == NOW + 60_000
    assert told(new(), {"type": "succeed"}).expires_at is None


def test_a_report_ends_a_stall_and_a_cancel_does_not() -> None:
    stalled = reducer.stall(told(new(), {"type": "start"}), NOW)
    assert reducer.cancel(stalled, NOW).stalled
    assert not told(stalled, {"type": "heartbeat"}).stalled


def test_a_cancel_asked_for_again_changes_nothing() -> None:
    asked = reducer.cancel(told(new(), {"type": "start"}), NOW)
    assert reducer.cancel(asked, NOW + 1) is asked


def test_a_parent_that_has_ended_keeps_its_counts() -> None:
    parent = reducer.child_moved(new(), None, "queued", NOW)
    ended = told(parent, {"type": "succeed"})
    assert reducer.child_moved(ended, "queued", "running", NOW) is ended
    assert ended.children == Children(queued=1)


def test_a_child_of_a_job_that_had_the_id_before_is_not_counted() -> None:
    head = new()
    assert reducer.child_moved(head, "running", "succeeded", NOW) is head


def test_a_job_begins_as_it_was_planned() -> None:
    head = new(total=5, unit="MB", steps=["a"], tags=["x", "y", "x"])
    assert head.plan == Plan(5, "MB", (Step("a"),))
    assert (head.tags, head.status, head.attempt) == (("x", "y"), "queued", 1)
