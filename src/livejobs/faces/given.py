"""What the shapes of faces are given: a job's head and entries, all as of one moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from livejobs.core.errors import NotFound
from livejobs.core.model import EntryKind, Head
from livejobs.core.reducer import ErrorLine, LogLine
from livejobs.jobs.entries import Whole
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.store.base import EntryQuery

T = TypeVar("T")
Line = TypeVar("Line")

LOG_SIZE: Final = 16 << 20  # characters of a job's log in one answer: the last of a longer one
LOG_LINES: Final = 100_000
LOGS_AT_ONCE: Final = 1000


class ResultLine(Struct):
    n: int
    at: str
    value: Raw


class Listed(Generic[Line]):
    """All entries of a kind. What is made of an entry is kept as the list grows."""

    def __init__(
        self,
        line: type[Line],
        entries: Sequence[Raw] = (),
        made: dict[Any, Any] | None = None,
    ) -> None:
        self._line = line
        self._entries = entries
        self._made = {} if made is None else made

    def each(self, make: Callable[[Line], T | None]) -> Sequence[T]:
        """What `make` returns for each entry, without None. It must be the same function each
        time: earlier results are found by it."""
        made: Made = self._made.setdefault(make, Made())
        for entry in self._entries[made.seen :]:
            one = make(msgspec.json.decode(entry, type=self._line))
            if one is not None:
                made.list.append(one)
        made.seen = len(self._entries)
        return made.list


class Made:
    def __init__(self) -> None:
        self.seen = 0
        self.list: list[Any] = []


class Around(NamedTuple):
    """What belongs to a job beside its head, as of the same moment. A way names the kinds of
    entries that it needs; the others are empty."""

    results: Listed[ResultLine] = Listed(ResultLine)
    errors: Listed[ErrorLine] = Listed(ErrorLine)
    logs: Sequence[LogLine] = ()
    base: str = ""  # before every link, where the app is mounted
    origin: str = ""  # before the base, for links that must be absolute; empty: not known


Shape: TypeAlias = Callable[[Head, Around], Any]
Needs: TypeAlias = Callable[[Head], Sequence[EntryKind]]


def all_of(*kinds: EntryKind) -> Needs:
    """All entries of these kinds, in every state of the job."""

    def needs(head: Head) -> Sequence[EntryKind]:
        return kinds

    return needs


nothing: Final = all_of()


# Reading


async def seen(live: LiveJobs, slot: Slot, shape: Shape, needs: Needs) -> Any:
    """The shape of the job as of one moment: its head, and all entries that it counts."""
    with slot.held_whole():
        while True:
            kinds = needs(slot.head)
            whole = await live.whole(slot) if {"results", "errors"} & {*kinds} else Whole()
            logs = await _logs(live, slot) if "logs" in kinds else ()
            if needs(slot.head) == kinds:  # unchanged while its log was read
                break
        if slot.gone:  # and its entries with it, while they were read
            raise NotFound.job(slot.head.id)
    results = Listed(ResultLine, whole.results, whole.made)
    errors = Listed(ErrorLine, whole.errors, whole.made)
    origin = live.settings.public_url or ""
    return shape(slot.head, Around(results, errors, logs, slot.base, origin))


async def _logs(live: LiveJobs, slot: Slot) -> Sequence[LogLine]:
    """All lines, or only the newest if there are very many."""
    lines: deque[LogLine] = deque()
    size, read = 0, max(0, slot.head.logs_total - LOG_LINES)
    while read < slot.head.logs_total and not slot.gone:
        query = EntryQuery(slot.head.id, "logs", after=read, limit=LOGS_AT_ONCE)
        for record in await live.entries(query):
            if record.entry.n <= slot.head.logs_total:
                lines.append(msgspec.json.decode(record.entry.value, type=LogLine))
                size, read = size + len(lines[-1].message) + 1, record.entry.n
        while size > LOG_SIZE:
            size -= len(lines.popleft().message) + 1
    return lines
