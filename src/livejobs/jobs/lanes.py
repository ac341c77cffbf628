"""Who is next: the place of a queued job among those of its project and type.

A lane is a sorted list of tickets, numbered as jobs join it, so a place is one bisection and
nothing has to be told when the queue moves.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, TypeAlias

from livejobs.core.model import Head
from livejobs.core.wire import Queue

LaneKey: TypeAlias = tuple[str, str | None]  # project and type

SMOOTHING: Final = 0.2
WARM_UP: Final = 2  # starts seen before an estimate means something


class Lane:
    """The queued jobs of one project and type, and how often one of them starts."""

    def __init__(self) -> None:
        self.tickets: list[int] = []
        self.moves = 0  # grows with every change, so that a cached place can be told stale
        self._interval = 0.0  # smoothed milliseconds between starts while others waited
        self._starts = 0
        self._last_start: int | None = None

    def join(self, ticket: int) -> None:
        self.tickets.append(ticket)
        self.moves += 1

    def leave(self, ticket: int, now: int, *, started: bool) -> None:
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
        # An idle lane says nothing about the pace: measure anew when it fills again.
        self._last_start = now if self.tickets else None

    def place(self, ticket: int, now: int) -> Queue:
        position = bisect_left(self.tickets, ticket) + 1
        return Queue(position, len(self.tickets), self._eta(position, now))

    def _eta(self, position: int, now: int) -> float | None:
        if self._starts <= WARM_UP or self._last_start is None:
            return None
        since = max(0, now - self._last_start)
        return round(max(0.0, position * self._interval - since) / 1000, 1)


class Lanes:
    """All lanes, made when a job joins one. A lane that never fills again stays, small, for
    its pace; there are as many as pairs of project and type."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._next = 0
        self.queued = 0

    def join(self, head: Head) -> tuple[Lane, int]:
        lane = self._lanes.setdefault((head.project, head.type), Lane())
        self._next += 1
        lane.join(self._next)
        self.queued += 1
        return lane, self._next

    def length(self, head: Head) -> int:
        """How many wait where this job does, or did."""
        lane = self._lanes.get((head.project, head.type))
        return 0 if lane is None else len(lane.tickets)

    def leave(self, lane: Lane, ticket: int, now: int, *, started: bool) -> None:
        lane.leave(ticket, now, started=started)
        self.queued -= 1
