"""A job moves as the table says, and from its end nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.model import FINISHED, STATUSES, File, Head, Status
from livejobs.core.reducer import MOVES, Event, Finished
from tests.core.folding import ENDS, NOW, new, read, told


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
