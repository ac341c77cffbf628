"""wait_for_job from outside: progress as it comes, every way in which a wait ends, and its cost."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from tests.mcp.test_tools import new
from tests.support.agent import LEGACY, Agent, messages
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

TIME = 50  # seconds that a wait lasts by default here
TOKENS = [0, "", "t", -1, 2**60, '„ä\n"\\ \U0001f680']


def progress_of(message: dict[str, Any]) -> tuple[float, int | None, str | None]:
    assert message["method"] == "notifications/progress", message
    params = message["params"]
    return params["progress"], params.get("total"), params.get("message")


def ended(message: dict[str, Any]) -> dict[str, Any]:
    result = message["result"]
    assert not result["isError"], result
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    job: dict[str, Any] = result["structuredContent"]
    return job


def streams(api: Api) -> int:
    text = api.get("/metrics").text
    (line,) = (it for it in text.splitlines() if it.startswith('livejobs_viewers{kind="stream"}'))
    return int(float(line.split()[1]))


# Progress


def test_progress_comes_as_it_is_reported_and_then_the_job(either: Agent, api: Api) -> None:
    id = new(api, {"type": "progress", "percent": 10, "message": "begun"})
    with either.waiting(id, progress=7) as told:
        assert progress_of(next(told)) == (10, 100, "begun")
        for percent in (20, 55):
            api.report(id, {"type": "progress", "percent": percent})
            assert progress_of(next(told)) == (percent, 100, "begun")
        api.report(id, {"type": "succeed", "result": {"x": [1]}})
        job = ended(next(told))
        assert (job["status"], job["result"]) == ("succeeded", {"x": [1]})
        assert list(told) == []


@pytest.mark.parametrize("token", TOKENS, ids=repr)
def test_the_token_comes_back_as_it_was(either: Agent, api: Api, token: Any) -> None:
    id = new(api, {"type": "progress", "percent": 1})
    with either.waiting(id, progress=token) as told:
        assert next(told)["params"]["progressToken"] == token


def test_without_a_token_only_the_result_comes(either: Agent, api: Api) -> None:
    id = new(api, {"type": "start"})
    with either.waiting(id) as told:
        api.report(id, {"type": "progress", "percent": 50})
        api.report(id, {"type": "fail", "message": "no"})
        (only,) = told
    assert ended(only)["error"]["message"] == "no"


def test_progress_rises_through_a_retry_and_without_a_percent(agent: Agent, api: Api) -> None:
    id = new(api)
    steps: list[dict[str, Any]] = [
        {"type": "progress", "current": 1, "unit": "frames"},
        {"type": "progress", "percent": 80},
        {"type": "retry"},
        {"type": "progress", "percent": 5},
        {"type": "progress", "percent": 81},
        {"type": "succeed"},
    ]
    with agent.waiting(id, progress=1) as told:
        seen = [progress_of(next(told))]
        assert seen == [(0, None, "Queued: 1 of 1")]
        for report in steps:
            before = api.job(id)["cursor"]
            api.report(id, report)
            assert api.job(id)["cursor"] != before
        rest = list(told)
    seen += [progress_of(message) for message in rest[:-1]]
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers))
    assert {total for _, total, _ in seen} <= {None, 100}
    assert ended(rest[-1])["attempt"] == 2


# How it ends


@pytest.mark.parametrize("report", ["succeed", "cancelled"])
def test_a_job_that_has_ended_is_no_wait(either: Agent, api: Api, report: str) -> None:
    id = new(api, {"type": report})
    answer = either.ask("tools/call", {"name": "wait_for_job", "arguments": {"id": id}})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["structuredContent"]["completed_at"]


def test_it_ends_with_a_question(either: Agent, api: Api) -> None:
    id, began = new(api, {"type": "start"}), time.monotonic()
    with either.waiting(id, progress=0) as told:
        next(told)
        api.report(id, {"type": "ask", "prompt": "Go?"})
        job = ended(list(told)[-1])
    assert time.monotonic() - began < TIME  # else its time was over
    assert (job["status"], job["waiting"]["prompt"]) == ("running", "Go?")
    assert either.good("wait_for_job", id=id)["waiting"]["n"] == 1


def test_it_ends_when_its_time_is_over_and_is_called_again(either: Agent, api: Api) -> None:
    id = new(api, {"type": "progress", "percent": 3})
    with either.waiting(id, 0.3, progress=1) as told:
        told_of, job = [*told]
    assert progress_of(told_of)[0] == 3
    assert ended(job)["status"] == "running"
    assert either.good("wait_for_job", id=id, timeout_seconds=0)["progress"]["percent"] == 3


def test_it_ends_when_the_job_is_deleted(agent: Agent, api: Api) -> None:
    """Only a finished job can be deleted, so the wait has ended with it."""
    id = new(api, {"type": "start"})
    with agent.waiting(id) as told:
        api.report(id, {"type": "succeed"})
        assert api.delete(f"/v1/jobs/{id}").status_code == 204
        (only,) = told
    assert only["result"]["isError"] or ended(only)["status"] == "succeeded"


def test_a_client_that_takes_only_json_gets_json(agent: Agent, api: Api) -> None:
    id = new(api, {"type": "start"})
    agent.headers["accept"] = "application/json"
    asked = {"name": "wait_for_job", "arguments": {"id": id, "timeout_seconds": 0.2}}
    answer = agent.ask("tools/call", asked, progress=1)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["structuredContent"]["status"] == "running"
    api.report(id, {"type": "ask", "prompt": "Go?"})
    asked["arguments"] = {"id": id, "timeout_seconds": 50}
    assert agent.ask("tools/call", asked).json()["result"]["structuredContent"]["waiting"]


def test_a_client_that_takes_only_json_waits_until_the_job_has_ended(
    agent: Agent, api: Api
) -> None:
    """It is not woken by what happens in between."""
    id, began = new(api, {"type": "start"}), time.monotonic()

    def work() -> None:
        for percent in (10, 20, 30):
            api.report(id, {"type": "progress", "percent": percent})
        api.report(id, {"type": "succeed"})

    agent.headers["accept"] = "application/json"
    worker = Thread(target=work)
    worker.start()
    assert agent.good("wait_for_job", id=id, timeout_seconds=TIME)["status"] == "succeeded"
    worker.join()
    assert time.monotonic() - began < TIME  # else its time was over


def test_a_client_that_leaves_frees_its_connection(either: Agent, api: Api) -> None:
    eventually(lambda: streams(api) == 0)  # of the tests before
    id = new(api, {"type": "start"})
    with either.waiting(id, progress=1) as told:
        next(told)
        assert streams(api) == 1
    eventually(lambda: streams(api) == 0)
    api.report(id, {"type": "succeed"})


def test_a_client_that_leaves_half_way_through_its_request_leaves_nothing(
    agent: Agent, api: Api
) -> None:
    message = json.dumps(agent.message("tools/call", {"name": "list_jobs"})).encode()
    for sent in (0, 1, len(message) - 1):
        with socket.create_connection((agent.base_url.host, agent.base_url.port or 0)) as raw:
            head = (
                f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(message)}\r\n\r\n"
            )
            raw.sendall(head.encode() + message[:sent])
    assert agent.good("list_jobs")["counts"] is not None
    eventually(lambda: streams(api) == 0)


# Cancelling


def cancel(agent: Agent, id: Any) -> None:
    notice = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": id, "reason": "enough"},
    }
    headers = {"mcp-protocol-version": agent.version}
    assert agent.post("/mcp", json=notice, headers=headers).status_code == 202


def test_a_legacy_client_cancels_by_a_message(legacy: Agent, api: Api) -> None:
    id, began = new(api, {"type": "start"}), time.monotonic()
    name = uuid.uuid4().hex
    with legacy.waiting(id, id=name, progress=1) as told:
        next(told)
        cancel(legacy, "another")
        cancel(legacy, name)
        (only,) = told
    assert ended(only)["status"] == "running"
    assert time.monotonic() - began < TIME  # else its time was over
    cancel(legacy, name)  # which is over


@pytest.mark.parametrize("params", [None, {}, [], {"requestId": None}, {"requestId": {}}, 7])
def test_a_malformed_cancel_is_taken_and_does_nothing(legacy: Agent, params: Any) -> None:
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    assert legacy.post("/mcp", json=notice).status_code == 202


# With a server of its own


@pytest.fixture
def guarded(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        yield api


def test_a_stopping_server_ends_all_waits_with_the_job_as_it_is(
    server: Server, guarded: Api
) -> None:
    id = new(guarded, {"type": "start"})
    agents = [Agent(server.url, version=version) for version in (LEGACY, "2026-07-28") * 5]
    streams = [agent.waiting(id, progress=1) for agent in agents]
    waits = [stream.__enter__() for stream in streams]
    for wait in waits:
        next(wait)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10
    for wait in waits:
        (only,) = wait
        assert ended(only)["status"] == "running"
    for stream in streams:
        stream.__exit__(None, None, None)


def test_a_revoked_key_ends_its_waits_with_an_error(tmp_path: Any) -> None:
    admin_key = "the-first-admin-key"
    with (
        Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": admin_key}) as server,
        Api(server.url) as api,
    ):
        api.headers["x-api-key"] = admin_key
        id = new(api, {"type": "start"})
        made = api.post("/v1/keys", json={"name": "a", "scopes": ["view"]}).json()
        with Agent(server.url, made["key"]) as agent, agent.waiting(id, progress=1) as told:
            next(told)
            assert api.delete(f"/v1/keys/{made['id']}").status_code == 204
            (only,) = told
        assert "credential" in only["error"]["message"]


def test_a_slow_client_gets_all_of_a_large_result(shared: Server, api: Api) -> None:
    """It reads nothing until the wait has ended; the rest of the result waits for it."""
    id = new(api, {"type": "start"}, meta={"large": "x" * 100_000})
    with Agent(shared.url) as agent:
        asked = {"name": "wait_for_job", "arguments": {"id": id}}
        message = agent.message("tools/call", asked, progress=1)
        headers = agent.headers_of(message)
    body = json.dumps(message).encode()
    head = ["POST /mcp HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.connect(("127.0.0.1", shared.port))
    with raw:
        raw.sendall("\r\n".join([*head, "", ""]).encode() + body)
        assert raw.recv(1)
        for percent in range(30):
            api.report(id, {"type": "progress", "percent": percent, "message": "m" * 900})
        api.report(id, {"type": "succeed"})
        raw.settimeout(30)
        read = b""
        while piece := raw.recv(1 << 16):
            read += piece
    lines = [line for line in read.decode().splitlines() if line.startswith("data: ")]
    found = list(messages(iter(lines)))
    assert ended(found[-1])["status"] == "succeeded"
    progress = [progress_of(message) for message in found[:-1]]
    numbers = [number for number, _, _ in progress]
    assert numbers == sorted(set(numbers))
    assert max(len(message or "") for _, _, message in progress) <= 300
