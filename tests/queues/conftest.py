"""A Redis for all tests of queues, and an empty database of it for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis import Redis


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis() as running:
        yield running


@pytest.fixture(scope="module")
def broker(redis: Redis) -> str:
    """The URL of a database that no other module uses."""
    return redis.database()
