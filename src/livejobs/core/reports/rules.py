"""The rules of a report that its types can't express."""

from __future__ import annotations

from collections.abc import Sequence
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

# Digits become 0, opening brackets become [, and every other byte a space. Finding 19 zeros takes a
# fifth of the time of a regular expression, which takes as long as reading the batch.
_MARK: Final = dict.fromkeys(b"0123456789", 48) | dict.fromkeys(b"[{", 91)
_MARKS: Final = bytes(_MARK.get(byte, 32) for byte in range(256))
_LONG: Final = b"0" * 19


def may_be_odd(body: bytes, reports: int = 1) -> bool:
    """Whether free values must be checked: they may be too deep or hold a number past 64 bits.
    Each report is an object itself and is not counted."""
    marks = body.translate(_MARKS)
    return marks.count(b"[") - reports >= DEPTH or _LONG in marks


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


# Types with rules of their own, beside Log.
_RULED: Final = frozenset({Error, Ask})


def check(
    reports: Sequence[AnyReport],
    bounds: Bounds,
    body: bytes,
    at: str = "",
    room: Room | None = None,
) -> None:
    """Raise for the first rule that a report of this body breaks. `at`: the pointer to a report,
    with {} for its number. `room`: what the questions before these have left."""
    kinds = set(map(type, reports))
    odd = not _FREE.keys().isdisjoint(kinds) and may_be_odd(body, len(reports))
    each = odd or not _RULED.isdisjoint(kinds)
    if Ask in kinds:
        room = room or Room()
    # Characters; a line of these fits. No line is longer than the body.
    short = len(body) if len(body) <= bounds.line else bounds.line // 4
    for number, report in enumerate(reports):
        # Nearly every report ends here. A call for each would take as long as reading the batch.
        if (
            each
            or report.n is not None
            or (type(report) is Log and (report.at is not None or len(report.message) > short))
        ):
            _check(report, bounds, at.format(number), odd, room)


def _check(report: AnyReport, bounds: Bounds, at: str, odd: bool, room: Room | None) -> None:
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
    size = len(report.message.encode())
    if size > bounds.line:
        detail = f"A line takes at most {bounds.line} bytes; this one has {size}."
        raise LineTooLong(detail, errors=[FieldError(f"{at}/message", detail)])
    if type(report) is Log and report.at is not None and not 1970 <= report.at.year <= 9998:
        raise Invalid.at(f"{at}/at", "Expected a time after 1970.")


_NESTED: Final = (dict, list)  # `dict | list` would be made again at each call


def check_value(value: Any, pointer: str, depth: int = 0) -> None:
    """`depth`: how many lists and objects are around the value."""
    if isinstance(value, str):
        return
    if isinstance(value, _NESTED):
        if depth == DEPTH:
            raise Invalid.at(pointer, f"A value may be nested at most {DEPTH} levels deep.")
        for inner in value.values() if isinstance(value, dict) else value:
            check_value(inner, pointer, depth + 1)
    elif isinstance(value, Reason):
        check_value(value.detail, pointer, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Invalid.at(pointer, "A whole number must fit in 64 bits.")
