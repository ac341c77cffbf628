"""A PostgreSQL for all tests of a worker, and a database of it that every test finds empty."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from livejobs.store.postgres.store import PostgresStore
from tests.support.postgres import Postgres


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
