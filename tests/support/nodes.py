"""A database in memory that several nodes of one process share."""

from __future__ import annotations

from livejobs.store.memory import MemoryStore


class Database(MemoryStore):
    """`alive` nodes use it."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.alive = 1

    async def others(self) -> int:
        return self.alive - 1
