"""Notice SIGTERM and SIGINT under a server of others, which handles them.

uvicorn, gunicorn and others wait until open streams have ended before they stop the app, and a
stream ends only when the app ends it. So the app handles the signal too: it installs its own
handler, which calls the server's, and restores the server's at the end.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Calls `stopping` in this event loop when one of the signals arrives."""

    def __init__(self, stopping: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = stopping
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        if _in_main_thread():  # Python sets handlers nowhere else
            for number in SIGNALS:
                self._chain(number)

    def _chain(self, number: int) -> None:
        before = signal.getsignal(number)
        if callable(before):  # else the process ends at once, or ignores the signal
            self._before[number] = before
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._stop, number, frame)
        except RuntimeError:  # the loop is closed
            self._before[number](number, frame)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End the streams, then call the server's handler: the server may close connections in its
        next turn. What `stopping` has queued, such as a `bye`, runs before the handler."""
        self._stopping()
        self._loop.call_soon(self._before[number], number, frame)

    def restore(self) -> None:
        """Restore the earlier handlers, except where a later handler has replaced ours."""
        if not _in_main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) == self._arrived:
                signal.signal(number, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
