"""A server for the tests of a module, and `livejobs run` as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.run.runner import ELSEWHERE, Runner
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, "--allowed-hosts", ELSEWHERE) as running:
        yield running


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


@pytest.fixture
def runner(shared: Server, tmp_path: Path) -> Runner:
    return Runner(shared.url, tmp_path)
