"""What each report does to a job."""

from __future__ import annotations

from typing import Any

import msgspec

from livejobs.core import reducer
from livejobs.core.model import Children, Plan, Step, decode_head, encode_head
from tests.core.folding import NOW, new, read, seen, told


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
