"""The faces over HTTP: what each says when it says no, in the shape of its source, and the headers
that go with it. One server with keys for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.config import SettingError
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import Stored
from livejobs.faces.registry import BUILT_IN
from livejobs.store.memory import MemoryStore
from tests.faces.jobs import schema
from tests.support.api import PROBLEM
from tests.support.server import DidNotStart, Server

ADMIN = "the-first-admin-key"


class Address(NamedTuple):
    face: str
    path: str  # with {id}
    method: str = "GET"
    body: bool = False  # the id is asked for in it

    def ask(self, http: httpx.Client, id: str, **headers: str) -> httpx.Response:
        content = json.dumps({"job_id": id}) if self.body else None
        given = {"content-type": "application/json", **headers} if self.body else headers
        path = self.path.replace("{id}", id)
        return http.request(self.method, path, content=content, headers=given)


ADDRESSES = [
    Address("consolidation", "/api/v1/consolidation/status/{id}"),
    Address("translation", "/api/v1/status/{id}"),
    Address("render", "/api/jobs/{id}"),
    Address("tasks", "/api/tasks/{id}/status/"),
    Address("tasks", "/api/tasks/{id}/status"),
    Address("toolkit", "/v1/toolkit/job/status", "POST", body=True),
]
every_address = pytest.mark.parametrize("address", ADDRESSES, ids=lambda it: it.path)
SAYS = {"consolidation": "detail", "translation": "detail", "render": "error", "tasks": "error"}


def sentence(address: Address, answer: httpx.Response) -> str:
    """What it says, once it is sure that it says nothing else."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said.keys() == {SAYS.get(address.face, "message")}
    return str(*said.values())


class World(NamedTuple):
    server: Server
    http: httpx.Client  # without a credential
    mine: str
    other: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_CORS_ORIGINS": "https://page.example"}
    with (
        Server(tmp_path_factory.mktemp("data"), env=environment) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": ADMIN}) as admin,
        httpx.Client(base_url=server.url) as http,
    ):
        keys = []
        for project in ("mine", "other"):
            asked = {"name": project, "scopes": ["view"], "projects": [project]}
            keys.append(admin.post("/v1/keys", json=asked).json()["key"])
        admin.put("/v1/jobs/j", json={"project": "mine"})
        admin.post("/v1/jobs/j/reports", json={"type": "progress", "percent": 7})
        yield World(server, http, *keys)


@every_address
def test_a_job_is_seen_with_a_key_in_either_header(world: World, address: Address) -> None:
    for headers in ({"authorization": f"Bearer {world.mine}"}, {"x-api-key": world.mine}):
        answer = address.ask(world.http, "j", **headers)
        assert answer.status_code == 200, answer.text
        schema(address.face).validate(answer.json())


@every_address
def test_nobody_in_particular_is_401(world: World, address: Address) -> None:
    for headers in ({}, {"x-api-key": "lj_none"}):
        answer = address.ask(world.http, "j", **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert sentence(address, answer)


@every_address
def test_what_is_not_there_is_404_in_the_words_of_the_source(
    world: World, address: Address
) -> None:
    answer = address.ask(world.http, "none", **{"x-api-key": world.mine})
    assert answer.status_code == 404
    if address.face == "toolkit":
        assert answer.json() == {"error": "Job not found", "job_id": "none"}
    else:
        words = "Task not found" if address.face == "tasks" else "Job not found"
        assert sentence(address, answer) == words


@every_address
def test_another_projects_job_is_not_there_or_denied(world: World, address: Address) -> None:
    answer = address.ask(world.http, "j", **{"x-api-key": world.other})
    if address.face in ("consolidation", "render"):
        assert answer.status_code == 403
        assert sentence(address, answer) == "Access denied"
    else:
        missing = address.ask(world.http, "none", **{"x-api-key": world.other})
        assert (answer.status_code, missing.status_code) == (404, 404)
        assert answer.content == missing.content.replace(b"none", b"j")


@every_address
def test_another_method_is_405_with_those_there_are(world: World, address: Address) -> None:
    answer = world.http.delete(address.path.replace("{id}", "j"), headers={"x-api-key": world.mine})
    assert answer.status_code == 405
    assert answer.headers["allow"] == ("POST" if address.body else "GET, HEAD")
    assert sentence(address, answer)


@pytest.mark.parametrize("address", ADDRESSES[:-1], ids=lambda it: it.path)
def test_head_is_get_without_its_body(world: World, address: Address) -> None:
    got = address.ask(world.http, "j", **{"x-api-key": world.mine})
    head = address._replace(method="HEAD").ask(world.http, "j", **{"x-api-key": world.mine})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize("address", ADDRESSES[:-1], ids=lambda it: it.path)
def test_a_state_that_is_known_is_not_sent_again(world: World, address: Address) -> None:
    key = {"x-api-key": world.mine}
    tag = address.ask(world.http, "j", **key).headers["etag"]
    for known in (tag, f'"older", {tag}', tag.removeprefix("W/"), "*"):
        answer = address.ask(world.http, "j", **key, **{"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert address.ask(world.http, "j", **key, **{"if-none-match": '"no"'}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        pytest.param(b"[" * 10**5, id="deep"),
        b'{"job_id": 7}',
        b'{"job_id": null}',
        b'"j"',
        b"\xff",
    ],
)
def test_toolkit_takes_nothing_but_an_object_with_a_job_id(world: World, body: bytes) -> None:
    answer = world.http.post(
        "/v1/toolkit/job/status",
        content=body,
        headers={"x-api-key": world.mine, "content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert sentence(ADDRESSES[-1], answer).startswith("Invalid payload: ")


def test_toolkit_takes_json_only_and_no_more_than_a_body(world: World) -> None:
    def ask(content: bytes, **headers: str) -> httpx.Response:
        headers = {"x-api-key": world.mine, **headers}
        return world.http.post("/v1/toolkit/job/status", content=content, headers=headers)

    form = ask(b'{"job_id": "j"}', **{"content-type": "text/plain"})
    assert form.status_code == 400
    long = ask(b'{"job_id": "%s"}' % (b"j" * (1 << 20)), **{"content-type": "application/json"})
    assert long.status_code == 413
    assert sentence(ADDRESSES[-1], long)


def test_toolkit_needs_no_uuid(world: World) -> None:
    answer = ADDRESSES[-1].ask(world.http, "j", **{"x-api-key": world.mine})
    assert answer.json()["response"]["job_id"] == "j"


def test_pages_of_listed_origins_can_read_a_refusal_too(world: World) -> None:
    answer = ADDRESSES[0].ask(world.http, "none", origin="https://page.example")
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://page.example"


# What goes wrong elsewhere


class Broken(MemoryStore):
    error: Exception = StorageUnavailable("The disk is full.")

    async def job(self, id: str) -> Stored | None:
        if id == "elsewhere":
            raise self.error
        return await super().job(id)


@asynccontextmanager
async def client(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    live = LiveJobs(Settings(data=folder, **settings), store=Broken())
    transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with live, httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await live.create(id="j")
        yield http


async def ask(http: httpx.AsyncClient, address: Address, id: str) -> httpx.Response:
    body: dict[str, Any] = {"json": {"job_id": id}} if address.body else {}
    return await http.request(address.method, address.path.replace("{id}", id), **body)


@every_address
async def test_a_disk_that_refuses_is_503_and_worth_another_try(
    tmp_path: Path, address: Address
) -> None:
    async with client(tmp_path) as http:
        answer = await ask(http, address, "elsewhere")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    if address.face == "toolkit":
        why = "Failed to retrieve job status: The disk is full."
        assert answer.json() == {"error": why, "code": 503}
    else:
        assert sentence(address, answer) == "The disk is full."


@every_address
async def test_a_fault_of_ours_is_500_without_what_it_was(
    tmp_path: Path, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "error", RuntimeError("secret"))
    async with client(tmp_path) as http:
        answer = await ask(http, address, "elsewhere")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    if address.face == "toolkit":
        assert answer.json().keys() == {"error", "code"}
        assert answer.json()["error"].startswith("Failed to retrieve job status: ")
        assert answer.json()["code"] == 500
    else:
        assert sentence(address, answer)


@every_address
async def test_too_many_polls_are_429_and_told_when_to_come_again(
    tmp_path: Path, address: Address
) -> None:
    async with client(tmp_path, rate_read="1/s", tasks_public=True) as http:
        assert (await ask(http, address, "j")).status_code == 200
        for _ in range(100):  # of which two come within a second
            answer = await ask(http, address, "j")
            if answer.status_code != 200:
                break
    assert answer.status_code == 429
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= answer.headers.keys()
    assert sentence(address, answer)


# Settings


BY_DEFAULT = {"consolidation", "translation", "render", "tasks", "toolkit"}


def test_five_faces_are_served_and_documented_by_default(world: World) -> None:
    paths = world.http.get("/openapi.json").json()["paths"]
    faces = [face for name, face in BUILT_IN.items() if name in BY_DEFAULT]
    assert {way.path for face in faces for way in face.ways} <= paths.keys()


def served(folder: Path, faces: tuple[str, ...] | None) -> set[str]:
    app = create_app(LiveJobs(Settings(data=folder, faces=faces)))
    described = json.loads(app.state.openapi.now())["paths"].keys()
    there = {getattr(route, "path", "") for route in app.routes}
    return {
        name
        for name, face in BUILT_IN.items()
        if {way.path for way in face.ways} & described
        and {face.prefix, *(way.path for way in face.ways)} & there
    }


def test_only_the_faces_asked_for_are_there(tmp_path: Path) -> None:
    assert served(tmp_path, None) == BY_DEFAULT
    assert served(tmp_path, ("ogc", "tasks")) == {"ogc", "tasks"}
    assert served(tmp_path, ("tasks", "render")) == {"tasks", "render"}
    assert served(tmp_path, ()) == set()


def test_a_face_turned_off_is_an_address_where_nothing_is(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--faces", "") as server:
        answer = httpx.get(server.url + "/api/v1/status/j")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM


def test_an_unknown_face_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match=r"livejobs: faces: there is no face 'rendr'; takes"):
        Server(tmp_path / "data", "--faces", "rendr", fresh=True)
    with pytest.raises(SettingError):
        served(tmp_path, ("rendr",))


def test_tasks_is_public_if_the_setting_says_so_and_nothing_else_is(tmp_path: Path) -> None:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN}
    with (
        Server(tmp_path / "data", "--tasks-public", env=environment) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        http.put("/v1/jobs/j", headers={"x-api-key": ADMIN}, json={"project": "mine"})
        for address in ADDRESSES:
            answer = address.ask(http, "j")
            assert answer.status_code == (200 if address.face == "tasks" else 401)
        assert ADDRESSES[3].ask(http, "none").status_code == 404
        assert http.get("/v1/jobs/j").status_code == 401


# Retention


@pytest.mark.parametrize(
    ("fields", "settings", "hours"),
    [
        ({"type": "translation"}, {}, 24),
        ({"type": "translation", "ttl_seconds": 3600}, {}, 1),
        ({"type": "translation"}, {"retention_seconds": 7200.0}, 2),
        ({"type": "translation"}, {"retention_seconds": 0}, None),
        ({"type": "translation"}, {"faces": ()}, 7 * 24),
        ({"type": "render"}, {}, 7 * 24),
        ({}, {}, 7 * 24),
    ],
)
async def test_finished_translations_go_after_a_day_unless_something_else_is_said(
    tmp_path: Path, fields: dict[str, Any], settings: dict[str, Any], hours: int | None
) -> None:
    live = LiveJobs(Settings(data=tmp_path, **settings), store=MemoryStore())
    await asyncio.to_thread(create_app, live)
    async with live:
        job = await live.create(**fields)
        await job.succeed()
        head = (await live.find(job.id)).head
    assert head.completed_at is not None
    kept = None if head.expires_at is None else (head.expires_at - head.completed_at) / 3_600_000
    assert kept == hours
