"""The queue of a job's reports, without network, disk or clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from livejobs.client.plain import encode, pieces
from livejobs.client.sending import outbox as module
from livejobs.client.sending import waiting
from livejobs.client.sending.exchange import BATCH, Answer, Record, Request, Verdict
from livejobs.client.sending.outbox import Outbox
from tests.support.examples import examples

OK = Answer(200, {"cursor": "a.1", "status": "running", "accepted": 1, "cancel_requested": False})


def log(text: str) -> bytes:
    return encode({"type": "log", "message": text})


def a_box(*lines: str, creation: dict[str, Any] | None = None) -> Outbox:
    box = Outbox("p", creation)
    for line in lines:
        box.put("log", log(line))
    return box


def said(request: Request | None) -> list[dict[str, Any]]:
    assert request is not None
    reports: list[dict[str, Any]] = json.loads(request.body)
    return reports


def messages(request: Request | None) -> list[str]:
    return [report["message"] for report in said(request)]


def problem(status: int, code: str = "invalid", pointer: str | None = None) -> Answer:
    errors = [{"pointer": pointer, "detail": "no"}] if pointer is not None else []
    return Answer(status, {"code": code, "detail": "no", "errors": errors})


def test_a_job_is_created_before_anything_is_said_of_it() -> None:
    box = a_box("one", creation={"type": "render"})
    first = box.next()
    assert first is not None
    assert (first.kind, first.body) == ("create", b'{"type":"render"}')
    assert box.answered(Answer(201)) is Verdict.GO
    assert messages(box.next()) == ["one"]


def test_reports_are_numbered_in_the_order_they_were_said() -> None:
    reports = said(a_box("one", "two").next())
    assert [(report["producer"], report["n"]) for report in reports] == [("p", 1), ("p", 2)]


def test_progress_is_sent_before_the_retry_that_follows_it() -> None:
    box = a_box()
    box.joined.say({"current": 1})
    box.put("retry", encode({"type": "retry"}))
    assert [report["type"] for report in said(box.next())] == ["progress", "retry"]


def test_a_request_that_was_not_answered_is_sent_again_byte_for_byte() -> None:
    box = a_box("one")
    first = box.next()
    assert box.answered(Answer(0, error="timeout")) is Verdict.AWAY
    box.put("log", log("two"))
    box.joined.say({"current": 1})
    assert box.next() is first
    box.answered(OK)
    assert [report["n"] for report in said(box.next())] == [2, 3]


def test_progress_is_joined_and_comes_last() -> None:
    box = a_box("one")
    for current in range(100):
        box.joined.say({"current": current})
    box.put("log", log("two"))
    kinds = [(report["type"], report["n"]) for report in said(box.next())]
    assert kinds == [("log", 1), ("log", 2), ("progress", 3)]


def test_joined_progress_waits_for_older_entries_on_their_way() -> None:
    box = a_box(*map(str, range(BATCH + 1)))
    box.joined.say({"current": 1})
    assert len(said(box.next())) == BATCH
    box.answered(OK)
    assert [report["type"] for report in said(box.next())] == ["log", "progress"]


def test_the_end_comes_after_everything_that_was_joined() -> None:
    box = a_box()
    box.joined.say({"current": 9})
    box.joined.count({"merged": 2})
    box.put("succeed", encode({"type": "succeed", "result": None}))
    box.joined.say({"current": 10})
    box.put("log", log("too late"))
    assert [report["type"] for report in said(box.next())] == ["progress", "count", "succeed"]
    box.answered(OK)
    assert box.idle


def test_a_percent_and_an_amount_replace_each_other_as_on_the_server() -> None:
    box = a_box()
    box.joined.say({"percent": 50})
    box.joined.advance(2)
    box.joined.advance(3)
    assert box.joined.progress == {"advance": 5}
    box.joined.say({"current": 9})
    assert box.joined.progress == {"current": 9}
    box.joined.advance(1)
    assert box.joined.progress == {"current": 9, "advance": 1}


def test_an_amount_said_without_the_lock_comes_after_what_was_said_before() -> None:
    joined = a_box().joined
    joined.say({"current": 1, "total": 9, "message": "x"})
    joined.latest = (2, joined.total)
    joined.latest = (3,)
    joined.say({"message": "y"})
    assert joined.progress == {"current": 3, "total": 9, "message": "y"}
    list(joined.take())
    joined.latest = (4, joined.total)
    assert joined.progress == {"current": 4, "total": 9}


def test_a_steps_status_carries_the_progress_said_before_it() -> None:
    box = a_box()
    box.joined.step("load", {"current": 5})
    box.put_step("load", {"status": "succeeded"})
    (report,) = said(box.next())
    assert (report["status"], report["current"]) == ("succeeded", 5)


def test_a_report_that_is_refused_is_dropped_and_the_rest_is_sent() -> None:
    box = a_box("one", "two", "three")
    box.next()
    assert box.answered(problem(422, pointer="/1/message")) is Verdict.GO
    assert messages(box.next()) == ["one", "three"]
    (news,) = box.news
    assert "no (at /1/message)" in news.text
    assert box.refused == 1


@pytest.mark.parametrize("answer", [problem(422), problem(413, "body_too_large"), problem(400)])
def test_a_batch_is_halved_until_what_is_refused_is_alone(answer: Answer) -> None:
    box = a_box("one", "bad", "three", "four")
    delivered: list[str] = []
    while not box.idle:
        texts = messages(box.next())
        if "bad" in texts:
            box.answered(answer)
        else:
            delivered += texts
            box.answered(OK)
    assert delivered == ["one", "three", "four"]
    assert box.refused == 1


def test_of_a_head_that_became_too_large_only_what_is_named_is_dropped() -> None:
    box = a_box()
    box.put("meta", encode({"type": "meta", "set": {"a": "large"}}))
    box.put("meta", encode({"type": "meta", "set": {"b": "small"}}))
    box.next()
    box.answered(problem(422, "head_too_large", "/0/set"))
    assert [report["set"] for report in said(box.next())] == [{"b": "small"}]
    assert "(at /0/set)" in box.news[0].text


def test_an_end_that_is_refused_is_sent_without_what_it_carries() -> None:
    box = a_box()
    box.put("fail", encode({"type": "fail", "message": "m", "detail": "much"}))
    box.next()
    box.answered(problem(422, "head_too_large", "/detail"))
    (report,) = said(box.next())
    assert (report["type"], report["n"]) == ("fail", 1)
    assert "detail" not in report
    box.answered(problem(422))
    assert box.idle  # nothing more can be done


def test_a_job_that_cannot_begin_as_said_begins_with_less() -> None:
    box = Outbox("p", {"type": "render", "meta": {"x": 1}, "tags": [""]})
    bodies = []
    for answer in (problem(422, pointer="/tags/0"), problem(413), problem(422)):
        request = box.next()
        assert request is not None
        bodies.append(json.loads(request.body))
        assert box.answered(answer) is Verdict.GO
    assert bodies[1:] == [{"type": "render", "meta": {"x": 1}}, {"type": "render"}]
    assert box.next() == Request("create", b"{}")
    assert box.answered(problem(422)) is Verdict.OVER


@pytest.mark.parametrize(
    ("status", "code"), [(403, "forbidden"), (409, "job_finished"), (404, "job_not_found")]
)
def test_a_job_that_takes_nothing_more_is_left_alone(status: int, code: str) -> None:
    box = a_box("one", "two")
    box.next()
    assert box.answered(problem(status, code)) is Verdict.OVER
    box.put("log", log("three"))
    box.joined.say({"current": 1})
    assert box.next() is None
    assert box.idle
    assert box.bytes == 0
    assert len(box.news) == 1


def test_a_job_that_another_process_creates_is_waited_for() -> None:
    box = Outbox("p", None, attached=True)
    box.put("log", log("one"))
    verdicts = []
    while not box.over:
        box.next()
        verdicts.append(box.answered(problem(404, "job_not_found")))
    assert set(verdicts[:-1]) == {Verdict.AGAIN}
    assert len(verdicts) == module.MISSING


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(0, Verdict.AWAY), (429, Verdict.AWAY), (503, Verdict.AWAY), (500, Verdict.AGAIN),
     (401, Verdict.SLOWLY), (302, Verdict.SLOWLY), (421, Verdict.SLOWLY)],
)  # fmt: skip
def test_all_other_answers_lose_nothing(status: int, verdict: Verdict) -> None:
    box = a_box("one")
    first = box.next()
    assert box.answered(Answer(status)) is verdict
    assert box.next() is first


def test_a_heartbeat_goes_only_when_there_is_nothing_to_say() -> None:
    box = a_box("one")
    assert messages(box.next(heartbeat=True)) == ["one"]
    box.answered(OK)
    request = box.next(heartbeat=True)
    assert request is not None
    assert request.kind == "heartbeat"


def test_a_job_that_went_back_to_the_queue_is_not_started_by_a_heartbeat() -> None:
    box = a_box()
    box.put("retry", encode({"type": "retry"}))
    box.next()
    box.answered(OK)
    assert box.next(heartbeat=True) is None


def test_a_full_disk_and_memory_drop_the_oldest_log_lines_and_say_how_many() -> None:
    box = a_box("old", "new")
    box.put("result", encode({"type": "result", "value": 1}))
    box.drop(box.bytes - 1)
    assert box.lost
    kinds = [report["type"] for report in said(box.next())]
    assert kinds[-2:] == ["result", "log"]
    assert f"dropped {box.lost} reports" in said(box.next())[-1]["message"]


def test_no_result_is_dropped_for_the_room_of_what_is_on_its_way() -> None:
    box = a_box(*["x" * 100] * 10)
    assert box.next() is not None
    box.put("result", encode({"type": "result", "value": 1}))
    box.drop(2000)
    box.answered(OK)
    assert [report["type"] for report in said(box.next())] == ["result"]


def test_the_end_is_never_dropped() -> None:
    box = a_box("old")
    box.put("succeed", encode({"type": "succeed"}))
    box.drop(0)
    assert [report["type"] for report in said(box.next())] == ["succeed"]


# The law

FEW = 4  # reports in a request


class Disk:
    """A spool that keeps what it was given, as bytes."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, records: list[Record]) -> None:
        assert not self.records or not records or records[0].n > self.records[-1].n
        self.records += records

    def read(self, first: int, most: int) -> list[Record]:
        return [record for record in self.records if record.n >= first][:most]


class Delivery(RuleBasedStateMachine):
    """Any interleaving of reports, lost answers, refusals, spilling and process ends."""

    def __init__(self) -> None:
        super().__init__()
        # So small that a few reports are more than a batch, and more than is kept in memory.
        self.small = pytest.MonkeyPatch()
        self.small.setattr(module, "BATCH", FEW)
        self.small.setattr(waiting, "BYTES", 1500)
        self.small.setattr(waiting, "KEEP", 600)
        self.disk = Disk()
        self.box = Outbox("p", {"type": "t"})
        self.put = 0
        self.added = 0
        self.gone = False
        self.highest = 0
        self.created = False
        self.kept: list[int] = []
        self.refused: list[int] = []
        self.sum = 0

    @precondition(lambda self: not self.gone and not self.box.ended)
    @rule(size=st.integers(0, 500), bad=st.sampled_from([False, False, False, True]))
    def say(self, size: int, bad: bool) -> None:
        self.put += 1
        kind = "result"
        value = {"i": self.put, "bad": bad, "fill": "x" * size}
        self.box.put(kind, encode({"type": kind, "value": value}))
        if bad:
            self.refused.append(self.put)

    @precondition(lambda self: not self.gone and not self.box.ended)
    @rule()
    def advance(self) -> None:
        self.added += 1
        self.box.joined.advance(1)

    @precondition(lambda self: not self.gone and not self.box.ended)
    @rule()
    def end(self) -> None:
        self.box.put("succeed", encode({"type": "succeed"}))

    @rule()
    def spill(self) -> None:
        records = self.box.waiting.unspooled()
        self.disk.append(records)
        if records:
            self.box.waiting.written(records[-1].n)

    @rule()
    def spill_and_shed(self) -> None:
        self.spill()
        self.box.waiting.shed()

    @precondition(lambda self: not self.gone)
    @rule()
    def the_process_ends(self) -> None:
        """What it kept is sent by another one."""
        self.box.settle()
        self.spill()
        first = self.disk.records[0].n if self.disk.records else 1
        last = self.disk.records[-1].n if self.disk.records else 0
        self.box = Outbox.inherited("p", self.box.creation, first, last)
        self.gone = True

    @precondition(lambda self: self.gone)
    @rule()
    def the_heir_dies(self) -> None:
        first = self.disk.records[0].n if self.disk.records else 1
        last = self.disk.records[-1].n if self.disk.records else 0
        self.box = Outbox.inherited("p", self.box.creation, first, last)

    @rule()
    def the_answer_is_lost(self) -> None:
        if request := self._next():
            self._serve(request)
            assert self.box.answered(Answer(0)) is Verdict.AWAY

    @rule()
    def nothing_arrives(self) -> None:
        if self._next():
            self.box.answered(Answer(503))

    @rule()
    def it_is_answered(self) -> None:
        if request := self._next():
            self.box.answered(self._serve(request))

    def _next(self) -> Request | None:
        while (first := self.box.waiting.missing()) is not None:
            self.box.waiting.refill(self.disk.read(first, 2))
        return self.box.next()

    def _serve(self, request: Request) -> Answer:
        """As the server does: all or nothing, and a number that was seen is skipped."""
        if request.kind == "create":
            self.created = True
            return OK
        assert self.created
        reports = json.loads(request.body)
        assert len(reports) <= FEW
        new = [report for report in reports if report["n"] > self.highest]
        for at, report in enumerate(reports):
            if report["type"] == "result" and report["value"]["bad"]:
                return problem(422, pointer=f"/{at}/value")
        for report in new:
            assert report["n"] > self.highest
            self.highest = report["n"]
            if report["type"] == "result":
                self.kept.append(report["value"]["i"])
            self.sum += report.get("advance", 0)
        return OK

    @invariant()
    def memory_is_what_it_is_said_to_be(self) -> None:
        assert self.box.bytes >= 0
        if self.box.idle:
            assert self.box.bytes == 0

    def teardown(self) -> None:
        """At last, everything arrives, once and in order."""
        if not self.gone:
            self.box.settle()
        while not self.box.idle:
            self.it_is_answered()
        self.small.undo()
        wanted = [i for i in range(1, self.put + 1) if i not in self.refused]
        assert self.kept == wanted
        assert self.sum == self.added


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=examples(80))


@given(st.text(), st.integers(4, 50))
def test_pieces_are_whole_characters_and_nothing_is_lost(text: str, limit: int) -> None:
    found = pieces(text, limit)
    assert "".join(found) == text
    assert all(len(piece.encode()) <= limit for piece in found)
