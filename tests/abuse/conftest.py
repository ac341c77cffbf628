"""A server that all tests of a module abuse, and well-behaved clients that must not notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.abuse.crowd import Neighbours, Target


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes minutes; run by scripts/soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m") != "soak":
        items[:] = [item for item in items if item.get_closest_marker("soak") is None]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("target") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def neighbours(target: Target) -> Iterator[Neighbours]:
    viewers = Neighbours(target)
    viewers.latencies(20)
    yield viewers
    viewers.close()
