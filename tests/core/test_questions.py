"""Questions and answers: what is taken, and that an answer reaches its own question alone."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.errors import BatchTooLarge, Invalid
from livejobs.core.model import Head
from livejobs.core.questions import SCHEMA_BYTES, VALUE_BYTES, check_answer, check_question
from livejobs.core.reducer import NotWaiting
from tests.core.folding import NOW, new, read, seen, told

ASK = {"type": "ask", "prompt": "Publish?"}


def answered(head: Head, value: Any = True, n: int | None = None) -> Head:
    return reducer.answer(head, n, value, "key:ann", NOW)


def wrong(value: Any, schema: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as found:
        check_answer(value, schema)
    return {error.pointer: error.detail for error in found.value.errors}


def refused(schema: Any) -> str:
    with pytest.raises(Invalid) as found:
        check_question("Publish?", schema, "")
    return str(found.value)


def test_a_question_is_shown_until_it_is_answered() -> None:
    head = told(new(), {**ASK, "schema": {"type": "boolean"}})
    assert (head.status, seen(head)["waiting"]) == (
        "running",
        {"n": 1, "prompt": "Publish?", "schema": {"type": "boolean"},
         "at": "2026-01-02T03:04:05.678Z"},
    )  # fmt: skip
    after = answered(head)
    assert seen(after)["waiting"] is None
    assert after.answer is not None
    assert (after.answer.n, after.answer.value, after.answer.by) == (1, True, "key:ann")
    assert after.heartbeat_at == head.heartbeat_at, "an answer is no sign of the worker"
    with pytest.raises(NotWaiting, match="does not wait"):
        answered(after)


def test_the_answer_is_kept_until_its_own_number_is_confirmed() -> None:
    head = answered(told(new(), ASK))
    for later in ({"type": "log", "message": "x"}, {"type": "heartbeat", "answered": 2}):
        head = told(head, later)
        assert head.answer is not None
    assert told(head, {"type": "heartbeat", "answered": 1}).answer is None


def test_answered_without_an_answer_withdraws_the_question() -> None:
    assert told(new(), ASK, {"type": "heartbeat", "answered": 1}).waiting is None


def test_a_second_question_takes_the_place_of_the_first_and_of_its_answer() -> None:
    head = told(answered(told(new(), ASK)), {"type": "ask", "prompt": "Delete?"})
    assert head.answer is None
    with pytest.raises(NotWaiting, match="question 2, not 1"):
        answered(head, n=1)
    assert answered(head, n=2).answer is not None


@pytest.mark.parametrize("end", ["retry", "succeed", "cancelled"])
def test_whatever_ends_the_attempt_ends_the_question(end: str) -> None:
    for head in (told(new(), ASK), answered(told(new(), ASK))):
        after = told(head, {"type": end})
        assert (after.waiting, after.answer) == (None, None)
        cancelled = reducer.cancel(head, NOW)
        assert (cancelled.waiting, cancelled.answer) == (None, None)


def test_a_job_that_waits_is_not_lost() -> None:
    head = told(new(), ASK)
    assert reducer.lose(head, NOW, 9.0) is head
    assert reducer.stall(head, NOW).stalled
    assert reducer.lose(answered(head), NOW, 9.0).status == "failed"


def test_a_successor_that_asks_the_same_gets_the_answer_given_before() -> None:
    head = answered(told(new(), {**ASK, "producer": "first", "n": 1}))
    again = {**ASK, "producer": "second", "n": 1}
    head = told(head, again)
    assert (head.questions, head.waiting) == (1, None)
    assert head.answer is not None
    assert reducer.asked(head, read(again)) == 1
    # The same producer asks anew, and so does one that asks something else.
    assert told(head, {**ASK, "producer": "second", "n": 2}).questions == 2
    assert told(head, {**again, "producer": "third", "prompt": "Delete?"}).questions == 2


def test_a_question_sent_again_is_named_again_unless_another_one_was_asked() -> None:
    mine = {**ASK, "producer": "p", "n": 1}
    head = told(told(new(), mine), mine)
    assert reducer.asked(head, read(mine)) == 1
    head = told(head, {"type": "ask", "prompt": "Delete?", "producer": "q", "n": 1})
    assert reducer.asked(head, read(mine)) is None


class Asking(RuleBasedStateMachine):
    """A worker that asks, people who answer, and receipts that come or are lost."""

    @initialize()
    def begin(self) -> None:
        self.head = told(new(), {"type": "start"})
        self.answers: dict[int, int] = {}  # given, and neither confirmed nor made void
        self.values = 0

    @rule()
    def ask(self) -> None:
        self.head = told(self.head, ASK)
        self.answers.clear()

    @precondition(lambda self: self.head.waiting is not None)
    @rule()
    def answer(self) -> None:
        assert self.head.waiting is not None
        self.values += 1
        self.answers[self.head.waiting.n] = self.values
        self.head = answered(self.head, self.values)

    @rule(n=st.integers(1, 4))
    def confirm(self, n: int) -> None:
        self.head = told(self.head, {"type": "heartbeat", "answered": n})
        self.answers.pop(n, None)

    @rule()
    def receive(self) -> None:
        """Whatever the receipt carries is the answer that this very question got."""
        answer = self.head.answer
        assert ({} if answer is None else {answer.n: answer.value}) == self.answers
        assert self.head.waiting is None or answer is None

    @rule()
    def cancel(self) -> None:
        if not self.head.cancel_requested:  # a second request changes nothing
            self.answers.clear()
        self.head = reducer.cancel(self.head, NOW)


TestAsking = Asking.TestCase


# Schemas


def test_a_wrong_answer_is_told_where_and_why() -> None:
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "a/b": {"enum": ["x", "y"]}},
    }
    assert wrong({"name": 1, "a/b": "z"}, schema) == {
        "/value/name": 'This is not of type "string".',
        "/value/a~1b": 'This is not one of "x" or "y".',
    }
    assert wrong(3, {"anyOf": [{"type": "string"}, {"type": "null"}]}) == {
        "/value": 'Fits none of the choices: This is not of type "string"; '
        'This is not of type "null".'
    }
    assert "16384 bytes" in wrong("x" * VALUE_BYTES, {})["/value"]
    check_answer({"name": "ann"}, schema)
    check_answer({"anything": [1]}, None)


def test_true_is_no_number_and_one_is_not_true() -> None:
    assert wrong(True, {"type": "integer"})
    assert wrong(1, {"type": "boolean"})


def test_a_schema_names_only_itself() -> None:
    local = {
        "$defs": {"Colour": {"enum": ["red"]}},
        "properties": {"c": {"$ref": "#/$defs/Colour"}},
    }
    check_question("Which?", local, "")
    check_question("Which?", {"properties": {"$ref": {"type": "string"}}}, "")
    for reference in ("http://example.com/s", "file:///etc/passwd", "#", "#/properties/x", "x"):
        assert "'#/$defs/'" in refused({"$ref": reference})
    assert "$id" in refused({"$id": "http://example.com/", "type": "string"})


def test_references_cannot_multiply_the_work() -> None:
    names = [f"s{n}" for n in range(14)]
    doubled = {
        name: {"allOf": [{"$ref": f"#/$defs/{after}"}] * 2} for name, after in pairwise(names)
    }
    bomb = {"$defs": {**doubled, names[-1]: {}}, "$ref": "#/$defs/s0"}
    assert "at most" in refused(bomb)
    assert "may not contain itself" in refused({"$defs": {"a": {"$ref": "#/$defs/a"}}})


def test_patterns_take_linear_time() -> None:
    evil = {"type": "string", "pattern": "^(a+)+$"}
    check_question("?", evil, "")
    assert "does not match" in wrong("a" * 16_000 + "b", evil)["/value"]
    assert "look-around" in refused({"pattern": "(?=a)"})
    assert "look-around" in refused({"pattern": r"(\pL{500}){500}"})
    assert "20 patterns" in refused({"anyOf": [{"pattern": "a"}] * 21})


A_HALF = [{"not": {"const": n}} for n in range(1, 400)]  # each item is compared with each


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"allOf": A_HALF}}, [0] * 8_000),
        ({"items": {"allOf": [{"multipleOf": 0.01}] * 50}}, [1e300] * 100),
        ({"items": {"allOf": [{"format": "idn-hostname"}] * 50}}, ["ü" * 20] * 100),
        ({"items": {"anyOf": [{"items": {"anyOf": [{"const": 1}] * 40}}] * 20}}, [[0] * 8] * 40),
    ],
)
def test_an_answer_that_would_take_long_to_compare_is_refused(schema: Any, value: Any) -> None:
    check_question("?", schema, "")
    assert "too large" in wrong(value, schema)["/value"]


def test_an_answer_of_many_fields_is_compared_and_a_large_one_is_told_its_first_error() -> None:
    names = [f"field {n}" for n in range(100)]
    field = {"type": "string", "title": "Name", "maxLength": 20}
    form = {"properties": dict.fromkeys(names, field), "required": names}
    check_question("?", form, "")
    check_answer(dict.fromkeys(names, "short"), form)
    prices = {"items": {"type": "number", "minimum": 0, "multipleOf": 0.01}}
    check_answer([12.34] * 500, prices)
    few = {"properties": dict.fromkeys(names[:40], field)}
    assert len(wrong(dict.fromkeys(names[:40], 7), few)) == 1


def test_schemas_that_are_slow_to_read_are_refused() -> None:
    assert "look-around" in refused({"pattern": r"\p{L}{20}"})
    assert "1e-9 to 1e15" in refused({"multipleOf": 1e-300})
    assert "at most" in refused({"allOf": [{"format": "idn-email"}] * 200})


def test_the_questions_of_one_call_share_what_their_schemas_may_take() -> None:
    pattern = {"type": "ask", "prompt": "?", "schema": {"pattern": r"^\p{L}+$"}}
    assert len(read(*[pattern] * 20)) == 20
    with pytest.raises(BatchTooLarge, match="20 patterns") as found:
        read(*[pattern] * 21)
    assert found.value.errors[0].pointer == "/20/schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"minimum": "x"},
        {"x": "y" * SCHEMA_BYTES},
        {"enum": [[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]},
        {"properties": []},
    ],
)  # fmt: skip
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    refused(schema)


@pytest.mark.parametrize("prompt", ["", "x" * 4097, "é" * 4000, 3, None])
def test_a_prompt_has_bounds(prompt: Any) -> None:
    with pytest.raises(Invalid, match="prompt"):
        say.decode_line(json.dumps({"type": "ask", "prompt": prompt}).encode(), say.Bounds())
