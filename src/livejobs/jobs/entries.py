"""What the server keeps in memory of a job's entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw

from livejobs.core import wire
from livejobs.core.model import Entry, EntryKind, Head, Record, size_of

OBJECT: Final = 150  # bytes that an entry takes beside its value, with what a face makes of it


class Last:
    """The last results, or the last errors, of a job: as many as the job's state shows."""

    __slots__ = ("size", "values")

    def __init__(self) -> None:
        self.values: deque[Raw] = deque()
        self.size = 0

    def append(self, value: Raw) -> None:
        self.values.append(value)
        self.size += len(bytes(value))
        while len(self.values) > wire.LAST or self.size > wire.LAST_BYTES:
            self._drop()

    def limit(self, most: int) -> None:
        while len(self.values) > most:
            self._drop()

    def _drop(self) -> None:
        self.size -= len(bytes(self.values.popleft()))


class Tail:
    """The last results and errors of a job, as its state shows them."""

    __slots__ = ("_errors", "_results")

    def __init__(self) -> None:
        self._results = Last()
        self._errors = Last()

    @property
    def results(self) -> deque[Raw]:
        return self._results.values

    @property
    def errors(self) -> deque[Raw]:
        return self._errors.values

    @property
    def size(self) -> int:
        return self._results.size + self._errors.size

    def append(self, value: Raw, kind: EntryKind) -> None:
        (self._results if kind == "results" else self._errors).append(value)

    def limit(self, head: Head) -> None:
        """Drop what the head has as removed."""
        self._results.limit(head.results_total - head.removed("results"))
        self._errors.limit(head.errors_total - head.removed("errors"))


class Whole:
    """All results and errors that are kept of a job, for the faces, which show them all. The store
    is read once; after that each commit appends its entries, so the next poll needs no query."""

    __slots__ = ("errors", "made", "results", "size")

    def __init__(self) -> None:
        self.results: list[Raw] = []
        self.errors: list[Raw] = []
        self.made: dict[Any, Any] = {}  # what faces decoded; an entry never changes
        self.size = 0

    def append(self, value: Raw, kind: EntryKind) -> None:
        (self.results if kind == "results" else self.errors).append(value)
        self.size += len(bytes(value)) + OBJECT

    def limit(self, head: Head) -> None:
        """Drop what the head has as removed."""
        both: tuple[tuple[EntryKind, list[Raw]], ...] = (
            ("results", self.results),
            ("errors", self.errors),
        )
        for kind, values in both:
            over = len(values) - head.total(kind) + head.removed(kind)
            if over > 0:
                self.size -= sum(len(bytes(value)) + OBJECT for value in values[:over])
                del values[:over]
                self.made.clear()


class Recent:
    """The last entries with their seqs, so that a client that reconnects soon needs no query.
    The entries of one change stay together, because they have one seq."""

    __slots__ = ("changes", "count", "floor", "size")

    COUNT: Final = 256
    BYTES: Final = 64 * 1024

    def __init__(self, floor: int) -> None:
        self.floor = floor  # every entry with a higher seq is here
        self.changes: deque[tuple[int, Sequence[Entry], int]] = deque()
        self.count = 0
        self.size = 0

    def append(self, seq: int, entries: Sequence[Entry]) -> None:
        size = size_of(entries)
        self.changes.append((seq, entries, size))
        self.count += len(entries)
        self.size += size
        while self.size > self.BYTES or self.count > self.COUNT:
            self.floor, oldest, size = self.changes.popleft()
            self.count -= len(oldest)
            self.size -= size

    def after(self, seq: int) -> list[Record] | None:
        """Entries with a higher seq; None if some of them are no longer in memory."""
        if seq < self.floor:
            return None
        newer = ((at, entries) for at, entries, _ in self.changes if at > seq)
        return [Record(at, entry) for at, entries in newer for entry in entries]
