"""Callers of the face `operations`, and the names that it gives to jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.support.api import Api

if TYPE_CHECKING:
    from google.api_core.operations_v1 import AbstractOperationsClient

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
    # Not for each process of the tests: this import takes half a second.
    from google.api_core import operations_v1  # noqa: PLC0415
    from google.oauth2.credentials import Credentials  # noqa: PLC0415

    return operations_v1.AbstractOperationsClient(
        transport=operations_v1.OperationsRestTransport(
            host=world.api.url,
            path_prefix="operations/v1",
            credentials=Credentials(key),  # type: ignore[no-untyped-call]
        )
    )


def name_of(id: str, project: str = "default") -> str:
    return f"projects/{project}/operations/{id}"
