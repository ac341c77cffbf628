"""One server for the tests of a module, with an agent of each era."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.agent import LEGACY, MODERN, Agent
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture(params=[MODERN, LEGACY])
def either(shared: Server, request: pytest.FixtureRequest) -> Iterator[Agent]:
    with Agent(shared.url, version=request.param) as agent:
        yield agent


@pytest.fixture
def agent(shared: Server) -> Iterator[Agent]:
    with Agent(shared.url) as agent:
        yield agent


@pytest.fixture
def legacy(shared: Server) -> Iterator[Agent]:
    with Agent(shared.url, version=LEGACY) as agent:
        yield agent


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as api:
        yield api
