"""The product's verbs over a store, and what the tests say and read with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from livejobs import LiveJobs, Settings
from livejobs.core.model import Record
from livejobs.store.base import Store
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda path: SqliteStore(path / "livejobs.db"),
}


def over(store: Store, tmp_path: Path, **settings: Any) -> LiveJobs:
    return LiveJobs(Settings(data=tmp_path, **settings), store=store)


def logs(*messages: str) -> list[dict[str, Any]]:
    return [{"type": "log", "message": message} for message in messages]


async def said(pages: AsyncIterator[Sequence[Record]]) -> list[int]:
    return [record.entry.n async for records in pages for record in records]
