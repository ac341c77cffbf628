"""The rules of a report that its types can't express."""

from __future__ import annotations

from typing import Any, Final

from livejobs.core.decoding import DEPTH
from livejobs.core.errors import FieldError, Invalid, LineTooLong
from livejobs.core.questions import Room, check_question
from livejobs.core.reports.kinds import (
    AnyReport,
    Ask,
    Bounds,
    Count,
    Error,
    Fail,
    Log,
    Meta,
    Reason,
    Result,
    Retry,
    Start,
    Succeed,
)

# Every digit becomes 0, and every other byte a space. Finding 19 zeros takes a fifth of the time of
# a regular expression, which takes as long as reading the batch.
_ZEROS: Final = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG: Final = b"0" * 19


def may_be_odd(body: bytes, reports: int = 1) -> bool:
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


def check(report: AnyReport, bounds: Bounds, at: str, odd: bool, room: Room | None) -> None:
    """Raise for a rule that this report breaks."""
    if report.n is not None and report.producer is None:
        raise Invalid.at(f"{at}/n", "A numbered report needs 'producer' as well.")
    kind = type(report)
    if kind is Log or kind is Error:
        _check_line(report, bounds, at)  # type: ignore[arg-type]  # by its exact type
    if odd:
        for field in _FREE.get(kind, ()):
            check_value(getattr(report, field), f"{at}/{field}")
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


def check_value(value: Any, pointer: str, depth: int = 0) -> None:
    """`depth`: how many lists and objects are around the value."""
    if isinstance(value, dict | list):
        if depth == DEPTH:
            raise Invalid.at(pointer, f"A value may be nested at most {DEPTH} levels deep.")
        for inner in value.values() if isinstance(value, dict) else value:
            check_value(inner, pointer, depth + 1)
    elif isinstance(value, Reason):
        check_value(value.detail, pointer, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Invalid.at(pointer, "A whole number must fit in 64 bits.")
