"""What a store says of other nodes when only one can use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from livejobs.store.base import Beat, Pulse


class SingleStore:
    """The base of such stores: a NodeStore without other nodes."""

    shared: bool = False

    def __init__(self) -> None:
        # Of this run: with one server nobody else could read them.
        self._meta: dict[str, str] = {}

    def listen(self, heard: Callable[[str, int], None]) -> None:
        """There is nothing to hear."""

    @asynccontextmanager
    async def alone(self, projects: Iterable[str]) -> AsyncIterator[None]:
        yield

    async def pulse(self, beats: Sequence[Beat]) -> Pulse:
        return NOTHING_NEW

    async def others(self) -> int:
        return 0

    async def meta(self, name: str) -> str | None:
        return self._meta.get(name)

    async def set_meta(self, name: str, value: str, *, only_new: bool = False) -> str:
        if not (only_new and name in self._meta):
            self._meta[name] = value
        return self._meta[name]


NOTHING_NEW: Final = Pulse(())
