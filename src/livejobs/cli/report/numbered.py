"""Lines of NDJSON as numbered reports: what to send, and what each answer means for the lines.

Nothing here sends, sleeps or reads a clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from livejobs.cli.report.lines import Line
from livejobs.client.plain import encode
from livejobs.client.sending.exchange import AWAY, Answer, culprit

REFUSED: Final = frozenset({400, 413, 422})  # something is wrong with a report, not with the job


class Bad(NamedTuple):
    """A line that is no report, and why."""

    number: int
    reason: str


class Report(NamedTuple):
    number: int  # of its line
    body: bytes


class Verdict(Enum):
    GO = "send what is left"
    AGAIN = "send the same later"
    OVER = "the server takes nothing more for this job"


class Reports:
    """The lines that were read and not acknowledged yet.

    A line gets this producer and the next number, so that sending it twice counts once. A line
    with a producer of its own is sent as it is: its program numbers its reports.
    """

    def __init__(self, producer: str, *, strict: bool = False) -> None:
        """`strict`: the first bad line is the last one. Those before it are sent."""
        self.accepted = 0  # lines
        self.bad: list[Bad] = []  # to be shown: whoever shows them clears the list
        self.refused = 0  # lines, in all
        self.stopped = False
        self._strict = strict
        self._producer = producer
        self._n = 0
        self._waiting: list[Report] = []
        self._most: int | None = None  # reports in the next request, while a bad one is looked for

    def add(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if not self.stopped and (line.text.strip() or line.cut):
                self._add(line)

    def _add(self, line: Line) -> None:
        try:
            self._waiting.append(Report(line.number, self._numbered(line)))
        except (ValueError, RecursionError) as error:
            self._refuse(line.number, _reason(error))

    def _numbered(self, line: Line) -> bytes:
        if line.cut:
            raise ValueError("The line is longer than 1 MiB.")
        said = json.loads(line.text)
        if not isinstance(said, dict):
            raise ValueError("A report is a JSON object.")
        if "producer" in said or "n" in said:
            return line.text.strip()
        self._n += 1
        return encode({**said, "producer": self._producer, "n": self._n})

    def _refuse(self, number: int, reason: str) -> None:
        self.refused += 1
        self.bad.append(Bad(number, reason))
        if self._strict:
            self.stopped = True
            self._waiting = [report for report in self._waiting if report.number < number]
            self.bad = [min(self.bad)]  # an earlier line may be found to be bad later

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> int:
        """The number of the first line that waits."""
        return self._waiting[0].number

    def body(self) -> bytes:
        """Of the next request. Until it is answered, the same again."""
        return b"[" + b",".join(report.body for report in self._waiting[: self._most]) + b"]"

    def answered(self, answer: Answer) -> Verdict:
        sent = self._waiting[: self._most]
        if 200 <= answer.status < 300:
            self.accepted += len(sent)
            del self._waiting[: len(sent)]
            self._most = None
            return Verdict.GO
        if answer.status in REFUSED:
            self._drop(sent, answer)
            return Verdict.GO
        later = answer.status in AWAY or answer.status >= 500
        return Verdict.AGAIN if later else Verdict.OVER

    def _drop(self, sent: Sequence[Report], answer: Answer) -> None:
        wrong = culprit(len(sent), answer)
        if wrong is None:
            self._most = max(1, len(sent) // 2)
            return
        bad = self._waiting.pop(wrong)
        self._refuse(bad.number, _detail(answer))
        self._most = None


def _detail(answer: Answer) -> str:
    """With the place in the report, but without the report's place in the request."""
    place = "/".join(answer.path[1:])
    return f"{answer.said.get('detail', answer.reason)}{f' (in {place})' if place else ''}"


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The line is not JSON: {error.msg} at column {error.colno}."
    if isinstance(error, UnicodeDecodeError):
        return "The line is not UTF-8."
    return "The line is nested too deeply." if isinstance(error, RecursionError) else str(error)
