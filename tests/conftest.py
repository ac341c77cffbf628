"""What every test may ask for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.certificate import Certificate, make_certificate
from tests.server import LONG_ENOUGH, Server
from tests.support.quick import is_quick

# A busy machine is no failure: neither where values are thought up, nor where they are tried …
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# … nor where a server is asked: httpx gives it 5 s, which a disk that syncs beside others may take.
# The default is one object for all its calls.
hurry = inspect.signature(httpx2.Client).parameters["timeout"].default
hurry.connect = hurry.read = hurry.write = hurry.pool = LONG_ENOUGH


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what starts a process")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if not is_quick(item)])
        items[:] = filter(is_quick, items)


@pytest.fixture(autouse=True)
def our_code_does_not_block_the_loop() -> Iterator[None]:
    """A blocking call made by livejobs inside the event loop is an error."""
    with blockbuster_ctx("livejobs") as calls:
        # A commit's head start: for a moment, and why is said there.
        calls.functions["threading.Lock.acquire"].can_block_in("store/sqlite.py", "commit")
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real server over an empty data folder."""
    with Server(tmp_path / "data") as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of localhost, by an authority that only the tests know."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))
