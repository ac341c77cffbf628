"""Calls that last: they end when their time is over, or when a legacy client cancels them.

A legacy client keeps the request open and sends `notifications/cancelled` in another one. There is
no session, so the call is found by its credential, address and id. Two clients may share all three.
So a cancelled call ends as it ends when its time is over: the wrong client just calls again.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Final, TypeAlias
from weakref import ReferenceType, WeakValueDictionary, ref

from livejobs.live.frames import Message
from livejobs.live.sink import Sink

Key: TypeAlias = tuple[str, str, bytes]  # credential, address, id

STEP: Final = 0.25  # seconds; calls whose time is over within a step share one timer
ENDED: Final = Message("end", b"{}")


def end(sink: Sink) -> None:
    """Send the last message now, or as soon as the client has taken what was sent before."""
    sink.farewell = ENDED
    sink.try_end(ENDED)


def end_if_there(known: ReferenceType[Sink]) -> None:
    sink = known()
    if sink is not None:
        end(sink)


class Lasting:
    def __init__(self) -> None:
        self._due: dict[int, list[ReferenceType[Sink]]] = {}  # by step
        self._loop: asyncio.AbstractEventLoop | None = None  # of the timers
        self._by_key: WeakValueDictionary[Key, Sink] = WeakValueDictionary()

    def add(self, sink: Sink, seconds: float, key: Key | None) -> None:
        """`key`: by which the client may cancel the call."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a second start of the service, whose first loop is gone
            self._loop, self._due = loop, {}
        step = ceil((loop.time() + seconds) / STEP)
        if step not in self._due:
            self._due[step] = []
            loop.call_at(step * STEP, self._end_step, step)
        self._due[step].append(ref(sink))
        if key is not None:
            self._by_key[key] = sink

    def _end_step(self, step: int) -> None:
        for known in self._due.pop(step):
            end_if_there(known)

    def cancel(self, key: Key) -> None:
        """A call that this node does not have ends by itself."""
        sink = self._by_key.get(key)
        if sink is not None:
            end(sink)
