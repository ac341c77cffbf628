"""The reports that wait to be sent: those in memory, and those that are only on disk.

They are in three parts, oldest first: the head in memory, a gap that is only on disk, and a tail in
memory. The tail is used only while there is a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from livejobs.client.sending.exchange import BYTES, ENDS, Record

KEEP: Final = 1024 * 1024  # bytes kept in memory of what is on disk, to be sent next
OVERHEAD: Final = 200  # bytes that a record takes in memory beside its body


class Waiting:
    def __init__(self, gap: tuple[int, int] | None = None) -> None:
        """`gap`: all of it is on disk, and was left by a process that has gone."""
        self.bytes = 0  # in memory, with those on their way
        self.spooled = gap[1] if gap else 0  # what is on disk reaches up to this number
        self._inherited = gap is not None
        self._head: deque[Record] = deque()
        self._gap = gap
        self._tail: deque[Record] = deque()
        self._taken: tuple[Record, ...] = ()  # on their way: not acknowledged yet

    def __bool__(self) -> bool:
        """Whether there are any, those on their way aside."""
        return bool(self._head or self._gap or self._tail)

    def fits(self, most: int) -> bool:
        """Whether the next request takes all of them, and has room for more."""
        return self._gap is None and len(self._head) < most

    def put(self, record: Record) -> None:
        (self._tail if self._gap else self._head).append(record)
        self.bytes += len(record.body) + OVERHEAD  # without a call, as each report comes here

    # On their way

    def take(self, most: int) -> tuple[Record, ...]:
        """The next ones to send. Their answer is one of the following calls."""
        records: list[Record] = []
        size = 0
        while self._head and len(records) < most:
            size += len(self._head[0].body) + 1
            if records and size > BYTES:
                break
            records.append(self._head.popleft())
        self._taken = tuple(records)
        return self._taken

    def acknowledged(self) -> None:
        self.bytes -= _sizes(self._taken)
        self._taken = ()

    def put_back(self, records: Sequence[Record]) -> None:
        """These are sent again, instead of those on their way."""
        self.acknowledged()
        self.bytes += _sizes(records)
        self._head.extendleft(reversed(records))

    def clear(self) -> int:
        """How many were in memory, with those on their way."""
        count = len(self._taken) + len(self._head) + len(self._tail)
        self._taken, self._gap, self.bytes = (), None, 0
        self._head.clear()
        self._tail.clear()
        return count

    # On disk

    def unspooled(self) -> list[Record]:
        """What is not on disk yet, oldest first."""
        memory = (*self._taken, *self._head, *self._tail)
        return [record for record in memory if record.n > self.spooled]

    def written(self, n: int) -> None:
        """All up to this number is on disk."""
        self.spooled = n

    def shed(self) -> None:
        """Let go of what is on disk, but for what is sent next."""
        part = self._tail if self._gap else self._head
        kept = deque[Record]() if self._gap else self._first_of(part)
        first = last = 0
        while part and part[0].n <= self.spooled:
            record = part.popleft()
            self.bytes -= _size(record)
            first, last = first or record.n, record.n
        if self._gap:
            self._gap = (self._gap[0], last or self._gap[1])
        elif first:
            self._head, self._gap, self._tail = kept, (first, last), part
        else:
            part.extendleft(reversed(kept))

    def _first_of(self, part: deque[Record]) -> deque[Record]:
        kept: deque[Record] = deque()
        room = KEEP
        while part and part[0].n <= self.spooled and room > 0:
            room -= _size(part[0])
            kept.append(part.popleft())
        return kept

    def missing(self) -> int | None:
        """The number from which to read back what is on disk, when it is needed."""
        return self._gap[0] if self._gap and not self._head else None

    def refill(self, records: Sequence[Record]) -> None:
        """What was read back, from `missing` on. Nothing: the disk has lost the rest."""
        assert self._gap is not None
        last = self._gap[1]
        back = [record for record in records if record.n <= last]
        # Nobody waits for the answers to what a process asked that has gone.
        kept = [record for record in back if not (self._inherited and record.kind == "ask")]
        self._head.extend(kept)
        self.bytes += _sizes(kept)
        if not back or back[-1].n >= last:
            self._gap = None
            self._head.extend(self._tail)
            self._tail.clear()
        else:
            self._gap = (back[-1].n + 1, last)

    def drop(self, bound: int) -> int:
        """The disk refuses: where memory is full, drop the oldest log lines, then the oldest of
        the rest. What is on its way cannot be dropped, so nothing else is dropped for it. Returns
        how many are dropped."""
        bound += _sizes(self._taken)
        if self.bytes <= bound:
            return 0
        goal = bound * 3 // 4  # more than needed, so that it is not done again for each line
        dropped = 0
        for may_go in (_is_log, _is_no_end):
            for part in (self._head, self._tail):
                dropped += self._drop_from(part, goal, may_go)
        return dropped

    def _drop_from(self, part: deque[Record], goal: int, may_go: Callable[[Record], bool]) -> int:
        if self.bytes <= goal:
            return 0
        before = len(part)
        for record in [part.popleft() for _ in range(before)]:
            if self.bytes > goal and may_go(record):
                self.bytes -= _size(record)
            else:
                part.append(record)
        return before - len(part)


def _size(record: Record) -> int:
    return len(record.body) + OVERHEAD


def _sizes(records: Sequence[Record]) -> int:
    return sum(map(_size, records))


def _is_log(record: Record) -> bool:
    return record.kind == "log"


def _is_no_end(record: Record) -> bool:
    return record.kind not in ENDS
