"""A server with the face `operations`, and Google's client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.faces.operations.world import ADMIN, World, admin_of, client_of
from tests.support.server import Server

if TYPE_CHECKING:
    from google.api_core.operations_v1 import AbstractOperationsClient


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "operations"}
    with (
        Server(tmp_path_factory.mktemp("data"), env=environment) as server,
        admin_of(server.url) as api,
    ):
        keys = []
        for project, scope in (("other", "admin"), ("default", "view")):
            asked = {"name": project, "scopes": [scope], "projects": [project]}
            keys.append(api.post("/v1/keys", json=asked).json()["key"])
        yield World(api, *keys)


@pytest.fixture(scope="package")
def client(world: World) -> AbstractOperationsClient:
    return client_of(world)
