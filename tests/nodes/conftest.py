from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """For all tests of a worker, which only use jobs of their own."""
    with Cluster(tmp_path_factory.mktemp("nodes")) as running:
        running.first.api.put("/v1/jobs/forgotten", json={"heartbeat_timeout": 1})
        running.first.api.report("forgotten", {"type": "start"})
        yield running
