"""Hand a function to a connection's thread, and block the event loop for a moment.

A small commit takes less time than two threads need to wake each other: through a sleeping loop,
and through the GIL, which a busy loop keeps. So the loop blocks until a small commit has ended. Of
a large one it waits only for the begin: inside SQLite the thread needs no GIL, and the two run in
parallel. It never blocks for more than a moment. After that, it awaits the end like any other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Handed(Generic[T]):
    """One call of a function. The thread calls `run`, and the event loop everything else."""

    def __init__(self, fn: Callable[[Callable[[], None]], T], *, to_end: bool) -> None:
        """`fn` gets a callback, and calls it at its begin. `to_end`: block until the end."""
        self.ended = False
        self._fn = fn
        self._to_end = to_end
        self._open = False
        self._gate = threading.Lock()
        self._gate.acquire()
        self._loop = asyncio.get_running_loop()
        self._awaited: asyncio.Future[None] | None = None  # the loop has gone on
        self._value: T
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value = self._fn(self._begun)
        except BaseException as error:  # noqa: BLE001  whatever it is, the loop gets it
            self._error = error
        self.ended = True
        self._let_go()
        if self._awaited is not None:
            self._loop.call_soon_threadsafe(self._settle)

    def block(self, seconds: float) -> None:
        """Block the event loop for at most so long."""
        with suppress(Exception):  # a debugging tool may forbid blocking; the call is under way
            self._gate.acquire(timeout=seconds)

    async def outcome(self) -> T:
        if not self.ended:
            self._awaited = self._loop.create_future()
            if not self.ended:  # or else `run` may not have seen the future
                await self._awaited
        if self._error is not None:
            raise self._error
        return self._value

    def _begun(self) -> None:
        if not self._to_end:
            self._let_go()

    def _let_go(self) -> None:
        if not self._open:
            self._open = True
            self._gate.release()

    def _settle(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
