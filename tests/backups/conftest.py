"""A PostgreSQL and an object store for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.objects import ObjectStore
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def objects() -> Iterator[ObjectStore]:
    with ObjectStore() as running:
        yield running
