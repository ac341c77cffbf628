"""A server for the tests of a module, and the command line that reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.read.shell import Shell
from tests.support.api import Api
from tests.support.forked import Template
from tests.support.server import Server

# All commands that a shell runs.
COMMANDS = (
    "mcp.command", "reader.answer", "reader.cancel", "reader.get", "reader.jobs", "reader.logs",
    "reader.wait", "report.command", "watch.command",
)  # fmt: skip


# No fixture: with `--quick`, no test could have it.
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--fresh"):
        modules = (f"livejobs.cli.{name}" for name in COMMANDS)
        Shell.template = Template(*modules, "tests.support.warm")


def pytest_unconfigure() -> None:
    if Shell.template is not None:
        Shell.template.stop()


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


@pytest.fixture
def shell(shared: Server) -> Shell:
    return Shell(shared.url)
