"""Documents that are made on their first request: they would take a fifth of the start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Made:
    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._body: bytes | None = None

    def now(self) -> bytes:
        if self._body is None:
            self._body = self._make()
        return self._body

    async def body(self) -> bytes:
        """The same, made in a thread, so that nothing waits for it but this request."""
        return self._body if self._body is not None else await asyncio.to_thread(self.now)
