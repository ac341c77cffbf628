"""Every store in turn, and a PostgreSQL for all tests of a worker, with a database of it that
every test finds empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from livejobs.store.base import Store
from livejobs.store.postgres.store import PostgresStore
from tests.store.contract import STORES
from tests.support.postgres import Postgres


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    await store.open()
    await store.project("default")
    yield store
    await store.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> str:
    url = postgres.database("contract")

    async def create_tables() -> None:
        store = PostgresStore(url)
        await store.open()
        await store.close()

    asyncio.run(create_tables())
    return url
