"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.certificate import Certificate, make_certificate
from tests.server import Server

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def our_code_does_not_block_the_loop() -> Iterator[None]:
    """A blocking call made by livejobs inside the event loop is an error."""
    with blockbuster_ctx("livejobs"):
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
