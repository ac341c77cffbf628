"""The face `a2a`: messages, tasks and errors. The official clients are in tests/interop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.faces.a2a import face
from livejobs.store.memory import MemoryStore
from tests.support.api import Api, Socket
from tests.support.desk import eventually
from tests.support.server import LONG_ENOUGH, Server

ADMIN = "the-first-admin-key"
VERSION = {"a2a-version": "1.0"}
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class World(NamedTuple):
    api: Api  # as admin
    other: str  # a key for another project
    canceller: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "a2a"}
    with (
        Server(tmp_path_factory.mktemp("data"), env=environment) as server,
        Api(server.url) as api,
    ):
        api.headers |= {"x-api-key": ADMIN, **VERSION}
        keys = []
        for project, scope in (("other", "admin"), ("default", "cancel")):
            asked = {"name": project, "scopes": [scope], "projects": [project]}
            keys.append(api.post("/v1/keys", json=asked).json()["key"])
        yield World(api, *keys)


@pytest.fixture
def api(world: World) -> Api:
    return world.api


def sent(id: str, *parts: Any, wait: bool = False, **more: Any) -> dict[str, Any]:
    """The body of a message: strings are its text, all else is data."""
    made = [{"text": it} if isinstance(it, str) else {"data": it} for it in parts]
    message = {"messageId": id, "role": "ROLE_USER", "parts": made, **more}
    return {"message": message, "configuration": {"returnImmediately": not wait}}


def task_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/a2a+json"
    body = answer.json()
    return body.get("task", body)


def send(api: Api, id: str, *parts: Any, **more: Any) -> Any:
    return task_of(api.post("/a2a/message:send", json=sent(id, *parts, **more)))


def error(answer: httpx.Response, status: int, reason: str) -> Any:
    """The error, once its shape is right."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/a2a+json"
    said = answer.json()["error"]
    assert said.keys() == {"code", "status", "message", "details"}
    info = said["details"][0]
    assert (said["code"], info["@type"], info["reason"]) == (status, INFO, reason)
    assert info["domain"] == "a2a-protocol.org"
    assert said["message"]
    return said


def state(task: Any) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


# Messages that begin a job


def test_a_message_begins_a_job_with_its_data_and_its_text(api: Api) -> None:
    task = send(api, "begin", "Cut the", {"type": "render", "tags": ["a"]}, "teaser.")
    job = api.job(task["id"])
    assert (job["title"], job["type"], job["tags"]) == ("Cut the teaser.", "render", ["a"])
    assert (task["contextId"], state(task), task["artifacts"]) == ("default", "SUBMITTED", [])
    titled = send(api, "titled", "Text", {"title": "Title"}, contextId="films")
    assert (titled["metadata"]["title"], titled["contextId"]) == ("Title", "films")


def test_a_message_that_comes_again_begins_no_second_job(world: World) -> None:
    api = world.api
    first = send(api, "again", "Teaser")
    assert send(api, "again", "Teaser")["id"] == first["id"]
    with ThreadPoolExecutor(8) as pool:
        tasks = list(pool.map(lambda _: send(api, "at once", "Teaser"), range(8)))
    assert len({task["id"] for task in tasks}) == 1
    changed = api.post("/a2a/message:send", json=sent("again", "Trailer"))
    error(changed, 400, "IDEMPOTENCY_MISMATCH")
    headers = {"x-api-key": world.other}
    others = api.post("/a2a/message:send", json=sent("again", "Teaser"), headers=headers)
    assert task_of(others)["id"] != first["id"]


def later(pool: ThreadPoolExecutor, api: Api, body: Any) -> Future[Any]:
    return pool.submit(lambda: task_of(api.post("/a2a/message:send", json=body)))


def test_a_message_waits_for_a_question_and_for_the_end(api: Api) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = later(pool, api, sent("wait", "Teaser", {"id": "waited"}, wait=True))
        eventually(lambda: api.get("/v1/jobs/waited").status_code == 200)
        api.report("waited", {"type": "progress", "percent": 10})
        api.report("waited", {"type": "ask", "prompt": "Which one?"})
        assert state(asked.result(LONG_ENOUGH)) == "INPUT_REQUIRED"
        ended = later(pool, api, sent("yes", "the first", taskId="waited", wait=True))
        eventually(lambda: api.job("waited")["waiting"] is None)
        api.report("waited", {"type": "succeed", "result": 7})
        task = ended.result(LONG_ENOUGH)
    assert state(task) == "COMPLETED"
    assert [it["artifactId"] for it in task["artifacts"]] == ["result"]


def test_a_wait_ends_with_its_client_and_with_the_server(tmp_path: Any) -> None:
    with (
        Server(tmp_path / "data", "--faces", "a2a") as server,
        Api(server.url) as api,
        ThreadPoolExecutor(1) as pool,
    ):
        api.headers |= VERSION
        with Socket(server.url) as gone:
            body = json.dumps(sent("gone", {"id": "gone"}, wait=True))
            gone.post("/a2a/message:send", "a2a-version: 1.0", "content-type: application/json")
            gone.chunk(body)
            gone.end()
            eventually(lambda: api.get("/v1/jobs/gone").status_code == 200)
        waits = later(pool, api, sent("stay", {"id": "stay"}, wait=True))
        eventually(lambda: api.get("/v1/jobs/stay").status_code == 200)
        assert server.stop() == 0
        assert state(waits.result(LONG_ENOUGH)) == "SUBMITTED"
        assert "Traceback" not in server.stderr


async def test_a_wait_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "WAIT", 0.05)
    live = LiveJobs(Settings(faces=("a2a",)), store=MemoryStore())
    app = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with live, httpx.AsyncClient(transport=app, base_url="http://localhost") as http:
        answer = await http.post(
            "/a2a/message:send", json=sent("m", "x", wait=True), headers=VERSION
        )
        assert state(task_of(answer)) == "SUBMITTED"


# Answers


def waiting(api: Api, **question: Any) -> str:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Publish?", **question})
    return id


@pytest.mark.parametrize(
    ("schema", "part", "value"),
    [
        (None, "yes", "yes"),
        (None, "true", "true"),
        ({"type": "boolean"}, "true", True),
        ({"type": "string"}, "true", "true"),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
        (None, None, None),
    ],
)
def test_a_message_to_a_task_is_the_answer(api: Api, schema: Any, part: Any, value: Any) -> None:
    id = waiting(api, schema=schema)
    assert state(send(api, "answer", part, taskId=id, contextId="default")) == "WORKING"
    receipt = api.report(id, {"type": "heartbeat"})
    assert receipt["answer"]["value"] == value


def test_an_answer_that_comes_again_changes_nothing(api: Api) -> None:
    id = waiting(api)
    for _ in range(2):
        assert state(send(api, "twice", "yes", taskId=id)) == "WORKING"
    other = api.post("/a2a/message:send", json=sent("twice", "no", taskId=id))
    error(other, 400, "UNSUPPORTED_OPERATION")
    api.report(id, {"type": "heartbeat", "answered": 1})
    late = api.post("/a2a/message:send", json=sent("twice", "yes", taskId=id))
    error(late, 400, "UNSUPPORTED_OPERATION")


def test_an_answer_that_does_not_fit_leaves_the_question_open(api: Api) -> None:
    id = waiting(api, schema={"type": "integer", "maximum": 5})
    for part in ("six", "6", {"n": 5}, 10**30, "1" * 30, DEEP):
        answer = api.post("/a2a/message:send", json=sent("wrong", part, taskId=id))
        error(answer, 400, "INVALID_PARAMS")
    assert api.job(id)["waiting"] is not None
    task = task_of(api.get(f"/a2a/tasks/{id}"))
    asked = task["status"]["message"]["parts"]
    schema = {"type": "integer", "maximum": 5}
    assert asked == [{"text": "Publish?"}, {"data": {"n": 1, "schema": schema}}]
    mixed = sent("mixed", "5", taskId=id, contextId="other")
    error(api.post("/a2a/message:send", json=mixed), 400, "INVALID_PARAMS")


def test_a_task_that_is_over_takes_no_message(api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "succeed"})
    for path in ("send", "stream"):
        answer = api.post(f"/a2a/message:{path}", json=sent("late", "more", taskId=id))
        error(answer, 400, "UNSUPPORTED_OPERATION")


# Wrong input


MESSAGE = sent("m", "text")["message"]
DEEP = json.loads('{"a":' * 60 + "1" + "}" * 60)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "INVALID_REQUEST"),
        (b"{", "INVALID_REQUEST"),
        (b'{"message": {"messageId": "\xff"}}', "INVALID_REQUEST"),
        (b"[]", "INVALID_PARAMS"),
        (b'{"message": ' + b"[" * 5000, "INVALID_PARAMS"),
        ({}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "messageId": ""}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "messageId": "m" * 201}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "role": "ROLE_AGENT"}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": []}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"text": 1}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{}]}}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"message": {**MESSAGE, "parts": [{"raw": "AA=="}]}}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"message": {**MESSAGE, "parts": [{"url": "https://a"}]}}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"message": {**MESSAGE, "parts": [{"data": [1]}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"data": {"meta": {"n": 10**30}}}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"data": {"meta": DEEP}}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"data": {"titel": "x"}}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"data": {"title": None}}]}, "x": 1}, None),
        ({"message": {**MESSAGE, "parts": [{"text": "x" * 1001}]}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "parts": [{"text": "\u202e\0 \U0001f600"}]}}, None),
        ({"message": {**MESSAGE, "contextId": "../x"}}, "INVALID_PARAMS"),
        ({"message": {**MESSAGE, "contextId": None, "taskId": None}}, None),
        ({"message": MESSAGE, "configuration": {"returnImmediately": 1}}, "INVALID_PARAMS"),
    ],
)
def test_a_wrong_message_is_refused(api: Api, body: Any, reason: str | None) -> None:
    if isinstance(body, dict) and reason is None:
        body["configuration"] = {"returnImmediately": True}
        body["message"]["messageId"] = json.dumps(body["message"]["parts"])[:200]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = api.post("/a2a/message:send", content=content)
    if reason is None:
        task_of(answer)
    else:
        error(answer, 400, reason)


def test_a_body_of_another_type_or_size_is_refused(api: Api) -> None:
    form = api.post("/a2a/message:send", data={"message": "x"})
    error(form, 400, "CONTENT_TYPE_NOT_SUPPORTED")
    large = json.dumps(sent("large", {"meta": {"x": "x" * (1 << 20)}}))
    error(api.post("/a2a/message:send", content=large), 413, "BODY_TOO_LARGE")
    a2a = {"content-type": "application/a2a+json"}
    task_of(api.post("/a2a/message:send", content=json.dumps(sent("typed", "x")), headers=a2a))


@pytest.mark.parametrize("version", [None, "", "0.3", "1", "1.1", "2.0", "1.0x", "x" * 500])
def test_another_version_is_not_spoken(api: Api, version: str | None) -> None:
    id = api.create()
    assert api.get(f"/a2a/tasks/{id}").status_code == 200  # the answer is ready now
    headers = {} if version is None else {"a2a-version": version}
    for path in (f"/a2a/tasks/{id}", "/a2a/tasks"):
        answer = httpx.get(api.url + path, headers={"x-api-key": ADMIN, **headers})
        error(answer, 400, "VERSION_NOT_SUPPORTED")


def test_the_version_may_be_in_the_query_and_have_a_patch(api: Api) -> None:
    id = api.create()
    for version in ("1.0", "1.0.1"):
        key = {"x-api-key": ADMIN}
        asked = httpx.get(f"{api.url}/a2a/tasks/{id}?A2A-Version={version}", headers=key)
        assert task_of(asked)["id"] == id
        named = httpx.get(f"{api.url}/a2a/tasks/{id}", headers={**key, "A2A-Version": version})
        assert task_of(named)["id"] == id


def test_errors_of_every_kind_have_one_shape(world: World) -> None:
    api = world.api
    id = api.create()
    none = httpx.get(f"{api.url}/a2a/tasks/{id}", headers=VERSION)
    assert error(none, 401, "UNAUTHORIZED")["status"] == "UNAUTHENTICATED"
    assert none.headers["www-authenticate"].startswith("Bearer")
    foreign = api.get(f"/a2a/tasks/{id}", headers={"x-api-key": world.other})
    missing = api.get("/a2a/tasks/none")
    assert (
        error(foreign, 404, "TASK_NOT_FOUND").keys() == error(missing, 404, "TASK_NOT_FOUND").keys()
    )
    answer = sent("mine", "x", taskId=id)
    as_other = api.post("/a2a/message:send", json=answer, headers={"x-api-key": world.other})
    error(as_other, 404, "TASK_NOT_FOUND")
    begin = api.post(
        "/a2a/message:send", json=sent("begin", "x"), headers={"x-api-key": world.canceller}
    )
    error(begin, 403, "MISSING_SCOPE")
    error(api.get("/a2a/nothing"), 404, "METHOD_NOT_FOUND")
    put = api.put(f"/a2a/tasks/{id}")
    error(put, 405, "METHOD_NOT_FOUND")
    error(api.get("/a2a/extendedAgentCard"), 400, "UNSUPPORTED_OPERATION")
    head = api.head(f"/a2a/tasks/{id}")
    assert (head.status_code, head.content) == (200, b"")


def test_a_page_of_another_site_follows_nothing_with_a_cookie(api: Api) -> None:
    id, token = api.create(), api.post("/v1/tokens", json={}).json()["token"]
    address = f"{api.url}/a2a/tasks/{id}:subscribe?A2A-Version=1.0"
    for origin, status in (("https://evil.example", 403), (api.url, 200)):
        headers = {"cookie": f"livejobs_token={token}", "origin": origin}
        with httpx.stream("GET", address, headers=headers) as answer:
            assert answer.status_code == status


# Tasks


def test_cancelling_asks_a_running_job_and_ends_a_queued_one(api: Api) -> None:
    queued, running = api.create(), api.create()
    api.report(running, {"type": "start"})
    assert state(task_of(api.post(f"/a2a/tasks/{queued}:cancel"))) == "CANCELED"
    body = {"metadata": {"why": "no need"}}
    task = task_of(api.post(f"/a2a/tasks/{running}:cancel", json=body))
    assert (state(task), task["metadata"]["cancelRequested"]) == ("WORKING", True)
    assert task["status"]["message"]["parts"] == [{"text": "Cancellation is requested."}]
    assert state(task_of(api.post(f"/a2a/tasks/{running}:cancel"))) == "WORKING"
    error(api.post(f"/a2a/tasks/{queued}:cancel"), 400, "TASK_NOT_CANCELABLE")
    error(api.post("/a2a/tasks/none:cancel"), 404, "TASK_NOT_FOUND")


def test_files_are_artifacts_with_links(api: Api) -> None:
    id = api.create()
    api.put(f"/v1/jobs/{id}/files/a%20b.txt", content=b"x", headers={"content-type": "text/plain"})
    (artifact,) = task_of(api.get(f"/a2a/tasks/{id}"))["artifacts"]
    assert (artifact["artifactId"], artifact["name"]) == ("files/a b.txt", "a b.txt")
    (part,) = artifact["parts"]
    assert (part["filename"], part["mediaType"]) == ("a b.txt", "text/plain")
    assert api.get(part["url"]).content == b"x"


# The card


def test_the_card_of_an_open_server_asks_for_nothing(tmp_path: Any) -> None:
    with Server(tmp_path / "data", "--faces", "a2a", "--public-url", "https://jobs.example") as it:
        answer = httpx.get(f"{it.url}/.well-known/agent-card.json")
        assert answer.headers["content-type"] == "application/json"
        card = answer.json()
        with Api(it.url) as api:
            id = api.create()
            api.put(f"/v1/jobs/{id}/files/f", content=b"x")
            (file,) = task_of(api.get(f"/a2a/tasks/{id}", headers=VERSION))["artifacts"]
    assert card["supportedInterfaces"][0]["url"] == "https://jobs.example/a2a"
    assert "securitySchemes" not in card
    assert file["parts"][0]["url"] == f"https://jobs.example/v1/jobs/{id}/files/f"


def test_without_the_face_there_is_no_card(tmp_path: Any) -> None:
    with Server(tmp_path / "data") as server:
        for path in ("/.well-known/agent-card.json", "/a2a/tasks"):
            assert httpx.get(server.url + path, headers=VERSION).status_code == 404
