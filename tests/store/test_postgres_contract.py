"""The contract of every store (test_store*.py), and the agreement with the store in memory, once
more for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from livejobs.store.base import Store
from livejobs.store.postgres.store import PostgresStore
from tests.store.contract import KEPT
from tests.store.test_store_agreement import Agreement
from tests.support.examples import examples
from tests.support.postgres import EMPTY, Postgres

# All of its tests, with the fixture below.
for path in sorted(Path(__file__).parent.glob("test_store*.py")):
    if path.stem != "test_store_agreement":
        contract = vars(import_module(f"tests.store.{path.stem}"))
        globals().update({name: it for name, it in contract.items() if name.startswith("test_")})


async def empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(EMPTY)
    await connection.close()


@pytest.fixture
async def store(postgres: Postgres, database: str) -> AsyncIterator[Store]:
    await empty(database)
    store = PostgresStore(database, gone_kept=KEPT)
    await store.open()
    await store.project("default")
    yield store
    await store.close()


def test_postgresql_and_memory_return_the_same_from_every_verb(database: str) -> None:
    class PostgresAgreement(Agreement):
        def make(self) -> Store:
            asyncio.run(empty(database))
            return PostgresStore(database, gone_kept=KEPT)

        def check(self) -> None:
            asyncio.run(assert_sound(database))

    run_state_machine_as_test(
        PostgresAgreement, settings=settings(max_examples=examples(10), stateful_step_count=30)
    )


async def assert_sound(url: str) -> None:
    """The tables that are kept for speed agree with those they come from."""
    db = await asyncpg.connect(url)
    counted = "SELECT project, label, status, count(*) FROM livejobs.labels GROUP BY 1, 2, 3"
    kept = "SELECT project, label, status, n FROM livejobs.counters WHERE n <> 0"
    assert not await db.fetch(f"({counted} EXCEPT {kept}) UNION ({kept} EXCEPT {counted})")
    there = "SELECT project, pk FROM livejobs.jobs"
    lost = f"SELECT count(*) FROM livejobs.{{}} WHERE (project, pk) NOT IN ({there})"
    for table in ("heads", "labels", "search"):
        assert await db.fetchval(lost.format(table)) == 0, table
    orphans = lost.format("entries").replace("(project, pk) NOT", "(project, key >> 32) NOT")
    assert await db.fetchval(orphans) == 0
    await db.close()
