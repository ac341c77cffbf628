"""A loop whose time a test moves by hand: nothing in a test waits for a real clock."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

START_MS = 1_700_000_000_000


class HandLoop(asyncio.SelectorEventLoop):
    _ready: deque[Any]  # of the standard library's loop
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return START_MS + round(self.now * 1000)

    def next_timer(self) -> float:
        return self._scheduled[0].when() if self._scheduled else float("inf")


def hand_loop() -> HandLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HandLoop)
    return loop


async def idle() -> None:
    """Until no task can go on without time or another test step."""
    loop = hand_loop()
    await asyncio.sleep(0)
    while loop._ready:  # noqa: ASYNC110  there is no event to wait for
        await asyncio.sleep(0)


async def advance(seconds: float) -> None:
    """Move the time, and run each timer at its own moment."""
    loop = hand_loop()
    await idle()
    end = loop.now + seconds
    while (timer := loop.next_timer()) <= end:
        loop.now = max(loop.now, timer)
        await idle()
    loop.now = end
    await idle()
