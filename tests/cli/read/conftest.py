"""A server for the tests of a module, and the command line that reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.read.shell import Shell
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


@pytest.fixture
def shell(shared: Server) -> Shell:
    return Shell(shared.url)
