"""The place of a queued job among the queued jobs of its project and type.

A lane is a sorted list of tickets: when a job was queued, and a number for those of the same
millisecond. So a place is one bisection, a job that leaves needs no update of the others, and all
nodes that share a database see the same order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, TypeAlias

from livejobs.core.model import Head
from livejobs.core.wire import Queue

LaneKey: TypeAlias = tuple[str, str | None]  # project and type
Ticket: TypeAlias = tuple[int, int]

SMOOTHING: Final = 0.2
WARM_UP: Final = 2  # starts before an estimate makes sense


class Lane:
    """The queued jobs of one project and type, and how often one of them starts."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.moves = 0  # grows with every change; shows that a cached place is stale
        self._interval = 0.0  # smoothed milliseconds between starts while others waited
        self._starts = 0
        self._last_start: int | None = None

    def join(self, ticket: Ticket) -> None:
        insort(self.tickets, ticket)
        self.moves += 1

    def leave(self, ticket: Ticket, now: int, *, started: bool) -> None:
        at = bisect_left(self.tickets, ticket)
        if at < len(self.tickets) and self.tickets[at] == ticket:
            del self.tickets[at]
            self.moves += 1
        if started:
            self._note_start(now)

    def _note_start(self, now: int) -> None:
        if self._last_start is not None and now >= self._last_start:
            passed = now - self._last_start
            weight = 1.0 if self._starts == 1 else SMOOTHING
            self._interval += (passed - self._interval) * weight
        self._starts += 1
        # An idle lane has no pace: measure again when it fills.
        self._last_start = now if self.tickets else None

    def place(self, ticket: Ticket, now: int) -> Queue:
        position = bisect_left(self.tickets, ticket) + 1
        return Queue(position, len(self.tickets), self._eta(position, now))

    def _eta(self, position: int, now: int) -> float | None:
        if self._starts <= WARM_UP or self._last_start is None:
            return None
        since = max(0, now - self._last_start)
        return round(max(0.0, position * self._interval - since) / 1000, 1)


class Lanes:
    """All lanes. A lane is created when the first job joins it. It stays when it is empty, to keep
    its pace; there is at most one for each pair of project and type."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._next = 0
        self.queued = 0

    def join(self, head: Head) -> tuple[Lane, Ticket]:
        lane = self._lanes.setdefault((head.project, head.type), Lane())
        self._next += 1
        ticket = head.queued_at, self._next
        lane.join(ticket)
        self.queued += 1
        return lane, ticket

    def length(self, head: Head) -> int:
        """How many jobs wait in this job's lane."""
        lane = self._lanes.get((head.project, head.type))
        return 0 if lane is None else len(lane.tickets)

    def leave(self, lane: Lane, ticket: Ticket, now: int, *, started: bool) -> None:
        lane.leave(ticket, now, started=started)
        self.queued -= 1
