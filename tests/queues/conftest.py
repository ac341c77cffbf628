"""What the modules share: a Redis for all of them, and for each an empty database of it, a server
and a spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.processes import environment
from tests.support.api import Api
from tests.support.redis import Redis
from tests.support.server import Server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis() as running:
        yield running


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data) as server, Api(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def env(redis: Redis, api: Api, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the sender and the worker."""
    return environment(api.url, tmp_path_factory.mktemp("spool"), BROKER=redis.database())


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server that does not wait long for silent workers: only for jobs that have to be lost."""
    data = tmp_path_factory.mktemp("hasty") / "data"
    patience = ("--heartbeat-timeout", "0.5", "--lost-after", "1.5")
    with Server(data, *patience) as server, Api(server.url) as client:
        yield client


@pytest.fixture
def hasty_env(redis: Redis, hasty: Api, tmp_path: Path) -> dict[str, str]:
    return environment(hasty.url, tmp_path / "spool", BROKER=redis.database())
