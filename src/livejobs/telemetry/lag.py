"""How late the event loop runs what is due: the time that every request and message waits, too."""

from __future__ import annotations

import asyncio
from typing import Final

from livejobs import clock
from livejobs.telemetry.histogram import SECONDS, Histogram

EVERY: Final = 0.5  # seconds


class LoopLag:
    def __init__(self) -> None:
        self.seconds = Histogram(SECONDS)

    async def run(self) -> None:
        while True:
            due = clock.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self.seconds.add(max(0.0, clock.monotonic() - due))
