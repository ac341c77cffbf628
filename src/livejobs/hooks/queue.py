"""The deliveries that wait, in memory: which may be sent now.

Deliveries of one job to one webhook are a lane: only its first one is sent, so they arrive in
order. A receiver has few requests at a time, and one at a time while it fails. So a slow receiver
holds up nobody else. Nothing here waits, reads a clock, or knows the store.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Final, TypeAlias

from msgspec.structs import replace

from livejobs.store.hooks import Waiting

AT_ONCE: Final = 200  # requests under way
OF_RECEIVER: Final = 4  # of them to one receiver
MOST_WAITING: Final = 20_000  # for one receiver
PACES_KEPT: Final = 10_000
STEP: Final = 1_000  # ms; a clock that goes back by more was set

Key: TypeAlias = tuple[str, str]  # webhook, job


class _Lane:
    __slots__ = ("busy", "items", "ready_at")

    def __init__(self) -> None:
        self.items: deque[Waiting] = deque()
        self.busy = False
        self.ready_at = 0


class _Receiver:
    __slots__ = ("busy", "failing", "parked", "waiting")

    def __init__(self) -> None:
        self.busy = 0
        self.failing = False
        self.waiting = 0
        self.parked: deque[Key] = deque()  # lanes that could be sent, were there room

    @property
    def room(self) -> int:
        return (1 if self.failing else OF_RECEIVER) - self.busy


class Queue:
    def __init__(self) -> None:
        self.busy = 0
        self._lanes: dict[Key, _Lane] = {}
        self._receivers: dict[str, _Receiver] = {}
        self._heap: list[tuple[int, int, Key]] = []  # when, n, lane
        self._paces: dict[Key, int] = {}  # until then a lane sends no more progress
        self._waiting = 0
        self._now = 0  # of the last start

    def __len__(self) -> int:
        return self._waiting

    def oldest(self) -> int | None:
        """Since when the longest waiting delivery waits."""
        return min((lane.items[0].at for lane in self._lanes.values()), default=None)

    def add(self, it: Waiting) -> bool:
        """False: its receiver has too many already."""
        receiver = self._receivers.setdefault(it.receiver, _Receiver())
        if receiver.waiting >= MOST_WAITING:
            return False
        receiver.waiting += 1
        self._waiting += 1
        lane = self._lanes.setdefault((it.hook, it.job), _Lane())
        lane.items.append(it)
        if len(lane.items) == 1:
            self._ready((it.hook, it.job), lane)
        return True

    def start(self, now: int) -> list[Waiting]:
        """The deliveries to send now. Call `done` for each."""
        if now < self._now - STEP:
            self._set_back(self._now - now)
        self._now = now
        started = []
        while self._heap and self._heap[0][0] <= now and self.busy < AT_ONCE:
            ready_at, n, key = heappop(self._heap)
            lane = self._lanes.get(key)
            if lane is None or lane.busy or (lane.ready_at, lane.items[0].n) != (ready_at, n):
                continue  # it was moved since
            receiver = self._receivers[lane.items[0].receiver]
            if receiver.room <= 0:
                receiver.parked.append(key)
                continue
            lane.busy = True
            receiver.busy += 1
            self.busy += 1
            started.append(lane.items[0])
        return started

    def next_at(self) -> int | None:
        """When the next one may be sent; None: none waits for a time."""
        return self._heap[0][0] if self._heap and self.busy < AT_ONCE else None

    def done(
        self, it: Waiting, *, again_at: int | None, failing: bool, pace: int = 0, attempts: int = 0
    ) -> None:
        """The attempt is over. `again_at`: it waits until then, after so many `attempts`. `pace`:
        until then the lane sends no more progress."""
        key = (it.hook, it.job)
        lane, receiver = self._lanes[key], self._receivers[it.receiver]
        lane.busy = False
        self.busy -= 1
        receiver.busy -= 1
        receiver.failing = failing
        if pace:
            self._keep_pace(key, pace)
        if again_at is not None:
            lane.items[0] = replace(lane.items[0], next_at=again_at, attempts=attempts)
        else:
            lane.items.popleft()
            receiver.waiting -= 1
            self._waiting -= 1
        if lane.items:
            self._ready(key, lane)
        else:
            del self._lanes[key]
        self._unpark(receiver)
        if not receiver.waiting:
            del self._receivers[it.receiver]

    def _set_back(self, by: int) -> None:
        """The clock was. What waits must not wait until the clock is there again."""
        self._paces.clear()
        self._heap.clear()
        for receiver in self._receivers.values():
            receiver.parked.clear()
        for key, lane in self._lanes.items():
            lane.items = deque(replace(it, next_at=it.next_at - by) for it in lane.items)
            if not lane.busy:
                self._ready(key, lane)

    def _ready(self, key: Key, lane: _Lane) -> None:
        first = lane.items[0]
        pace = self._paces.get(key, 0) if first.event == "progress" else 0
        lane.ready_at = max(first.next_at, pace)
        heappush(self._heap, (lane.ready_at, first.n, key))

    def _unpark(self, receiver: _Receiver) -> None:
        for _ in range(receiver.room):
            if not receiver.parked:
                return
            key = receiver.parked.popleft()
            if (lane := self._lanes.get(key)) is not None and not lane.busy:
                self._ready(key, lane)

    def _keep_pace(self, key: Key, until: int) -> None:
        self._paces.pop(key, None)  # the oldest come first
        self._paces[key] = until
        if len(self._paces) > PACES_KEPT:
            del self._paces[next(iter(self._paces))]
