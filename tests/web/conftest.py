"""One server for all tests of a job over REST; each makes jobs of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import Api
from tests.support.server import Server
from tests.web.sent import LOG, SUCCEED


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """It lives until the tests end: a start costs more than most tests here."""
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server.url


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    with Api(url) as api:
        yield api


@pytest.fixture
def id(api: Api) -> str:
    """A queued job."""
    return api.create()


@pytest.fixture(scope="package")
def spoken(url: str) -> str:
    """A finished job with 250 of each kind of entry."""
    levels = ["debug", "info", "warning", "error"]
    with Api(url) as api:
        id = api.create()
        for n in range(1, 251):
            api.report(
                id,
                {**LOG, "message": f"line {n}", "level": levels[n % 4], "source": "s"},
                {"type": "result", "value": {"n": n}},
                {"type": "error", "message": f"bad {n}", "item": n},
            )
        api.report(id, SUCCEED)
    return id
