"""The reports of workers: their types, their bounds, and how they are read from JSON.

A report is a tagged struct. A report that does not fit is refused with a pointer to the field.
Bounds that are settings are passed in as `Bounds`; fixed bounds are written on the fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct

from livejobs.core.errors import BadJson, BatchTooLarge, FieldError, Invalid, LineTooLong
from livejobs.core.model import ID_PATTERN, PROJECT_PATTERN, Level, Number, StepStatus
from livejobs.core.questions import PROMPT_BYTES, Room, check_question

SAFE: Final = 2**53  # the largest whole number every JSON reader holds exactly
DEPTH: Final = 32  # levels of nesting in a field

Amount: TypeAlias = Annotated[int, Bound(ge=0, le=SAFE)] | Annotated[float, Bound(ge=0, le=SAFE)]
Signed: TypeAlias = (
    Annotated[int, Bound(ge=-SAFE, le=SAFE)] | Annotated[float, Bound(ge=-SAFE, le=SAFE)]
)
Percent: TypeAlias = Annotated[float, Bound(ge=0, le=100)]
Name: TypeAlias = Annotated[str, Bound(min_length=1, max_length=200)]
Seconds: TypeAlias = Annotated[float, Bound(gt=0, le=10 * 365 * 86_400)]


class Bounds(Struct, frozen=True):
    body: int = 1024 * 1024
    head: int = 128 * 1024
    line: int = 16 * 1024  # of a log message, in UTF-8
    batch: int = 1000


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A producer may number its reports, so that it can send them again."""

    producer: Annotated[str, Bound(min_length=1, max_length=128)] | None = None
    n: Annotated[int, Bound(ge=1, le=SAFE)] | None = None
    # The worker is done with this question: it has the answer, or waits for it no longer.
    answered: Annotated[int, Bound(ge=1, le=SAFE)] | None = None


class Start(Report, frozen=True, tag="start"):
    worker: dict[str, Any] | None = None


class Progress(Report, frozen=True, tag="progress"):
    current: Amount | None = None
    advance: Amount | None = None
    total: Amount | None = None
    percent: Percent | None = None
    unit: Annotated[str, Bound(max_length=100)] | None = None
    message: str | None = None


class Step(Report, frozen=True, tag="step"):
    name: Name
    status: StepStatus | None = None
    title: str | None = None
    current: Amount | None = None
    total: Amount | None = None
    weight: Amount | None = None


class Log(Report, frozen=True, tag="log"):
    message: str
    level: Level = "info"
    source: Annotated[str, Bound(max_length=200)] | None = None
    at: Annotated[datetime, Bound(tz=True)] | None = None


class Result(Report, frozen=True, tag="result"):
    value: Any


class Error(Report, frozen=True, tag="error"):
    """One item failed; the job continues."""

    message: str
    item: str | int | float | None = None
    detail: Any = None


class Count(Report, frozen=True, tag="count"):
    counters: dict[str, Signed]


class Meta(Report, frozen=True, tag="meta"):
    set: dict[str, Any]


class Heartbeat(Report, frozen=True, tag="heartbeat"):
    pass


class Ask(Report, frozen=True, tag="ask"):
    """The job waits for the answer of a person."""

    prompt: Annotated[str, Bound(min_length=1, max_length=PROMPT_BYTES)]
    schema: dict[str, Any] | None = None


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    code: str | None = None
    detail: Any = None


class Retry(Report, frozen=True, tag="retry"):
    error: str | Reason | None = None


class Succeed(Report, frozen=True, tag="succeed"):
    result: Any = None


class Fail(Report, frozen=True, tag="fail"):
    message: str
    code: str | None = None
    detail: Any = None


class Cancelled(Report, frozen=True, tag="cancelled"):
    pass


AnyReport: TypeAlias = (
    Start
    | Progress
    | Step
    | Log
    | Result
    | Error
    | Count
    | Meta
    | Heartbeat
    | Ask
    | Retry
    | Succeed
    | Fail
    | Cancelled
)


class PlannedStep(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    title: str | None = None
    weight: Amount = 1
    total: Amount | None = None


class NewJob(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a create call. Every field is optional."""

    id: Annotated[str, Bound(pattern=ID_PATTERN)] | None = None
    project: Annotated[str, Bound(pattern=PROJECT_PATTERN)] | None = None
    type: Name | None = None
    title: Annotated[str, Bound(max_length=1000)] | None = None
    total: Amount | None = None
    unit: Annotated[str, Bound(max_length=100)] | None = None
    steps: list[Name | PlannedStep] = []
    meta: dict[str, Any] = {}
    tags: Annotated[list[Name], Bound(max_length=50)] = []
    parent: Annotated[str, Bound(pattern=ID_PATTERN)] | None = None
    owner: Name | None = None
    heartbeat_timeout: Seconds | None = None
    ttl_seconds: Seconds | None = None
    # Nothing sends webhooks yet. The field is known so that the refusal can say so.
    webhooks: Annotated[list[Any], Bound(extra_json_schema={"maxItems": 0})] = []


class NewAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an answer."""

    value: Any
    n: Annotated[int, Bound(ge=1, le=SAFE)] | None = None  # None: whatever the job waits for


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
    odd, room = _may_be_odd(body, len(reports)), Room()
    for at, report in enumerate(reports):
        _check(report, bounds, f"/{at}", odd, room)
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
    odd, room = _may_be_odd(body, len(reports)), Room()
    for report in reports:
        _check(report, bounds, "", odd, room)
    return reports


def decode_line(line: bytes, bounds: Bounds, room: Room | None = None) -> AnyReport:
    report: AnyReport = decoded(_one, line)
    _check(report, bounds, "", _may_be_odd(line), room)
    return report


def decode_new_job(body: bytes) -> NewJob:
    if not body.strip():
        return NewJob()
    new: NewJob = decoded(_new_job, body)
    names = [s if isinstance(s, str) else s.name for s in new.steps]
    if len(set(names)) < len(names):
        raise Invalid.at("/steps", "Step names must differ.")
    if new.webhooks:
        raise Invalid.at(
            "/webhooks", "This server does not send webhooks yet. Leave out 'webhooks'."
        )
    if _may_be_odd(body):
        _check_value(new.meta, "/meta")
    return new


def decode_answer(body: bytes) -> NewAnswer:
    answer: NewAnswer = decoded(_answer, body)
    if _may_be_odd(body):
        _check_value(answer.value, "/value")
    return answer


# A JSON path as msgspec writes it: `$[3].set[...]` ends in the last name that msgspec knows.
_PATH = re.compile(r" - at `(?:key in )?`?\$([^`]*)`?`?\Z")
_FIELD = re.compile(r"field `([^`]*)`")


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UnicodeDecodeError:
        raise _not_utf8() from None
    except msgspec.DecodeError as error:
        raise _bad_json(str(error), body) from None
    except RecursionError:
        raise Invalid.at("", f"A value may be nested at most {DEPTH} levels deep.") from None


def _not_utf8() -> BadJson:
    detail = "The body is not UTF-8. Send JSON encoded as UTF-8."
    return BadJson(detail, errors=[FieldError("", detail)])


def _bad_json(message: str, body: bytes) -> BadJson:
    error = _almost_json(body) or FieldError("", message.removeprefix("JSON is malformed: "))
    return BadJson(f"The body is not JSON: {error.detail}.", errors=[error])


_SURROGATE = re.compile("[\ud800-\udfff]")


class _Odd(str):
    """NaN or an infinity, which are JSON to Python and to nobody else."""

    __slots__ = ()


def _almost_json(body: bytes) -> FieldError | None:
    """The field at fault, if Python's own reader, which is less strict, can read the body."""
    try:
        path: list[str] = []  # to the fault, the innermost name first
        wrong = _oddity(json.loads(body, parse_constant=_Odd), path)
    except (ValueError, RecursionError):
        return None
    if wrong is None:
        return None
    return FieldError("".join("/" + _escape(name) for name in reversed(path)), wrong)


def _oddity(value: Any, path: list[str]) -> str | None:
    """The fault in a value, if there is one. The path is written only on the way back: a path for
    each value would copy a long name once for every value below it."""
    if isinstance(value, str):
        return _odd_text(value)
    if isinstance(value, dict):
        return _oddity_within(value.items(), path)
    return _oddity_within(enumerate(value), path) if isinstance(value, list) else None


def _oddity_within(items: Iterable[tuple[str | int, Any]], path: list[str]) -> str | None:
    for name, inner in items:
        if isinstance(name, str) and (wrong := _odd_text(name)) is not None:
            return wrong
        if (wrong := _oddity(inner, path)) is not None:
            path.append(str(name))
            return wrong
    return None


def _odd_text(text: str) -> str | None:
    if isinstance(text, _Odd):
        return f"{text} is not a number in JSON"
    return "half of a surrogate pair is not a character" if _SURROGATE.search(text) else None


def _invalid(message: str) -> Invalid:
    found = _PATH.search(message)
    sentence = message[: found.start()] if found else message
    pointer = _pointer(found[1] if found else "")
    # msgspec names an unknown or missing field in the sentence, not in the path.
    named = _FIELD.search(sentence)
    if named:
        pointer += "/" + _escape(named[1])
    return Invalid.at(pointer, sentence.replace("`", "'") + ".")


def _pointer(path: str) -> str:
    # `[...]` is a key of an object, which msgspec does not name.
    parts = re.findall(r"\[(\d+)\]|\.([^.\[\]]+)", path.partition("[...]")[0])
    return "".join("/" + _escape(index or name) for index, name in parts)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


# Every digit becomes 0, and every other byte a space. Finding 19 zeros takes a fifth of the time of
# a regular expression, which takes as long as reading the batch.
_ZEROS: Final = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG: Final = b"0" * 19


def _may_be_odd(body: bytes, reports: int = 1) -> bool:
    """Whether free values must be checked: they may be too deep or hold a number past 64 bits.
    Each report is an object itself and is not counted."""
    opened = body.count(b"[") + body.count(b"{") - reports
    return opened >= DEPTH or _LONG in body.translate(_ZEROS)


# Fields that hold any JSON.
_FREE: Final[dict[type, tuple[str, ...]]] = {
    Start: ("worker",),
    Result: ("value",),
    Error: ("item", "detail"),
    Count: ("counters",),
    Meta: ("set",),
    Ask: ("schema",),
    Retry: ("error",),
    Succeed: ("result",),
    Fail: ("detail",),
}


def _check(report: AnyReport, bounds: Bounds, at: str, odd: bool, room: Room | None) -> None:
    """The rules that types can't express."""
    if report.n is not None and report.producer is None:
        raise Invalid.at(f"{at}/n", "A numbered report needs 'producer' as well.")
    kind = type(report)
    if kind is Log or kind is Error:
        _check_line(report, bounds, at)  # type: ignore[arg-type]  # by its exact type
    if odd:
        for field in _FREE.get(kind, ()):
            _check_value(getattr(report, field), f"{at}/{field}")
    if type(report) is Ask:
        check_question(report.prompt, report.schema, at, room)


def _check_line(report: Log | Error, bounds: Bounds, at: str) -> None:
    if len(report.message) * 4 > bounds.line:  # it may be too long: count its bytes
        size = len(report.message.encode())
        if size > bounds.line:
            detail = f"A line takes at most {bounds.line} bytes; this one has {size}."
            raise LineTooLong(detail, errors=[FieldError(f"{at}/message", detail)])
    if type(report) is Log and report.at is not None and not 1970 <= report.at.year <= 9998:
        raise Invalid.at(f"{at}/at", "Expected a time after 1970.")


def _check_value(value: Any, pointer: str, depth: int = 0) -> None:
    """`depth`: how many lists and objects are around the value."""
    if isinstance(value, dict | list):
        if depth == DEPTH:
            raise Invalid.at(pointer, f"A value may be nested at most {DEPTH} levels deep.")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_value(inner, pointer, depth + 1)
    elif isinstance(value, Reason):
        _check_value(value.detail, pointer, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Invalid.at(pointer, "A whole number must fit in 64 bits.")


def clamp(value: Number) -> Number:
    """Limit a sum to the numbers that every JSON reader holds exactly."""
    return max(-SAFE, min(SAFE, value))
