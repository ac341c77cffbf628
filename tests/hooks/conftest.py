"""A server that may send webhooks to this machine, for all tests of a module, and a receiver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.receiver import Receiver
from tests.support.server import Server

ALLOW = ("--webhook-allow-private", "127.0.0.1", "--public-url", "https://jobs.example")


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hooks") / "data", *ALLOW) as running:
        yield running


@pytest.fixture
def api(allowed: Server) -> Iterator[Api]:
    with Api(allowed.url) as api:
        yield api


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
