"""Callers of the face `operations`, and the names that it gives to jobs."""

from __future__ import annotations

from typing import NamedTuple

import google.oauth2.credentials
from google.api_core.operations_v1 import AbstractOperationsClient, OperationsRestTransport

from tests.support.api import Api

ADMIN = "the-first-admin-key"
ALL = "/operations/v1/projects/default/operations"


class World(NamedTuple):
    api: Api  # as admin
    other: str  # a key for another project
    viewer: str


def admin_of(url: str) -> Api:
    api = Api(url)
    api.headers["x-api-key"] = ADMIN
    return api


def client_of(world: World, key: str = ADMIN) -> AbstractOperationsClient:
    return AbstractOperationsClient(
        transport=OperationsRestTransport(
            host=world.api.url,
            path_prefix="operations/v1",
            credentials=google.oauth2.credentials.Credentials(key),  # type: ignore[no-untyped-call]
        )
    )


def name_of(id: str, project: str = "default") -> str:
    return f"projects/{project}/operations/{id}"
