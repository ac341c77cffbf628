"""The OpenAPI document and the routes say the same, and what is documented is what happens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.routing import Route

from livejobs.app import ROUTES
from livejobs.faces import routes as door
from livejobs.faces.described import describe
from livejobs.faces.registry import BUILT_IN
from livejobs.web.documents.openapi import document
from livejobs.web.documents.operations import OPERATIONS
from tests.support.examples import examples
from tests.support.server import Server

ADMIN = "the-first-admin-key"


def spoken(route: Route) -> set[str]:
    """Its methods; a HEAD that comes with a GET goes without saying."""
    methods = route.methods or set()
    return methods - {"HEAD"} if "GET" in methods else methods


def test_every_route_is_documented() -> None:
    routes = {
        (method.lower(), route.path)
        for route in ROUTES
        if isinstance(route, Route) and route.path not in ("/openapi.json", "/asyncapi.json")
        for method in spoken(route)
    }
    assert {(it.method, it.path) for it in OPERATIONS} == routes


def test_every_address_of_a_face_is_documented() -> None:
    faces = BUILT_IN.values()
    routes = {
        (method.lower(), route.path)
        for face in faces
        for route in door.addresses(face)
        for method in spoken(route)
    }
    described = describe(faces).paths
    assert {(method, path) for path, it in described.items() for method in it} == routes


def test_no_two_schemas_have_one_name() -> None:
    """Else one of them would be lost."""
    native = document("1")["components"]["schemas"].keys()
    faces = [describe([face]).schemas.keys() for face in BUILT_IN.values()]
    assert sum(map(len, faces)) > len(faces)
    every = [name for names in (native, *faces) for name in names]
    assert [name for name in every if every.count(name) > 1] == []


def test_the_document_is_a_valid_one() -> None:
    from openapi_spec_validator import validate  # noqa: PLC0415 - slow, and only for this test

    validate(document("1", describe(BUILT_IN.values())))


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Server]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": ",".join(BUILT_IN)}
    with Server(tmp_path / "data", env=environment) as server:
        yield server


def test_the_server_hands_it_out_to_anyone(closed: Server) -> None:
    answer = httpx.get(closed.url + "/openapi.json")
    assert answer.json()["info"]["title"] == "livejobs"


# Parts, so that no test is much longer than the others. Links lead from any method to any.
EACH = ("--phases", "examples,coverage,fuzzing")


@pytest.mark.parametrize(
    "part",
    [
        (*EACH, "--include-method", "GET"),
        (*EACH, "--exclude-method", "GET"),
        ("--phases", "stateful"),
    ],
    ids=["GET", "others", "links"],
)
def test_schemathesis_finds_no_500_and_nothing_undocumented(
    closed: Server, part: tuple[str, ...]
) -> None:
    """Requests made from the document, good and bad, by an admin."""
    command = [
        Path(sys.executable).parent / "st",
        "--config-file", "tests/support/schemathesis.toml",
        "run", f"{closed.url}/openapi.json",
        "--header", f"x-api-key: {ADMIN}", "--max-examples", str(examples(5)), "--seed", "1",
        "--request-timeout", "40", "--no-color", *part,
    ]  # fmt: skip
    root = Path(__file__).parents[2]
    # Nothing more, since its client reads all variables twice for each request. The path comes
    # before what others install under the name of `tests`.
    environment = {
        "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(root)
    }  # fmt: skip
    ran = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=7200,
        check=False,
        cwd=root,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
