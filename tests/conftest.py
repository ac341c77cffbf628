"""Options, fixtures and limits for all tests."""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Generator, Iterator
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path

import httpcore2
import httpx2
import pytest
import uvicorn
from blockbuster import blockbuster_ctx

from tests.support.certificate import Certificate, make_certificate
from tests.support.examples import register_profiles
from tests.support.forked import Template
from tests.support.quick import is_quick
from tests.support.server import LONG_ENOUGH, Server

# The client of MCP imports sse-starlette, whose import replaces this method for the whole process.
# Imported here first, it can't do so again, and the other tests find uvicorn as it is.
handle_exit = uvicorn.Server.handle_exit
import_module("sse_starlette")
uvicorn.Server.handle_exit = handle_exit  # type: ignore[method-assign]

# jsonschema would build a grammar for the format "iri", which no schema here has: 2 s in each
# process of the tests.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # "not installed"
register_profiles()
# httpx waits longer than its 5 s: a busy disk may take as long for one sync. All of its calls share
# this default object.
timeout = inspect.signature(httpx2.Client).parameters["timeout"].default
timeout.connect = timeout.read = timeout.write = timeout.pool = LONG_ENOUGH
# Each new client would read all certificates of the system again, for 40 ms of processor time.
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what starts a process")
    parser.addoption("--fresh", action="store_true", help="start a new Python for each server")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--fresh"):
        Server.template = Template("livejobs.cli.operator.serve")


def pytest_unconfigure() -> None:
    if Server.template is not None:
        Server.template.stop()


# Files with tests of many seconds.
LONG = (
    "test_openapi.py", "test_proxies.py", "test_drills.py", "test_workers.py", "test_durable.py",
    "test_watching.py", "test_build.py", "test_clients.py", "test_interrupted.py", "test_npm.py",
    "test_demo.py", "test_wheel.py", "test_kit.py",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if not is_quick(item)])
        items[:] = filter(is_quick, items)
    items[:] = dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def dealt(items: list[pytest.Item], hands: int) -> Iterator[pytest.Item]:
    """xdist gives each of its processes an equal part of the tests, in order. Each part begins with
    some of the long files, so that no long test is alone at the end."""
    short = iter([item for item in items if item.path.name not in LONG])
    left = len(items)
    for hand in range(hands):
        names = LONG[hand::hands]
        part = [item for name in names for item in items if item.path.name == name]
        part += islice(short, max(0, left // (hands - hand) - len(part)))
        left -= len(part)
        yield from part
    yield from short


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from modules and tests. While they come, it would read all of
    them again and again: a third of the time. Later it would read them for nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failure: everything that it needs must be there."""
    report = yield
    if report.skipped and "CI" in os.environ:
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def our_code_does_not_block_the_loop() -> Iterator[None]:
    """A blocking call that livejobs makes inside the event loop is an error."""
    with blockbuster_ctx("livejobs") as calls:
        # A commit waits for its writer for a moment; `commit` gives the reason.
        calls.functions["threading.Lock.acquire"].can_block_in("store/sqlite.py", "commit")
        # To connect, asyncpg reads the files in which users keep passwords and certificates.
        for call in calls.functions.values():
            call.can_block_in("asyncpg/connect_utils.py", "_parse_connect_arguments")
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real server with an empty data folder."""
    with Server(tmp_path / "data") as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of a module that only use jobs of their own. A start costs nearly a
    second of processor time."""
    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost. Only the tests trust its authority."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))
