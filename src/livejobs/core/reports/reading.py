"""How bodies and lines are read: all of it is accepted, or the first fault is named."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from livejobs.core.decoding import decoded
from livejobs.core.errors import BadJson, BatchTooLarge, FieldError, Invalid
from livejobs.core.questions import Room
from livejobs.core.reports.kinds import AnyReport, Bounds, NewAnswer, NewJob
from livejobs.core.reports.rules import check, check_value, may_be_odd

_one = msgspec.json.Decoder(AnyReport)
_many = msgspec.json.Decoder(list[AnyReport])
_new_job = msgspec.json.Decoder(NewJob)
_answer = msgspec.json.Decoder(NewAnswer)


def decode_body(body: bytes, bounds: Bounds) -> list[AnyReport]:
    """Read one report or an array of reports. If one is bad, all are refused."""
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return [decode_line(body, bounds)]
    reports: list[AnyReport] = decoded(_many, body)
    if not reports:
        raise Invalid.at("", "An array of reports needs at least one.")
    if len(reports) > bounds.batch:
        detail = f"An array takes at most {bounds.batch} reports; this one has {len(reports)}."
        raise BatchTooLarge(detail, errors=[FieldError("", detail)])
    check(reports, bounds, body, "/{}")
    return reports


def decode_lines(lines: Sequence[bytes], bounds: Bounds) -> list[AnyReport]:
    """Read one report from each line. If a line is bad, all are refused; decode_line says why."""
    body = b"\n".join(lines)
    try:
        reports: list[AnyReport] = _one.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadJson("A line is not a report.") from None
    # The decoder accepts a report that spans lines, if those lines arrive together.
    if len(reports) != sum(map(bool, map(bytes.strip, lines))):
        raise BadJson("A report is not on one line.")
    if len(body) > bounds.body and max(map(len, lines)) > bounds.body:
        raise BadJson("A line is too long.")
    check(reports, bounds, body)
    return reports


def decode_line(line: bytes, bounds: Bounds, room: Room | None = None) -> AnyReport:
    report: AnyReport = decoded(_one, line)
    check((report,), bounds, line, room=room)
    return report


def decode_new_job(body: bytes) -> NewJob:
    if not body.strip():
        return NewJob()
    new: NewJob = decoded(_new_job, body)
    names = [s if isinstance(s, str) else s.name for s in new.steps]
    if len(set(names)) < len(names):
        raise Invalid.at("/steps", "Step names must differ.")
    if may_be_odd(body):
        check_value(new.meta, "/meta")
    return new


def decode_answer(body: bytes) -> NewAnswer:
    answer: NewAnswer = decoded(_answer, body)
    if may_be_odd(body):
        check_value(answer.value, "/value")
    return answer
