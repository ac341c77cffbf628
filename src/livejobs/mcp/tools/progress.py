"""Notifications of a job's progress.

`progress` must rise from one notification to the next. So it is the percent, as long as that rises;
without a percent it only counts, and has no total.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from livejobs.core.progress import counted, percent
from livejobs.jobs.state import Slot
from livejobs.mcp import rpc, shown

BEGIN: Final = (
    b'{"jsonrpc":"2.0","method":"notifications/progress",'
    b'"params":{"progressToken":%b,"progress":%d%b'
)
KEY: Final = "mcp progress"  # of the progress in the slot: all waits of a state share it


class Now(NamedTuple):
    """The progress in one state of a job. `rest`: the end of a notification, as JSON."""

    percent: int | None
    message: str
    rest: bytes


def now(slot: Slot) -> Now:
    forms = slot.current()
    known: Now | None = forms.answers.get(KEY)
    if known is None:
        done, message = percent(slot.head), message_of(slot)
        total = b"" if done is None else b',"total":100'
        known = Now(done, message, b'%b,"message":%b}}' % (total, rpc.encode(message)))
        forms.keep(KEY, known, size=len(known.rest))
    return known


class Telling:
    """The notifications of one call."""

    __slots__ = ("_last", "_message", "_token")

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._last = -1
        self._message = ""

    def next(self, slot: Slot) -> bytes | None:
        """None: there is nothing new to tell."""
        known = now(slot)
        if known.percent is not None:
            progress = known.percent
        else:
            progress = self._last + (known.message != self._message)
        if progress <= self._last:
            return None
        self._last, self._message = progress, known.message
        return BEGIN % (self._token, progress, known.rest)


def message_of(slot: Slot) -> str:
    """One line for a person: where the job is."""
    fields = shown.head(slot)
    progress: dict[str, Any] = fields["progress"]
    if (place := fields["queue"]) is not None:
        return f"Queued: {place.position} of {place.length}"
    parts = [shown.short(progress["message"])] if progress["message"] else []
    if progress["current"] is not None:
        parts.append(counted(progress["current"], progress["total"], progress["unit"]))
    return ": ".join(parts) or str(fields["status"])
