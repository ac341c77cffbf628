"""The job as JSON has the names of the contract, and a head reads back as it was written."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from livejobs.core import reducer, wire
from livejobs.core import reports as say
from livejobs.core.cursor import Cursor
from livejobs.core.model import File, Head, Question, decode_head, encode_head
from livejobs.core.uuid7 import uuid7
from tests.support.examples import examples
from tests.support.strategies import new_jobs, wire_reports

NOW = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z
CURSOR = Cursor("k3f9", 17)

# The example of the contract, section 3: every name, at every level.
NAMES = {
    "": "id project type title owner status stalled cancel_requested attempt progress steps "
    "counters meta tags parent children results results_total errors errors_total logs_total "
    "error result worker waiting files queue created_at started_at updated_at completed_at "
    "heartbeat_at expires_at timing cursor links",
    "progress": "percent current total unit message rate eta_seconds",
    "steps": "name title status weight current total percent started_at completed_at",
    "children": "total queued running succeeded failed cancelled",
    "results": "n at value",
    "errors": "n at message item detail",
    "error": "message code detail",
    "waiting": "n prompt schema at",
    "files": "name size media_type sha256 url",
    "queue": "position length eta_seconds",
    "timing": "queue_seconds run_seconds total_seconds",
    "links": "self events logs page",
}


def fold(*reports: dict[str, Any], now: int = NOW, **fields: Any) -> reducer.Folded:
    head = reducer.create(
        say.decode_new_job(msgspec.json.encode(fields)),
        id="j",
        project="default",
        owner="key:ci",
        now=NOW,
    )
    return reducer.fold(head, [msgspec.convert(one, say.AnyReport) for one in reports], now)


def shown(head: Head, base: str = "", **more: Any) -> Any:
    return msgspec.json.decode(wire.encode(wire.fields(head, CURSOR, base=base, **more)))


def full() -> Any:
    """A job with a value in every field."""
    folded = fold(
        {"type": "start", "worker": {"host": "h"}},
        {"type": "step", "name": "s"},
        {"type": "result", "value": {}},
        {"type": "error", "message": "m"},
        {"type": "fail", "message": "m"},
        steps=["s"],
    )
    question = Question(1, "Publish?", NOW)
    files = (File("out.mp4", 123, "video/mp4"),)
    head = replace(folded.head, files=files, waiting=question)
    lists: dict[str, list[msgspec.Raw]] = {"results": [], "errors": []}
    for entry in folded.entries:
        lists[entry.kind].append(entry.value)
    fields = wire.fields(head, CURSOR, queue=wire.Queue(1, 9, 30.0))
    return msgspec.json.decode(wire.encode(wire.with_entries(fields, **lists)))


def test_the_names_are_those_of_the_contract_at_every_level() -> None:
    job = full()
    for where, names in NAMES.items():
        there = job[where] if where else job
        found = there[0] if isinstance(there, list) else there
        assert set(found) == set(names.split()), where


@given(new_jobs, st.lists(wire_reports, max_size=5))
@settings(max_examples=examples(50), deadline=None)
def test_a_job_has_all_of_its_fields_from_its_start(
    new: say.NewJob, reports: list[dict[str, Any]]
) -> None:
    head = reducer.create(new, id="j", project="default", owner="me", now=NOW)
    names = shown(head).keys()
    assert names == set(NAMES[""].split()) - {"results", "errors"}
    for report in msgspec.convert(reports, list[say.AnyReport]):
        if not head.finished and not reducer.seen_before(head, report):
            head = reducer.fold(head, [report], NOW).head
            assert shown(head).keys() == names


@given(new_jobs, st.lists(wire_reports, max_size=8), st.booleans())
@settings(max_examples=examples(50), deadline=None)
def test_a_head_reads_back_as_it_was_written(
    new: say.NewJob, reports: list[dict[str, Any]], asked: bool
) -> None:
    head = reducer.create(new, id="j", project="default", owner="me", now=NOW)
    head = replace(head, cancel_requested=asked, files=(File("f", 1, "text/plain", "ab", NOW),))
    for report in msgspec.convert(reports, list[say.AnyReport]):
        if not head.finished and not reducer.seen_before(head, report):
            head = reducer.fold(head, [report], NOW).head
    again = decode_head(encode_head(head))
    assert again == head
    assert wire.encode(wire.fields(again, CURSOR)) == wire.encode(wire.fields(head, CURSOR))


def test_times_are_utc_with_milliseconds() -> None:
    job = full()
    times = [job[name] for name in job if name.endswith("_at") and job[name] is not None]
    assert set(times) == {"2026-01-02T03:04:05.678Z"}
    assert (job["results"][0]["at"], job["steps"][0]["started_at"]) == (times[0], times[0])


def test_a_fresh_job_has_nulls_and_empties_where_nothing_is_known() -> None:
    job = shown(fold().head)
    assert job["progress"] == dict.fromkeys(NAMES["progress"].split())
    assert job["timing"] == dict.fromkeys(NAMES["timing"].split())
    empty: dict[str, Any] = {"steps": [], "counters": {}, "meta": {}, "tags": [], "files": []}
    assert {name: job[name] for name in empty} == empty
    nulls = "type title parent error result worker queue started_at completed_at expires_at"
    assert {job[name] for name in nulls.split()} == {None}


def test_each_timing_is_set_when_its_phase_has_ended() -> None:
    running = fold({"type": "start"}, now=NOW + 400).head
    assert shown(running)["timing"] == {
        "queue_seconds": 0.4,
        "run_seconds": None,
        "total_seconds": None,
    }
    ended = reducer.fold(running, [say.Succeed()], NOW + 1650).head
    assert shown(ended)["timing"] == {
        "queue_seconds": 0.4,
        "run_seconds": 1.25,
        "total_seconds": 1.65,
    }


def test_a_clock_set_back_makes_no_negative_time() -> None:
    ended = reducer.fold(fold({"type": "start"}).head, [say.Succeed()], NOW - 9000).head
    assert shown(ended)["timing"] == dict.fromkeys(NAMES["timing"].split(), 0)


def test_a_job_cancelled_in_the_queue_waited_and_never_ran() -> None:
    cancelled = reducer.cancel(fold().head, NOW + 2000)
    assert shown(cancelled)["timing"] == {
        "queue_seconds": 2,
        "run_seconds": None,
        "total_seconds": 2,
    }


def test_a_heartbeat_since_the_last_change_is_shown() -> None:
    head = fold({"type": "start"}).head
    assert shown(head, heartbeat_at=NOW + 1000)["heartbeat_at"] == "2026-01-02T03:04:06.678Z"
    assert shown(head)["heartbeat_at"] == "2026-01-02T03:04:05.678Z"
    assert shown(fold().head, heartbeat_at=NOW)["heartbeat_at"] == "2026-01-02T03:04:05.678Z"
    assert shown(head, heartbeat_at=NOW - 1000)["heartbeat_at"] == "2026-01-02T03:04:05.678Z"


def test_links_begin_with_the_path_where_the_app_is_mounted() -> None:
    head = replace(fold().head, files=(File("a b/ü?.txt", 1, "text/plain"),))
    job = shown(head, base="/live")
    assert job["links"] == {
        "self": "/live/v1/jobs/j",
        "events": "/live/v1/jobs/j/events",
        "logs": "/live/v1/jobs/j/logs",
        "page": "/live/jobs/j",
    }
    assert job["files"][0]["url"] == "/live/v1/jobs/j/files/a%20b%2F%C3%BC%3F.txt"


def test_the_cursor_is_the_one_of_the_commit() -> None:
    assert shown(fold().head)["cursor"] == "k3f9.17"


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ids_of_the_server_are_ids_and_sort_by_time(a: int, b: int, random: bytes) -> None:
    first, second = uuid7(a, random), uuid7(b, random)
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first
    )
    assert msgspec.convert({"id": first}, say.NewJob).id == first
    assert (first < second) == (a < b)


def test_a_head_kept_with_webhooks_is_still_read() -> None:
    head = fold({"type": "start"}).head
    before = encode_head(head)[:-1] + b',"webhooks":[{"url":"https://example.org"}]}'
    assert decode_head(before) == head
