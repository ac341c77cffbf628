"""Push notification configs of the face `a2a`: webhooks that a job gets while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.faces.test_a2a import VERSION, error, sent, state, task_of
from tests.support.api import Api
from tests.support.receiver import Got, Receiver, Reply
from tests.support.server import Server

SETTINGS = ("--faces", "a2a", "--webhook-allow-private", "127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), *SETTINGS) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        api.headers |= VERSION
        yield api


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def path(job: str, name: str = "") -> str:
    return f"/a2a/tasks/{job}/pushNotificationConfigs{'/' if name else ''}{name}"


def push(api: Api, job: str, url: str, **more: Any) -> Any:
    answer = api.post(path(job), json={"url": url, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(api: Api, job: str) -> list[str]:
    body = api.get(path(job)).json()
    assert body["nextPageToken"] == ""
    return [it["id"] for it in body["configs"]]


def states(got: list[Got]) -> list[str]:
    return [state(it.json["statusUpdate"]) for it in got]


def test_a_config_survives_a_killed_server_and_gets_every_change(
    tmp_path: Path, receiver: Receiver
) -> None:
    with Server(tmp_path / "data", *SETTINGS) as server, Api(server.url) as api:
        api.headers |= VERSION
        id = api.create()
        config = push(api, id, f"{receiver.url}/in", token="t0k")
        server.kill()
        server.restart()
        assert names(api, id) == [config["id"]]
        api.report(id, {"type": "progress", "percent": 50})
        receiver.until(lambda got: len(got) == 1)
        api.report(id, {"type": "ask", "prompt": "Go on?"})
        receiver.until(lambda got: len(got) == 2)
        receiver.reply = lambda _: Reply(500)  # until the server is killed once more
        api.report(id, {"type": "fail", "message": "No"})
        receiver.until(lambda got: len(got) == 3)
        server.kill()
        receiver.reply = lambda _: Reply()
        server.restart()
        got = receiver.until(lambda got: len(got) >= 4)
    assert states(got[:4]) == ["WORKING", "INPUT_REQUIRED", "FAILED", "FAILED"]
    assert {it.headers["x-a2a-notification-token"] for it in got} == {"t0k"}
    assert {it.headers["content-type"] for it in got} == {"application/a2a+json"}


def test_a_config_takes_the_place_of_the_one_with_its_id(api: Api, receiver: Receiver) -> None:
    id, other = api.create(), api.create()
    push(api, id, f"{receiver.url}/old", id="mine")
    push(api, id, f"{receiver.url}/new", id="mine")
    push(api, other, f"{receiver.url}/other", id="mine")
    assert names(api, id) == names(api, other) == ["mine"]
    assert api.get(path(id, "mine")).json()["url"] == f"{receiver.url}/new"
    api.report(id, {"type": "succeed"})
    got = receiver.until(lambda got: len(got) == 1)
    assert [it.path for it in got] == ["/new"]


def test_a_removed_config_gets_nothing_more(api: Api, receiver: Receiver) -> None:
    id = api.create()
    push(api, id, f"{receiver.url}/gone", id="gone")
    push(api, id, f"{receiver.url}/stays", id="stays")
    for _ in range(2):
        assert api.delete(path(id, "gone")).json() == {}
    assert names(api, id) == ["stays"]
    error(api.get(path(id, "gone")), 404, "TASK_NOT_FOUND")
    api.report(id, {"type": "start"}, {"type": "succeed"})
    receiver.until(lambda got: "COMPLETED" in states(got))
    assert {it.path for it in receiver.got} == {"/stays"}
    assert api.delete(path(id, "stays")).json() == {}
    assert names(api, id) == []


def test_configs_that_come_at_once_are_all_there_and_each_id_once(api: Api) -> None:
    id = api.create()
    asked = ["same"] * 6 + ["other"] * 2 + [f"c{n}" for n in range(4)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: push(api, id, "http://127.0.0.1:9/", id=name), asked))
    assert sorted(names(api, id)) == ["c0", "c1", "c2", "c3", "other", "same"]
    for n in range(4, 8):
        push(api, id, "http://127.0.0.1:9/", id=f"c{n}")
    answer = api.post(path(id), json={"url": "http://127.0.0.1:9/"})
    error(answer, 400, "TOO_MANY_WEBHOOKS")
    push(api, id, "http://127.0.0.1:9/", id="c0")  # the place of another one needs no room
    hook = api.get(f"/v1/webhooks?job={id}").json()["webhooks"][0]
    api.delete(f"/v1/webhooks/{hook['id']}")
    push(api, id, "http://127.0.0.1:9/", id="new")


def test_a_message_can_bring_a_config(api: Api, receiver: Receiver) -> None:
    body = sent("brings", "Teaser")
    config = {"url": f"{receiver.url}/in", "authentication": {"scheme": "Bearer"}}
    body["configuration"]["taskPushNotificationConfig"] = config
    for _ in range(2):
        id = task_of(api.post("/a2a/message:send", json=body))["id"]
    assert names(api, id) == ["default"]
    api.report(id, {"type": "ask", "prompt": "Go on?"})
    receiver.until(lambda got: states(got)[-1:] == ["INPUT_REQUIRED"])
    answer = sent("answers", "yes", taskId=id)
    answer["configuration"]["taskPushNotificationConfig"] = {**config, "id": "second"}
    task_of(api.post("/a2a/message:send", json=answer))
    assert names(api, id) == ["default", "second"]
    assert "authorization" not in receiver.got[0].headers


def test_the_config_of_a_refused_answer_is_not_kept(api: Api) -> None:
    id = api.create()
    answer = sent("refused", "no number", taskId=id)
    config = {"url": "https://a.example/in"}
    answer["configuration"]["taskPushNotificationConfig"] = config
    error(api.post("/a2a/message:send", json=answer), 400, "UNSUPPORTED_OPERATION")
    api.report(id, {"type": "ask", "prompt": "How many?", "schema": {"type": "integer"}})
    error(api.post("/a2a/message:send", json=answer), 400, "INVALID_PARAMS")
    assert names(api, id) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.org"},
        {"url": ""},
        {"url": "http://10.0.0.1/in"},
        {"url": "https://a.example/" + "x" * 2000},
        {"token": "a\r\nx-evil: 1"},
        {"token": "\u00e9"},
        {"id": "../x"},
        {"id": "x" * 200},
        {"taskId": "another"},
        {"authentication": {"scheme": "Bearer x", "credentials": "y"}},
        {"authentication": {"scheme": "Bearer", "credentials": "y\r\nx: 1"}},
        {"authentication": "Bearer"},
    ],
)
def test_a_wrong_config_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    id = api.create()
    config = {"url": "https://a.example/in", **wrong}
    error(api.post(path(id), json=config), 400, "INVALID_PARAMS")
    assert names(api, id) == []
    if "taskId" not in wrong:
        body = sent(f"wrong {wrong}"[:200], {"title": "of a wrong config"})
        body["configuration"]["taskPushNotificationConfig"] = config
        error(api.post("/a2a/message:send", json=body), 400, "INVALID_PARAMS")
        assert "of a wrong config" not in api.get("/v1/jobs").text


def test_a_task_that_is_over_takes_no_config(api: Api) -> None:
    id = api.create()
    push(api, id, "http://127.0.0.1:9/", id="early")
    api.report(id, {"type": "succeed"})
    cursor = api.job(id)["cursor"]
    late = api.post(path(id), json={"url": "http://127.0.0.1:9/"})
    error(late, 400, "UNSUPPORTED_OPERATION")
    assert api.delete(path(id, "early")).json() == {}
    assert api.job(id)["cursor"] == cursor
    acts = [it["action"] for it in api.get(f"/v1/jobs/{id}/audit").json()["acts"]]
    assert acts == ["webhook.delete", "webhook.create", "create"]
    error(api.get(path("none")), 404, "TASK_NOT_FOUND")


def test_secrets_are_shown_once(api: Api, server: Server) -> None:
    id = api.create()
    auth = {"scheme": "Bearer", "credentials": "hidden-credentials"}
    made = push(api, id, "http://127.0.0.1:9/", id="c", token="hidden-token", authentication=auth)
    assert (made["token"], made["authentication"]) == ("hidden-token", auth)
    shown = api.get(path(id, "c")).json()
    assert shown == {
        "id": "c",
        "taskId": id,
        "url": "http://127.0.0.1:9/",
        "authentication": {"scheme": "Bearer"},
    }
    hooks = api.get(f"/v1/webhooks?job={id}")
    assert [it["format"] for it in hooks.json()["webhooks"]] == ["a2a"]
    trail = api.get(f"/v1/jobs/{id}/audit")
    assert [it["action"] for it in trail.json()["acts"]] == ["webhook.create", "create"]
    for answer in (hooks, trail, api.get(f"/v1/jobs/{id}"), api.get(path(id))):
        assert "hidden" not in answer.text
    assert "hidden" not in server.stderr


def test_a_project_can_have_a_webhook_of_this_format(api: Api, receiver: Receiver) -> None:
    hook = {
        "url": f"{receiver.url}/in", "format": "a2a", "secret": "t0k", "project": "pushed",
        "events": ["started", "finished"],
    }  # fmt: skip
    made: httpx.Response = api.post("/v1/webhooks", json=hook)
    assert made.status_code == 201, made.text
    tested = api.post(f"/v1/webhooks/{made.json()['id']}/test").json()
    assert tested["delivered"]
    id = api.create(project="pushed")
    api.report(id, {"type": "succeed"})
    got = receiver.until(lambda got: len(got) == 2)  # one for the one change
    assert states(got) == ["SUBMITTED", "COMPLETED"]
    assert got[1].json["statusUpdate"]["taskId"] == id
    assert got[1].headers["x-a2a-notification-token"] == "t0k"
