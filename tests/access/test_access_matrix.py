"""Every route and every socket operation, by everyone who may come: nobody, strangers, those whose
key is gone, those of another project, those with too little, and those who may.

A route without a line in the table fails the first test, so that none is added without a rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from livejobs.app import ROUTES
from livejobs.core.access import LADDER, NEEDS
from livejobs.faces import routes as door
from livejobs.faces.registry import BUILT_IN
from livejobs.mcp.door import Mcp
from tests.support.api import hear
from tests.support.desk import eventually
from tests.support.server import Server

ADMIN = "the-first-admin-key"


class Call(NamedTuple):
    method: str
    path: str  # as the app has it
    scope: str | None  # the least scope that is enough; None: no key needed
    good: int  # the status for a caller with the right
    body: Any = None
    foreign: int = 404  # the status for a caller with the scope in another project
    url: str = ""  # when it is not the path with {id} filled in
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    of_server: bool = False  # for a credential of all projects only


FACES = ",".join(BUILT_IN)
UPLOADS = "/v1/jobs/{id}/uploads"
TUS = {"tus-resumable": "1.0.0"}
BEGIN = {**TUS, "upload-length": "9", "upload-metadata": "filename YQ=="}
PIECE = {**TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream"}

AIP = "/operations/v1/projects/{project}/operations"
A2A = {"a2a-version": "1.0"}
TASK = "/a2a/tasks/{id}"
CONFIGS = TASK + "/pushNotificationConfigs"
ANSWER = {
    "message": {"messageId": "m", "role": "ROLE_USER", "taskId": "j", "parts": [{"text": "yes"}]}
}
HOOK = {"url": "https://hooks.example/in", "events": ["finished"]}

CALLS = [
    Call("GET", "/v1/jobs/{id}", "view", 200),
    Call("HEAD", "/v1/jobs/{id}", "view", 200),
    Call("PUT", "/v1/jobs/{id}", "report", 200, {"project": "mine"}, 403),
    Call("DELETE", "/v1/jobs/{id}", "admin", 409),
    Call("POST", "/v1/jobs/{id}/reports", "report", 200, {"type": "heartbeat"}),
    Call("GET", "/v1/jobs", "view", 200, None, 403, "/v1/jobs?project=mine"),
    Call("POST", "/v1/jobs", "report", 201, {"project": "mine"}, 403),
    Call("POST", "/v1/jobs/{id}/cancel", "cancel", 202),
    Call("POST", "/v1/cancel", "cancel", 200, {"jobs": ["j"]}, 200),
    Call("POST", "/v1/jobs/{id}/answer", "cancel", 409, {"value": 1}),
    Call("GET", "/v1/jobs/{id}/logs", "view", 200),
    Call("GET", "/v1/jobs/{id}/results", "view", 200),
    Call("GET", "/v1/jobs/{id}/errors", "view", 200),
    Call("GET", "/v1/jobs/{id}/audit", "view", 200),
    Call("GET", "/jobs/{id}/badge.svg", "view", 200),
    Call("GET", "/jobs/{id}/embed", "view", 200),
    Call("HEAD", "/v1/jobs/{id}/events", "view", 200),
    Call("HEAD", "/v1/events", "view", 200, None, 403, "/v1/events?project=mine"),
    Call("GET", "/v1/jobs/{id}/files", "view", 200),
    Call("POST", "/v1/jobs/{id}/files", "report", 422, {}),
    Call("GET", "/v1/jobs/{id}/files/{name}", "view", 200, url="/v1/jobs/j/files/f"),
    Call("HEAD", "/v1/jobs/{id}/files/{name}", "view", 200, url="/v1/jobs/j/files/f"),
    Call("PUT", "/v1/jobs/{id}/files/{name}", "report", 200, url="/v1/jobs/j/files/f"),
    Call("GET", "/v1/jobs/{id}/files.zip", "view", 200),
    Call("GET", "/v1/jobs/{id}/download", "view", 409),
    Call("POST", UPLOADS, "report", 201, headers=BEGIN),
    Call("OPTIONS", UPLOADS, None, 204),
    Call("HEAD", UPLOADS + "/{upload}", "report", 200, headers=TUS),
    Call("PATCH", UPLOADS + "/{upload}", "report", 204, headers=PIECE),
    Call(
        "POST",
        UPLOADS + "/{upload}",
        "report",
        204,
        headers={**PIECE, "x-http-method-override": "PATCH"},
    ),
    Call("DELETE", UPLOADS + "/{upload}", "report", 404, headers=TUS, url="/v1/jobs/j/uploads/x"),
    Call("OPTIONS", UPLOADS + "/{upload}", None, 204),
    Call("POST", "/v1/tokens", "view", 201, {"jobs": ["j"]}),
    Call("GET", "/v1/session", "view", 200, None, 200),
    Call("POST", "/v1/session", "view", 200, None, 200),
    Call("DELETE", "/v1/session", None, 204),
    Call("GET", "/v1/keys", "admin", 200, None, 200),
    Call("POST", "/v1/keys", "admin", 422, {}, 422),
    Call("DELETE", "/v1/keys/{id}", "admin", 404),
    Call("GET", "/v1/audit", "admin", 200, None, 200),
    Call("GET", "/v1/webhooks", "admin", 200, None, 403, "/v1/webhooks?project=mine"),
    Call("POST", "/v1/webhooks", "admin", 201, {**HOOK, "project": "mine"}, 403),
    Call("GET", "/v1/webhooks/{id}", "admin", 404),
    Call("DELETE", "/v1/webhooks/{id}", "admin", 404),
    Call("POST", "/v1/webhooks/{id}/rotate", "admin", 404),
    Call("POST", "/v1/webhooks/{id}/test", "admin", 404),
    Call("GET", "/v1/webhooks/{id}/deliveries", "admin", 404),
    Call(
        "POST",
        "/v1/webhooks/{id}/deliveries/{n}/replay",
        "admin",
        404,
        url="/v1/webhooks/w/deliveries/1/replay",
    ),
    Call("GET", "/v1/projects", "view", 200, None, 200),
    Call("GET", "/v1/stats", "view", 200, None, 403, "/v1/stats?project=mine"),
    Call("GET", "/metrics", "admin", 200, None, 403, of_server=True),
    Call("GET", "/api/v1/consolidation/status/{job_id}", "view", 200, None, 403),
    Call("HEAD", "/api/v1/consolidation/status/{job_id}", "view", 200, None, 403),
    Call("GET", "/api/v1/status/{job_id}", "view", 200),
    Call("GET", "/api/v1/download/{job_id}", "view", 400),
    Call("GET", "/api/jobs/{id}", "view", 200, None, 403),
    Call("GET", "/api/jobs/{id}/download", "view", 409, None, 403),
    Call("HEAD", "/api/jobs/{id}/download", "view", 409, None, 403),
    Call("GET", "/api/tasks/{task_id}/status/", "view", 200),
    Call("GET", "/api/tasks/{task_id}/status", "view", 200),
    Call("POST", "/v1/toolkit/job/status", "view", 200, {"job_id": "j"}),
    Call("GET", AIP, "view", 200, None, 403),
    Call("GET", AIP + "/{id}", "view", 200),
    Call("DELETE", AIP + "/{id}", "admin", 400),
    Call("POST", AIP + "/{id}:cancel", "cancel", 200),
    Call("POST", AIP + "/{id}:wait", "view", 200, {"timeout": "0s"}),
    Call("GET", "/ogc", None, 200),
    Call("GET", "/ogc/", None, 200),
    Call("GET", "/ogc/conformance", None, 200),
    Call("GET", "/ogc/jobs", "view", 200, None, 403, "/ogc/jobs?project=mine"),
    Call("GET", "/ogc/jobs/{id}", "view", 200),
    Call("DELETE", "/ogc/jobs/{id}", "cancel", 200),
    Call("GET", "/ogc/jobs/{id}/results", "view", 404),
    Call("GET", "/.well-known/agent-card.json", None, 200),
    Call("POST", "/a2a/message:send", "cancel", 400, ANSWER, headers=A2A),
    Call("POST", "/a2a/message:stream", "cancel", 400, ANSWER, headers=A2A),
    Call("GET", "/a2a/tasks", "view", 200, None, 403, "/a2a/tasks?contextId=mine", A2A),
    Call("GET", TASK, "view", 200, headers=A2A),
    Call("POST", TASK + ":cancel", "cancel", 200, headers=A2A),
    Call("HEAD", TASK + ":subscribe", "view", 200, headers=A2A),
    Call("POST", TASK + ":subscribe", "view", 400, url="/a2a/tasks/over:subscribe", headers=A2A),
    Call("GET", CONFIGS, "report", 200, headers=A2A),
    Call("POST", CONFIGS, "report", 200, {"id": "c", "url": HOOK["url"]}, headers=A2A),
    Call("GET", CONFIGS + "/{config}", "report", 404, headers=A2A),
    Call("DELETE", CONFIGS + "/{config}", "report", 200, headers=A2A),
    Call("GET", "/a2a/extendedAgentCard", "view", 400, None, 400, headers=A2A),
    Call("GET", "/streams/{id}/logs", "view", 200),
    Call("GET", "/streams/{id}/results", "view", 200),
    Call("GET", "/streams/{id}/errors", "view", 200),
    # Each tool asks for its own scope: see tests/mcp/test_access.py.
    Call("POST", "/mcp", "view", 200, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, 200),
    Call("GET", "/openapi.json", None, 200),
    Call("GET", "/asyncapi.json", None, 200),
    Call("GET", "/healthz", None, 200),
    Call("GET", "/readyz", None, 200),
]
STREAMED = {("GET", "/v1/jobs/{id}/events"), ("GET", "/v1/events")}  # tested by HEAD, and below


def methods_of(route: Route) -> set[str]:
    methods = route.methods or set()
    return methods - {"HEAD"} if "GET" in methods else methods


def test_every_route_is_in_the_table() -> None:
    there = {
        (method, route.path)
        for route in [
            *ROUTES,
            Mcp().route,
            *(it for face in BUILT_IN.values() for it in door.addresses(face)),
        ]
        if isinstance(route, Route)
        for method in methods_of(route)
    }
    asked = {
        ("GET" if c.method == "HEAD" and not c.path.startswith(UPLOADS) else c.method, c.path)
        for c in CALLS
    }
    assert there == asked
    sockets = {route.path for route in ROUTES if isinstance(route, WebSocketRoute)}
    assert sockets == {"/v1/ws", "/v1/jobs/{id}"}  # tested below


def test_every_action_needs_an_existing_scope() -> None:
    assert set(NEEDS.values()) <= set(LADDER)


class World(NamedTuple):
    server: Server
    keys: dict[str, str]
    upload: str  # id of an unfinished upload

    def ask(self, call: Call, key: str | None) -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        path = call.path.replace("{upload}", self.upload)
        path = path.replace("{project}", "mine")
        url = self.server.url + (call.url or re.sub(r"\{\w+\}", "j", path))
        headers |= call.headers
        return httpx.request(call.method, url, json=call.body, headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data: Path = tmp_path_factory.mktemp("data")
    with (
        Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": FACES}) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": ADMIN}) as admin,
    ):
        keys = {"admin key": ADMIN}

        def make(name: str, scope: str, project: str, **more: Any) -> dict[str, Any]:
            asked = {"name": name, "scopes": [scope], "projects": [project], **more}
            made: dict[str, Any] = admin.post("/v1/keys", json=asked).json()
            keys[name] = made["key"]
            return made

        for scope in LADDER:
            make(f"mine-{scope}", scope, "mine")
            make(f"other-{scope}", scope, "other")
        soon = datetime.now(UTC) + timedelta(seconds=5)
        make("expired", "admin", "mine", expires_at=soon.isoformat())
        revoked = make("revoked", "admin", "mine")
        assert admin.delete(f"/v1/keys/{revoked['id']}").status_code == 204
        assert admin.put("/v1/jobs/j", json={"project": "mine"}).status_code == 201
        admin.post("/v1/jobs/j/reports", json={"type": "start"})
        assert admin.put("/v1/jobs/over", json={"project": "mine"}).status_code == 201
        admin.post("/v1/jobs/over/reports", json={"type": "succeed"})
        assert admin.put("/v1/jobs/j/files/f", content=b"f").status_code == 201
        upload = admin.post("/v1/jobs/j/uploads", headers=BEGIN).headers["location"]
        expired = {"x-api-key": keys["expired"]}
        eventually(lambda: admin.get("/v1/jobs", headers=expired).status_code == 401)
        yield World(server, keys, upload.rpartition("/")[2])


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
class TestEveryCall:
    def test_without_a_credential_is_401_except_where_there_is_no_data(
        self, world: World, call: Call
    ) -> None:
        answer = world.ask(call, None)
        assert answer.status_code == (call.good if call.scope is None else 401)
        if call.scope is not None:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["cache-control"] == "no-store"

    def test_with_a_bad_credential_is_401(self, world: World, call: Call) -> None:
        bad = {
            "expired": world.keys["expired"],
            "revoked": world.keys["revoked"],
            "unknown": "lj_" + "a" * 8 + "_" + "b" * 43,
            "garbled": world.keys["mine-admin"][:-1] + "~",
        }
        statuses = {which: world.ask(call, key).status_code for which, key in bad.items()}
        assert statuses == dict.fromkeys(bad, call.good if call.scope is None else 401)

    def test_a_caller_of_another_project_finds_nothing(self, world: World, call: Call) -> None:
        if call.scope is not None:
            answer = world.ask(call, world.keys[f"other-{call.scope}"])
            assert answer.status_code == call.foreign, answer.text

    def test_with_a_lesser_scope_is_403(self, world: World, call: Call) -> None:
        if call.scope in (None, "view"):
            return
        below = LADDER[LADDER.index(call.scope) - 1]
        answer = world.ask(call, world.keys[f"mine-{below}"])
        assert answer.status_code == 403
        assert call.method == "HEAD" or "missing_scope" in answer.text.lower()

    def test_with_the_scope_it_succeeds(self, world: World, call: Call) -> None:
        if call.scope is None:
            return
        for scope in LADDER[LADDER.index(call.scope) :]:
            answer = world.ask(call, world.keys[f"mine-{scope}"])
            assert answer.status_code == (403 if call.of_server else call.good), answer.text
        assert world.ask(call, ADMIN).status_code == call.good


# Streams


@pytest.mark.parametrize("path", ["/v1/jobs/j/events", "/v1/events?project=mine", "/v1/jobs/j"])
def test_a_stream_begins_only_with_the_right_to_see_it(world: World, path: str) -> None:
    def status(key: str | None) -> int:
        headers = {"accept": "text/event-stream"} | ({"x-api-key": key} if key else {})
        with httpx.stream("GET", world.server.url + path, headers=headers) as answer:
            return answer.status_code

    assert status(None) == status(world.keys["revoked"]) == status(world.keys["expired"]) == 401
    assert status(world.keys["other-admin"]) == (403 if "project" in path else 404)
    assert status(world.keys["mine-view"]) == 200


# Socket operations


def socket(world: World, key: str | None, path: str = "/v1/ws") -> ClientConnection:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    url = world.server.url.replace("http", "ws") + path
    return connect(url, additional_headers=headers, subprotocols=[Subprotocol("livejobs.v1")])


def say(ws: ClientConnection, **message: Any) -> Any:
    """The answer with the same id."""
    ws.send(json.dumps(message))
    while (answer := hear(ws)).get("id") != message["id"]:
        pass
    return answer


OPERATIONS = [
    ("view", {"op": "subscribe", "id": 1, "job": "j"}, "job_not_found"),
    ("view", {"op": "subscribe", "id": 1, "feed": {"project": "mine"}}, "foreign_project"),
    (
        "report",
        {"op": "report", "id": 1, "job": "j", "reports": [{"type": "heartbeat"}]},
        "job_not_found",
    ),
]


@pytest.mark.parametrize(("scope", "message", "foreign"), OPERATIONS)
def test_a_socket_operation_checks_access_as_a_route_does(
    world: World, scope: str, message: dict[str, Any], foreign: str
) -> None:
    with socket(world, world.keys[f"mine-{scope}"]) as ws:
        assert say(ws, **message)["op"] == "ack"
    with socket(world, world.keys[f"other-{scope}"]) as ws:
        assert say(ws, **message)["code"] == foreign
    if scope != "view":
        with socket(world, world.keys["mine-view"]) as ws:
            assert say(ws, **message)["code"] == "missing_scope"


def test_without_a_credential_a_socket_answers_only_auth(world: World) -> None:
    with socket(world, None) as ws:
        for _, message, _ in OPERATIONS:
            assert say(ws, **message)["code"] == "unauthenticated"
        assert say(ws, op="auth", id=2, token=world.keys["mine-view"])["op"] == "ack"
        assert say(ws, **OPERATIONS[0][1])["op"] == "ack"


@pytest.mark.parametrize("which", ["expired", "revoked"])
@pytest.mark.parametrize("path", ["/v1/ws", "/v1/jobs/j"])
def test_with_a_bad_credential_a_socket_says_why_and_closes(
    world: World, which: str, path: str
) -> None:
    with socket(world, world.keys[which], path) as ws:
        assert hear(ws)["code"] == "unauthenticated"
        with pytest.raises(ConnectionClosed) as closed:
            hear(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_a_bad_token_in_place_of_a_good_one_ends_the_connection(world: World) -> None:
    with socket(world, world.keys["mine-view"]) as ws:
        assert say(ws, op="auth", id=1, token="nonsense")["code"] == "bad_credential"
        with pytest.raises(ConnectionClosed) as closed:
            hear(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_a_socket_that_sends_nothing_is_closed(world: World) -> None:
    with socket(world, None) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            list(ws)  # pings, until the end
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_the_socket_of_a_job_needs_the_right_to_see_the_job(world: World) -> None:
    with socket(world, world.keys["mine-view"], "/v1/jobs/j") as ws:
        assert hear(ws) == {"op": "ack", "id": 0}
        assert hear(ws)["op"] == "snapshot"
    with socket(world, world.keys["other-admin"], "/v1/jobs/j") as ws:
        assert hear(ws)["code"] == "job_not_found"
        with pytest.raises(ConnectionClosed):
            hear(ws)
