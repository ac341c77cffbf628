"""A server with access control for the tests of this folder, and its admin."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.support.keyed import KEYED, client
from tests.support.server import Server


@pytest.fixture(scope="package")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    roots = ("--files-roots", str(tmp_path_factory.getbasetemp()))
    with Server(tmp_path_factory.mktemp("server") / "data", *roots, env=KEYED) as server:
        yield server


@pytest.fixture
def admin(closed: Server) -> Iterator[httpx.Client]:
    """The next test finds neither jobs nor keys. The audit trail stays."""
    with client(closed) as admin:
        yield admin
        for job in admin.get("/v1/jobs?project=*").json()["jobs"]:
            admin.post(f"/v1/jobs/{job['id']}/cancel?force=1")
            assert admin.delete(f"/v1/jobs/{job['id']}").status_code == 204
        for key in admin.get("/v1/keys").json()["keys"]:
            assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
