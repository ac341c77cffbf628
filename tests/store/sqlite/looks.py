"""What the tests of the SQLite store ask of it and of its connections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from livejobs.store.base import StoreUnusable
from livejobs.store.sqlite.store import Connection, SqliteStore
from tests.store.contract import create, job


async def refused(path: Path, **how: Any) -> str:
    """Why the store can't be opened."""
    store = SqliteStore(path, **how)
    with pytest.raises(StoreUnusable) as caught:
        await store.open()
    return str(caught.value)


async def filled(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    await create(store, *(job(f"j{n}", title="x" * 500) for n in range(100)))
    await store.close()


async def statements(store: SqliteStore, doing: Any) -> list[str]:
    """The statements that SQLite runs meanwhile, with their parameters."""
    texts: list[str] = []
    for one in connections(store):
        await one.set_trace_callback(texts.append)
    await doing
    for one in connections(store):
        await one.set_trace_callback(lambda _: None)
    fts = ("search_", "data_version")  # statements of FTS5 on its own tables
    return [text for text in dict.fromkeys(texts) if not any(word in text for word in fts)]


def connections(store: SqliteStore) -> Sequence[Connection]:
    return store._connections
