"""The offsets and the events of Durable Streams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from livejobs import clock
from livejobs.core.errors import BadCursor, LivejobsError
from livejobs.core.model import Entry, EntryKind, Head
from livejobs.core.wire import encode
from livejobs.faces.base import ResultLine
from livejobs.jobs.state import Slot
from livejobs.live.form import Form, Step

INTERVAL: Final = 20_000  # ms of a cursor
FIRST_INTERVAL: Final = 1_728_432_000_000  # 2024-10-09T00:00:00Z


# Offsets


class Gone(LivejobsError):
    status, title, default_code = 410, "Gone", "offset_gone"


def removed() -> Gone:
    return Gone("Entries after this offset were removed. Read from the start.")


_OFFSET: Final = re.compile(r"(?P<job>[A-Za-z0-9_-]{1,40}\.[0-9a-f]{1,15})_(?P<n>[0-9]{16})\Z")


def stream_of(epoch: str, head: Head) -> str:
    """Which job an offset belongs to. An id can be given again, to another job."""
    return f"{epoch}.{head.created_at:x}"


def offset_of(epoch: str, head: Head, n: int) -> str:
    """As text, the offsets of a stream are in its order."""
    return f"{stream_of(epoch, head)}_{n:016}"


def position(text: str, slot: Slot, kind: EntryKind) -> int:
    """The number of the last entry that the client has read."""
    head = slot.head
    if text == "-1":
        return head.removed(kind)
    if text == "now":
        return head.total(kind)
    found = _OFFSET.match(text)
    if found is None:
        raise BadCursor("Query parameter 'offset' takes -1, now, or an offset of this stream.")
    n = int(found["n"])
    if found["job"] != stream_of(slot.epoch, head):
        raise Gone("This offset is of another job. Read from the start.")
    if n < head.removed(kind):
        raise removed()
    if n > head.total(kind):
        raise BadCursor("This offset is after the end of the stream.")
    return n


# Messages


_value: Final = msgspec.json.Decoder(ResultLine).decode


def message(entry: Entry) -> bytes:
    """The value of a result, as it was reported; an entry of another kind as everywhere else."""
    return bytes(_value(entry.value).value if entry.kind == "results" else entry.value)


def listed(entries: Sequence[Entry]) -> bytes:
    return b"[" + b",".join(map(message, entries)) + b"]"


def cursor(now: int, ahead: int) -> str:
    return str((now - FIRST_INTERVAL) // INTERVAL + ahead)


def ahead_of(known: str, now: int) -> int:
    """How far a client's next cursor must be ahead of the present one, so that it always grows."""
    if not (known.isascii() and known.isdigit() and len(known) <= 15):
        return 0
    return max(0, int(known) + 1 - int(cursor(now, 0)))


def control(offset: str, at_tail: bool, closed: bool, ahead: int) -> bytes:
    said: dict[str, Any] = {"streamNextOffset": offset}
    if not closed:
        said["streamCursor"] = cursor(clock.now_ms(), ahead)
    if at_tail:
        said["upToDate"] = True
    if closed:
        said["streamClosed"] = True
    return b"event: control\ndata:" + encode(said) + b"\n\n"


def data(entries: Sequence[Entry]) -> bytes:
    return b"event: data\ndata:" + listed(entries) + b"\n\n" if entries else b""


@dataclass(frozen=True)
class Events:
    """How a stream words a change. Those with the same fields are equal, so viewers share it."""

    kind: EntryKind
    ahead: int

    def __call__(self, step: Step) -> bytes:
        n = step.entries[-1].n if step.entries else step.head.total(self.kind)
        offset = offset_of(step.cursor.epoch, step.head, n)
        closed = step.complete and step.head.finished
        return data(step.entries) + control(offset, step.complete, closed, self.ahead)


def form(kind: EntryKind, ahead: int = 0) -> Form:
    return Form(Events(kind, ahead), frozenset({kind}), heads=False)
