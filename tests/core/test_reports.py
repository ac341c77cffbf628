"""Good reports are read, bad ones are refused with a pointer, and nothing crashes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livejobs.core import reports as say
from livejobs.core.errors import LivejobsError
from livejobs.core.reports import Bounds, decode_body, decode_line, decode_lines, decode_new_job
from tests.support.examples import examples
from tests.support.strategies import json_values, wire_reports

BOUNDS = Bounds()
POINTER = re.compile(r"(/([^~/]|~0|~1)*)*")
RICH = msgspec.json.encode(
    [
        {"type": "start", "worker": {"host": "h", "pid": 7}, "producer": "w", "n": 1},
        {"type": "progress", "current": 1.5, "total": 10, "unit": "é", "message": "\U0001f600"},
        {"type": "step", "name": "s", "status": "running", "weight": 2},
        {"type": "log", "message": "a\nb", "level": "warning", "at": "2026-01-02T03:04:05Z"},
        {"type": "result", "value": [[{"deep": None}], -1e-300, True]},
        {"type": "retry", "error": {"message": "x", "detail": {"a": 1}}},
    ]
)
NEW = b'{"id":"a","steps":["s",{"name":"t","weight":2}],"meta":{"\\u00e9":[1]},"tags":["x"]}'


def refusal(body: bytes, bounds: Bounds = BOUNDS) -> tuple[int, str, str]:
    """Its status, code and pointer."""
    with pytest.raises(LivejobsError) as caught:
        decode_body(body, bounds)
    error = caught.value
    return error.status, error.code, error.errors[0].pointer


@given(st.lists(wire_reports, min_size=1, max_size=5))
@settings(deadline=None)
def test_good_reports_are_read(reports: list[dict[str, Any]]) -> None:
    read = decode_body(msgspec.json.encode(reports), BOUNDS)
    for report, wanted in zip(read, reports, strict=True):
        again = msgspec.json.decode(msgspec.json.encode(report))
        assert again.keys() >= wanted.keys()
        assert again["type"] == wanted["type"]


@given(wire_reports)
@settings(deadline=None)
def test_one_report_is_read_like_an_array_of_one(reports: dict[str, Any]) -> None:
    body = msgspec.json.encode(reports)
    assert decode_body(body, BOUNDS) == decode_body(b"[" + body + b"]", BOUNDS)


def refused(decode: Callable[[bytes], object], body: bytes) -> LivejobsError | None:
    try:
        decode(body)
    except LivejobsError as error:
        return error
    return None


def only_refuses(decode: Callable[[bytes], object], body: bytes) -> None:
    """A refusal is an error of ours, with a pointer that JSON can carry."""
    error = refused(decode, body)
    if error is not None:
        assert 400 <= error.status < 500
        assert POINTER.fullmatch(error.errors[0].pointer)
        msgspec.json.encode([error.detail, error.errors])


def is_bad_json(decode: Callable[[bytes], object], body: bytes) -> bool:
    error = refused(decode, body)
    return error is not None and (error.status, error.code) == (400, "bad_json")


def test_reports_cut_off_anywhere_are_refused() -> None:
    def decode(body: bytes) -> object:
        return decode_body(body, BOUNDS)

    assert [end for end in range(len(RICH)) if not is_bad_json(decode, RICH[:end])] == []


def test_a_new_job_cut_off_anywhere_is_refused() -> None:
    assert [end for end in range(1, len(NEW)) if not is_bad_json(decode_new_job, NEW[:end])] == []


@given(st.integers(0, len(RICH) - 1), st.binary(max_size=3))
@settings(max_examples=examples(200), deadline=None)
def test_a_few_wrong_bytes_anywhere_never_crash(at: int, wrong: bytes) -> None:
    only_refuses(lambda body: decode_body(body, BOUNDS), RICH[:at] + wrong + RICH[at + 1 :])


@given(json_values.map(json.dumps).map(str.encode) | st.binary())
@example(b'{"\\ud800":NaN}')
@example(b'{"type":"log","message":"m","` - at `$.x":1}')
@example(b'{"type":"log","message":"m","~/":1}')
@settings(max_examples=examples(100), deadline=None)
def test_any_json_and_any_bytes_never_crash(body: bytes) -> None:
    only_refuses(lambda b: decode_body(b, BOUNDS), body)
    only_refuses(lambda b: decode_line(b, BOUNDS), body)
    only_refuses(decode_new_job, body)


@given(wire_reports, st.sampled_from(["message", "current", "set", "value", "n", "x"]), json_values)
@settings(max_examples=examples(100), deadline=None)
def test_a_report_with_one_field_of_any_kind_never_crashes(
    reports: dict[str, Any], field: str, value: Any
) -> None:
    body = msgspec.json.encode(reports | {field: value})
    only_refuses(lambda b: decode_body(b, BOUNDS), body)


HUGE = b"1" + b"0" * 400


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"", 400, ""),
        (b"nonsense", 400, ""),
        (b"\xff\xfe", 400, ""),
        (b'{"type":"log","message":"\xff"}', 400, ""),
        (b'{"type":"progress","current":NaN}', 400, "/current"),
        (b'[{"type":"start"},{"type":"count","counters":{"a/b":-Infinity}}]', 400,
         "/1/counters/a~1b"),
        (b'{"type":"result","value":["x",{"k":"\\ud800"}]}', 400, "/value/1/k"),
        (b'{"type":"meta","set":{"\\udc00":1}}', 400, "/set"),
        (b'{"type":"start"} {"type":"start"}', 400, ""),
        (b"{}", 422, "/type"),
        (b"[]", 422, ""),
        (b"null", 422, ""),
        (b"[7]", 422, "/0"),
        (b'{"type":"zap"}', 422, "/type"),
        (b'{"type":7}', 422, "/type"),
        (b'{"type":"log"}', 422, "/message"),
        (b'{"type":"log","message":7}', 422, "/message"),
        (b'{"type":"log","message":"m","leval":"info"}', 422, "/leval"),
        (b'{"type":"log","message":"m","level":"loud"}', 422, "/level"),
        (b'{"type":"log","message":"m","at":"yesterday"}', 422, "/at"),
        (b'{"type":"log","message":"m","at":"2026-01-02T03:04:05"}', 422, "/at"),
        (b'{"type":"log","message":"m","at":"0001-01-01T00:00:00Z"}', 422, "/at"),
        (b'{"type":"log","message":"m","at":"9999-12-31T23:59:59-12:00"}', 422, "/at"),
        (b'{"type":"result"}', 422, "/value"),
        (b'{"type":"progress","percent":100.1}', 422, "/percent"),
        (b'{"type":"progress","percent":-1}', 422, "/percent"),
        (b'{"type":"progress","percent":"42"}', 422, "/percent"),
        (b'{"type":"progress","current":true}', 422, "/current"),
        (b'{"type":"progress","current":1e400}', 422, "/current"),
        (b'{"type":"progress","current":' + HUGE + b"}", 422, "/current"),
        (b'{"type":"progress","advance":-1}', 422, "/advance"),
        (b'{"type":"count","counters":{"a":' + HUGE + b"}}", 422, "/counters"),
        (b'{"type":"result","value":{"a":[' + HUGE + b"]}}", 422, "/value"),
        (b'{"type":"result","value":-9223372036854775809}', 422, "/value"),
        (b'{"type":"result","value":18446744073709551616}', 422, "/value"),
        (b'{"type":"error","message":"m","item":' + HUGE + b"}", 422, "/item"),
        (b'{"type":"retry","error":{"message":"m","detail":' + HUGE + b"}}", 422, "/error"),
        (b'{"type":"retry","error":{"code":"m"}}', 422, "/error/message"),
        (b'{"type":"result","value":' + nested(33) + b"}", 422, "/value"),
        (b'{"type":"retry","error":{"message":"m","detail":' + nested(33) + b"}}", 422, "/error"),
        (b'{"type":"result","value":' + nested(100_000) + b"}", 422, ""),
        (b'{"type":"log","message":"m","n":1}', 422, "/n"),
        (b'{"type":"log","message":"m","producer":"p","n":0}', 422, "/n"),
        (b'{"type":"log","message":"m","producer":"","n":1}', 422, "/producer"),
        (b'[{"type":"start"},{"type":"step","name":""}]', 422, "/1/name"),
    ],
)  # fmt: skip
def test_a_report_that_does_not_fit_is_refused_at_the_field(
    body: bytes, status: int, pointer: str
) -> None:
    code = "bad_json" if status == 400 else "invalid"
    assert refusal(body) == (status, code, pointer)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"type":"progress","n":1}', "n"),
        (b'{"type":"log","message":"m","n":1}', "n"),
        (b'{"type":"log","message":"m","at":"0001-01-01T00:00:00Z"}', "at"),
        (b'{"type":"log","message":"' + "😀".encode() * 4097 + b'"}', "message"),
        (b'{"type":"error","message":"' + b"m" * 16_385 + b'"}', "message"),
        (b'{"type":"error","message":"m","item":' + HUGE + b"}", "item"),
        (b'{"type":"result","value":' + nested(33) + b"}", "value"),
        (b'{"type":"ask","prompt":"' + "é".encode() * 4096 + b'"}', "prompt"),
    ],
)
def test_a_broken_rule_is_found_among_good_reports(body: bytes, pointer: str) -> None:
    good = b'{"type":"log","message":"m"},{"type":"progress","n":1,"producer":"p"}'
    assert refusal(b"[" + good + b"," + body + b"," + good + b"]")[2] == f"/2/{pointer}"
    assert refusal(body)[2] == f"/{pointer}"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"id":"a/b"}', "/id"),
        (b'{"id":"a\\n"}', "/id"),
        (b'{"id":""}', "/id"),
        (b'{"id":".hidden"}', "/id"),
        (b'{"id":"' + b"a" * 129 + b'"}', "/id"),
        (b'{"project":"a b"}', "/project"),
        (b'{"parent":"/"}', "/parent"),
        (b'{"steps":["a",{"title":"x"}]}', "/steps/1/name"),
        (b'{"steps":["a",{"name":"a"}]}', "/steps"),
        (b'{"steps":"a"}', "/steps"),
        (b'{"tags":["a",7]}', "/tags/1"),
        (b'{"total":-1}', "/total"),
        (b'{"total":1e400}', "/total"),
        (b'{"ttl_seconds":0}', "/ttl_seconds"),
        (b'{"heartbeat_timeout":' + HUGE + b"}", "/heartbeat_timeout"),
        (b'{"meta":[]}', "/meta"),
        (b'{"meta":{"a":' + HUGE + b"}}", "/meta"),
        (b'{"meta":' + b'{"a":' * 33 + b"1" + b"}" * 34, "/meta"),
        (b'{"webhooks":[{"url":"https://example.org"}]}', "/webhooks/0/events"),
        (b'{"webhooks":[{"url":"https://example.org","events":["no"]}]}', "/webhooks/0/events/0"),
        (b'{"what":1}', "/what"),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_a_new_job_that_does_not_fit_is_refused_at_the_field(body: bytes, pointer: str) -> None:
    with pytest.raises(LivejobsError) as caught:
        decode_new_job(body)
    assert (caught.value.status, caught.value.errors[0].pointer) == (422, pointer)


def test_a_job_has_at_most_ten_webhooks() -> None:
    hook = b'{"url":"https://example.org","events":["finished"]}'
    assert len(decode_new_job(b'{"webhooks":[%s]}' % b",".join([hook] * 10)).webhooks) == 10
    with pytest.raises(LivejobsError) as caught:
        decode_new_job(b'{"webhooks":[%s]}' % b",".join([hook] * 11))
    assert caught.value.errors[0].pointer == "/webhooks"


def test_creating_needs_no_body() -> None:
    assert decode_new_job(b"") == decode_new_job(b" \r\n") == decode_new_job(b"{}") == say.NewJob()


def test_32_levels_and_64_bits_are_still_taken() -> None:
    for value in (nested(32), b"18446744073709551615", b"-9223372036854775808", b"1e308"):
        [report] = decode_body(b'{"type":"result","value":' + value + b"}", BOUNDS)
        assert isinstance(report, say.Result)
        assert report.value == json.loads(value)


def test_an_array_takes_a_thousand_and_no_more() -> None:
    many = b"[" + b",".join([b'{"type":"start"}'] * 1000)
    assert len(decode_body(many + b"]", BOUNDS)) == 1000
    assert refusal(many + b',{"type":"start"}]') == (413, "batch_too_large", "")


@pytest.mark.parametrize("kind", ["log", "error"])
def test_a_line_is_bounded_in_bytes_not_characters(kind: str) -> None:
    fits = msgspec.json.encode({"type": kind, "message": "é" * 8192})
    longer = msgspec.json.encode([{"type": "start"}, {"type": kind, "message": "é" * 8193}])
    assert len(decode_body(fits, BOUNDS)) == 1
    assert refusal(longer) == (422, "line_too_long", "/1/message")


def test_bounds_are_settings() -> None:
    narrow = Bounds(line=3, batch=1)
    assert refusal(b'{"type":"log","message":"long"}', narrow)[2] == "/message"
    assert refusal(b'[{"type":"start"},{"type":"start"}]', narrow)[0] == 413


def test_of_a_repeated_name_the_last_value_counts() -> None:
    [report] = decode_body(b'{"type":"log","message":"a","message":"b"}', BOUNDS)
    assert report == say.Log(message="b")


def test_fields_may_stand_in_any_order_and_space_around_them_does_not_matter() -> None:
    body = b'\r\n {"at":"2026-01-02T03:04:05Z","message":"m","type":"log"}\t'
    [report] = decode_body(body, BOUNDS)
    assert report == say.Log(message="m", at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


good_lines = wire_reports.map(msgspec.json.encode)
# Some only look like lines: a report over two lines, two reports in one line.
odd_lines = st.sampled_from(
    [b"", b" \r", b"{}", b'{"type":', b'"start"}', b'{"type":"start"}{"type":"start"}',
     b'{"type":"start"},{"type":"start"}', b"\xff", b"[]", b"1", b'{"type":"result","value":NaN}',
     b'{"type":"result","value":' + nested(33) + b"}", b'{"type":"start"}' + b" " * 300]
)  # fmt: skip


@given(st.lists(good_lines | odd_lines, max_size=6))
@example([b'{"type":', b'"start"}'])
@example([b'{"type":"start"}{"type":"start"}'])
@example([b'{"type":"start"}' + b" " * 300])
@settings(max_examples=examples(100), deadline=None)
def test_lines_read_together_equal_lines_read_one_by_one(lines: list[bytes]) -> None:
    bounds = Bounds(body=300)

    too_long = any(len(line) > bounds.body for line in lines)
    try:
        expected = [decode_line(line, bounds) for line in lines if line.strip()]
    except LivejobsError:
        expected = []
    if too_long or (not expected and any(line.strip() for line in lines)):
        with pytest.raises(LivejobsError):
            decode_lines(lines, bounds)
    else:
        assert decode_lines(lines, bounds) == expected
