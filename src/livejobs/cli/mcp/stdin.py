"""The lines of stdin, for asyncio.

A thread reads them: the event loop can't wait for a file. It uses `os.read`, as `report` does, and
is a daemon, so that an interrupted command need not wait for its client.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Final

from livejobs.cli.report.lines import PIECE, Line, Splitter

AHEAD: Final = 1  # pieces that are read before the loop takes them


async def lines_of(descriptor: int) -> AsyncIterator[Line]:
    pieces: asyncio.Queue[list[Line] | None] = asyncio.Queue(AHEAD)
    loop = asyncio.get_running_loop()

    def put(found: list[Line] | None) -> None:
        asyncio.run_coroutine_threadsafe(pieces.put(found), loop).result()

    def read() -> None:
        splitter = Splitter()
        with suppress(CancelledError, RuntimeError):  # the loop has ended
            try:
                while piece := os.read(descriptor, PIECE):
                    put(splitter.feed(piece))
            except OSError:
                pass  # a closed stdin has no lines
            put(splitter.end())
            put(None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (found := await pieces.get()) is not None:
        for line in found:
            yield line
