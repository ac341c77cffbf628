"""A server with the face `streams`, shared by the tests of that face."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture(scope="package")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    options = ("--rate-read", "100000/s", "--rate-report", "100000/s")
    data = tmp_path_factory.mktemp("streams") / "data"
    with Server(data, "--faces", "streams", *options) as server, Api(server.url) as api:
        yield api
