"""Credentials at the doors of open protocols: a token for one job, one that has expired, and one
that ends while a stream or a wait is open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs.faces.registry import BUILT_IN
from tests.mcp.extensions.agent import Agent
from tests.support.agent import LEGACY
from tests.support.api import Socket
from tests.support.desk import eventually
from tests.support.keyed import KEYED, client, make_key, make_token
from tests.support.server import Server

A2A = {"a2a-version": "1.0"}
AIP = "/operations/v1/projects/mine/operations"


class Door(NamedTuple):
    method: str
    path: str
    body: Any = None
    own: int = 200  # the status for the token's own job
    other: int = 404  # for another one of its project


READ = [
    Door("GET", "/a2a/tasks/{id}"),
    Door("HEAD", "/a2a/tasks/{id}:subscribe"),
    Door("GET", AIP + "/{id}"),
    Door("POST", AIP + "/{id}:wait", {"timeout": "0s"}),
    Door("GET", "/ogc/jobs/{id}"),
    Door("GET", "/ogc/jobs/{id}/results", own=404),  # it has none yet
    *(Door("GET", f"/streams/{{id}}/{kind}") for kind in ("logs", "results", "errors")),
]
CHANGE = [
    Door("POST", "/a2a/tasks/{id}:cancel"),
    Door("POST", AIP + "/{id}:cancel"),
    Door("DELETE", "/ogc/jobs/{id}"),
]
CREATE = {"message": {"messageId": "new", "role": "ROLE_USER", "parts": [{"text": "New"}]}}
LISTS = {"/a2a/tasks?contextId=mine": "tasks", AIP: "operations", "/ogc/jobs?project=mine": "jobs"}


class World(NamedTuple):
    server: Server
    admin: httpx.Client

    def ask(self, door: Door, id: str, credential: str) -> int:
        with client(self.server, credential, **A2A) as caller:
            path = door.path.format(id=id)
            return caller.request(door.method, path, json=door.body).status_code

    def agent(self, credential: str) -> Agent:
        return Agent(self.server.url, credential)

    def job(self, id: str) -> None:
        self.admin.put(f"/v1/jobs/{id}", json={"project": "mine"}).raise_for_status()
        self.admin.post(f"/v1/jobs/{id}/reports", json={"type": "start"}).raise_for_status()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    faces = {"LIVEJOBS_FACES": ",".join(BUILT_IN)}
    with (
        Server(tmp_path_factory.mktemp("data"), env=KEYED | faces) as server,
        client(server) as admin,
    ):
        world = World(server, admin)
        for id in ("own", "other"):
            world.job(id)
        yield world


@pytest.fixture(scope="module")
def tokens(world: World) -> dict[str, str]:
    """For the job `own`, by scope."""
    return {
        scope: make_token(world.admin, jobs=["own"], scopes=[scope])
        for scope in ("view", "cancel", "report")
    }


# For one job


def test_a_token_for_one_job_reads_no_other(world: World, tokens: dict[str, str]) -> None:
    for door in READ:
        seen = [world.ask(door, id, tokens["view"]) for id in ("own", "other", "none")]
        assert seen == [door.own, door.other, door.other], door


def test_a_token_for_one_job_lists_only_that_job(world: World, tokens: dict[str, str]) -> None:
    with client(world.server, tokens["view"], **A2A) as caller:
        for path, name in LISTS.items():
            listed = caller.get(path).json()[name]
            assert ["own" in json.dumps(it) for it in listed] == [True], path
    agent = world.agent(tokens["view"])
    listed = agent.result("tools/call", name="list_jobs", arguments={"project": "mine"})
    assert [it["id"] for it in listed["structuredContent"]["jobs"]] == ["own"]
    uris = [it["uri"] for it in agent.result("resources/list")["resources"]]
    assert "livejob://other" not in uris


def test_a_token_for_one_job_changes_no_other(world: World, tokens: dict[str, str]) -> None:
    for door in CHANGE:
        assert world.ask(door, "own", tokens["view"]) == 403, door
        assert world.ask(door, "other", tokens["cancel"]) == 404, door
        assert world.ask(door, "own", tokens["cancel"]) == 200, door
    other = world.admin.get("/v1/jobs/other").json()
    assert not other["cancel_requested"]


def test_a_token_for_one_job_creates_none(world: World, tokens: dict[str, str]) -> None:
    assert world.ask(Door("POST", "/a2a/message:send", CREATE), "", tokens["report"]) == 403
    agent = world.agent(tokens["report"])
    assert agent.result("tools/call", name="create_job", arguments={"id": "new"})["isError"]
    assert world.admin.get("/v1/jobs/new").status_code == 404


def test_an_agent_with_a_token_for_one_job_finds_no_other(
    world: World, tokens: dict[str, str]
) -> None:
    agent, admin = world.agent(tokens["report"]), world.agent(KEYED["LIVEJOBS_ADMIN_KEY"])
    reports = [{"type": "heartbeat"}]
    for id, failed in (("own", False), ("other", True)):
        for name, more in (("get_job", {}), ("get_logs", {}), ("report", {"reports": reports})):
            result = agent.result("tools/call", name=name, arguments={"id": id, **more})
            assert result["isError"] == failed
        task = admin.wait(id)["taskId"]
        for method in ("tasks/get", "tasks/cancel"):
            assert ("error" in agent.ask(method, taskId=task)) == failed
        assert ("error" in agent.ask("resources/read", uri=f"livejob://{id}")) == failed
    assert agent.wait("other")["isError"]


# Expired


def test_an_expired_token_opens_no_door(world: World) -> None:
    token = make_token(world.admin, jobs=["own"], scopes=["cancel"], ttl_seconds=1)
    native = Door("GET", "/v1/jobs/{id}")
    eventually(lambda: world.ask(native, "own", token) == 401)
    for door in (*READ, *CHANGE, *(Door("GET", path) for path in LISTS)):
        assert world.ask(door, "own", token) == 401, door
    with client(world.server, token) as caller:
        message = world.agent(token).request("tools/list", {})
        assert caller.post("/mcp", **message).status_code == 401


# Revoked


def waits(id: str) -> dict[str, tuple[str, str, Any]]:
    """Requests that are answered late."""
    answer = {"messageId": id, "role": "ROLE_USER", "taskId": id, "parts": [{"data": True}]}
    arguments = {"id": id, "timeout_seconds": 50}
    return {
        "operations": ("POST", f"{AIP}/{id}:wait", {"timeout": "50s"}),
        "a2a": ("POST", "/a2a/message:send", {"message": answer}),
        "streams": ("GET", f"/streams/{id}/logs?offset=now&live=long-poll", None),
        "mcp": ("POST", "/mcp", call("tools/call", name="wait_for_job", arguments=arguments)),
    }


def streams(id: str) -> dict[str, tuple[str, str, Any]]:
    return {
        "a2a": ("GET", f"/a2a/tasks/{id}:subscribe", None),
        "streams": ("GET", f"/streams/{id}/logs?offset=now&live=sse", None),
        "mcp": waits(id)["mcp"],
    }


def call(method: str, **params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def begin(sock: Socket, key: str, method: str, path: str, body: Any, accept: str) -> None:
    text = "" if body is None else json.dumps(body)
    lines = [
        f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}",
        "a2a-version: 1.0", f"mcp-protocol-version: {LEGACY}", f"accept: {accept}",
        "content-type: application/json", f"content-length: {len(text)}",
    ]  # fmt: skip
    sock.send("\r\n".join(lines), "\r\n\r\n", text)


@pytest.mark.parametrize("name", waits(""))
def test_a_wait_of_a_key_that_is_revoked_is_answered_401(world: World, name: str) -> None:
    id = f"waited-{name}"
    world.job(id)
    world.admin.post(f"/v1/jobs/{id}/reports", json={"type": "ask", "prompt": "Go?"})
    if name != "a2a":  # whose message is the answer
        world.admin.post(f"/v1/jobs/{id}/answer", json={"value": 1}).raise_for_status()
    made = make_key(world.admin, id, "cancel", projects=["mine"])
    with Socket(world.server.url) as sock:
        begin(sock, made["key"], *waits(id)[name], accept="application/json")
        eventually(lambda: world.admin.get(f"/v1/jobs/{id}").json()["waiting"] is None)
        world.admin.delete(f"/v1/keys/{made['id']}").raise_for_status()
        end = [{"type": "log", "message": "secret"}, {"type": "succeed", "result": "secret"}]
        world.admin.post(f"/v1/jobs/{id}/reports", json=end).raise_for_status()
        assert sock.head()[0] == 401


@pytest.mark.parametrize("name", streams(""))
def test_a_stream_of_a_key_that_is_revoked_ends(world: World, name: str) -> None:
    id = f"followed-{name}"
    world.job(id)
    made = make_key(world.admin, id, "view", projects=["mine"])
    with Socket(world.server.url) as sock:
        begin(sock, made["key"], *streams(id)[name], accept="text/event-stream")
        assert sock.head()[0] == 200
        world.admin.delete(f"/v1/keys/{made['id']}").raise_for_status()
        assert sock.file.read().endswith(b"0\r\n\r\n")
