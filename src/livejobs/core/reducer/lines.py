"""Reports that append an entry: a line of the log, a result, or the error of an item."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr as put

from livejobs.core import reports as say
from livejobs.core.model import LEVELS, Entry, EntryKind, Level
from livejobs.core.reducer.draft import Draft
from livejobs.core.times import rfc3339


class LogLine(msgspec.Struct):
    n: int
    at: str
    level: Level
    source: str | None
    message: str


class ResultLine(msgspec.Struct):
    n: int
    at: str
    value: Any


class ErrorLine(msgspec.Struct):
    n: int
    at: str
    message: str
    item: str | int | float | None
    detail: Any


def log(draft: Draft, report: say.Log, now: int) -> None:
    n = draft.head.logs_total + 1
    at = now if report.at is None else int(report.at.timestamp() * 1000)
    line = LogLine(n, rfc3339(at), report.level, report.source, report.message)
    draft.entries.append(Entry("logs", n, LEVELS.index(report.level), Raw(_encode(line))))
    put(draft.head, "logs_total", n)


def result(draft: Draft, report: say.Result, now: int) -> None:
    n = draft.head.results_total + 1
    draft.entries.append(_entry("results", n, ResultLine(n, rfc3339(now), report.value)))
    put(draft.head, "results_total", n)


def error(draft: Draft, report: say.Error, now: int) -> None:
    n = draft.head.errors_total + 1
    line = ErrorLine(n, rfc3339(now), report.message, report.item, report.detail)
    draft.entries.append(_entry("errors", n, line))
    put(draft.head, "errors_total", n)


_encode = msgspec.json.Encoder().encode


def _entry(kind: EntryKind, n: int, line: msgspec.Struct, level: int = 0) -> Entry:
    return Entry(kind, n, level, Raw(_encode(line)))
