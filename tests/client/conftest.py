"""A server for the tests of a module, and a worker's environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.client.worker import Worker
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def api(shared: Server, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The SDK in this process reports to the shared server."""
    monkeypatch.setenv("LIVEJOBS_URL", shared.url)
    monkeypatch.setenv("LIVEJOBS_SPOOL", str(spool))
    for name in ("LIVEJOBS_KEY", "LIVEJOBS_JOB"):
        monkeypatch.delenv(name, raising=False)
    with Api(shared.url) as client:
        yield client


@pytest.fixture
def worker(spool: Path) -> Worker:
    """Scripts in processes of their own."""
    return Worker(spool)


@pytest.fixture(autouse=True)
def our_code_does_not_block_the_loop() -> Iterator[None]:
    with blockbuster_ctx("livejobs") as calls:
        # The first report of a process starts the reporter's thread: for a moment, once.
        calls.functions["threading.Lock.acquire"].can_block_in("client/reporter.py", "_start")
        yield
