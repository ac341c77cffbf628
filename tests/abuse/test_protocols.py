"""Hostile clients at the doors of open protocols: what they send, and how they wait and leave."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs.faces.registry import BUILT_IN
from livejobs.faces.streams import WAIT
from tests.abuse import doors
from tests.abuse.crowd import Target, read_all, read_until
from tests.abuse.test_abuse import KNOWN
from tests.support.agent import MODERN, Agent
from tests.support.server import Server

FACES = ",".join(BUILT_IN)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    data = tmp_path_factory.mktemp("target") / "data"
    with Target(data, "--faces", FACES) as target:
        target.create("j")
        target.report("j", {"type": "log", "message": "begun"})
        target.create("over")
        target.report("over", {"type": "succeed"})
        yield target
        assert "Traceback" not in target.stderr


@pytest.fixture(autouse=True)
def freed(target: Target) -> Iterator[None]:
    """When the clients have gone, all numbers return to what they were."""
    before = target.statistics()
    before["descriptors"] += 4  # readers of the database
    yield
    waited = target.until(**{name: before[name] for name in KNOWN})
    assert waited < WAIT  # else the waits have ended by themselves


def status_of(sock: socket.socket) -> int:
    """Of an answer, whose body is read unless it lasts."""
    answer = HTTPResponse(sock)
    answer.begin()
    if answer.getheader("content-type", "").startswith("text/event-stream"):
        return answer.status
    answer.read()
    return answer.status


# What they send


def test_no_request_makes_a_door_fail(target: Target) -> None:
    for ask in doors.hostile("j", "over"):
        with ask.send(target.port) as sock:
            status = status_of(sock)
        assert 200 <= status < 500, (status, ask.method, ask.path[:200], ask.body[:99], ask.type)
    assert target.http.get("/v1/jobs/j").json()["status"] == "running"
    assert "Traceback" not in target.stderr


def test_a_body_that_ends_half_way_leaves_nothing(target: Target) -> None:
    for ask in (*doors.streams("j").values(), *doors.waits("j").values()):
        for sent in range(0, len(ask.body), 40):
            with socket.create_connection(("127.0.0.1", target.port)) as sock:
                sock.sendall(ask.head() + ask.body[:sent])


# How they wait


@pytest.mark.parametrize("name", doors.streams(""))
def test_many_streams_of_one_client_come_and_go(target: Target, name: str) -> None:
    ask = doors.streams("j")[name]
    for _ in range(2):
        memory = target.memory
        with ExitStack() as stack:
            for _ in range(300):
                sock = stack.enter_context(ask.send(target.port))
                read_until(sock, b"\r\n\r\n")
            assert target.statistics()["subscriptions"] == 300
        target.until(subscriptions=0)
    assert target.memory - memory < 8


@pytest.mark.parametrize("name", doors.waits(""))
def test_many_waits_of_one_client_come_and_go(target: Target, name: str) -> None:
    ask = doors.waits("j")[name]
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(ask.send(target.port))
        assert target.http.get("/healthz").status_code == 200


def test_one_stream_listens_to_as_many_jobs_as_a_socket(target: Target) -> None:
    ids = [f"listened{n}" for n in range(101)]
    for id in ids:
        target.create(id)
    uris = [f"livejob://{id}" for id in ids]
    with Agent(target.url, version=MODERN) as agent:
        wanted = {"notifications": {"resourceSubscriptions": uris}}
        assert "100" in agent.ask("subscriptions/listen", wanted).json()["error"]["message"]
        wanted = {"notifications": {"resourceSubscriptions": uris[:100]}}
        with agent.streamed("subscriptions/listen", wanted) as told:
            assert next(told)["params"]["notifications"]["resourceSubscriptions"] == uris[:100]
            assert target.statistics()["subscriptions"] == 100


@pytest.mark.parametrize("name", doors.streams(""))
def test_clients_that_never_read_cost_little_and_are_disconnected(
    target: Target, name: str
) -> None:
    job = f"unread-{name}"
    target.create(job)
    text = 16_000 * "x"
    large: list[dict[str, object]] = [
        {"type": "log", "message": text},
        {"type": "result", "value": text},
        {"type": "meta", "set": {"large": text}},
    ]
    memory = target.memory
    target.forget_peak()
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(doors.streams(job)[name].send(target.port, narrow=True))
        for n in range(60):
            target.report(job, *large, {"type": "progress", "percent": n, "message": "m"})
        target.report(job, {"type": "succeed"})
        target.until(connections_slow=0, subscriptions=0)
    assert target.peak - memory < 40


# How the server ends


def test_a_server_that_stops_answers_everyone(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--faces", FACES) as server, ExitStack() as stack:
        with httpx.Client(base_url=server.url) as http:
            http.put("/v1/jobs/j").raise_for_status()
            http.post("/v1/jobs/j/reports", json={"type": "start"}).raise_for_status()
            streams = [ask.send(server.port) for ask in 20 * [*doors.streams("j").values()]]
            waits = [ask.send(server.port) for ask in 20 * [*doors.waits("j").values()]]
            for sock in (*streams, *waits):
                stack.enter_context(sock)
            for sock in streams:
                read_until(sock, b"\r\n\r\n")
            assert http.get("/healthz").status_code == 200  # by now it has the waits
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - began < 10
        assert all(read_all(sock).endswith(b"0\r\n\r\n") for sock in streams)
        assert {status_of(sock) for sock in waits} == {200, 204}
        assert "Traceback" not in server.stderr


def test_a_server_that_is_killed_is_waited_for_again(tmp_path: Path) -> None:
    """Each protocol goes on from what its client knows."""
    with Server(tmp_path / "data", "--faces", FACES) as server, ExitStack() as stack:
        report(server, "PUT", "/v1/jobs/j", {})
        report(server, "POST", "/v1/jobs/j/reports", lines(0, 3))
        for ask in (*doors.streams("j").values(), *doors.waits("j").values()):
            stack.enter_context(ask.send(server.port))
        with doors.streams("j")["logs"].send(server.port) as sock:
            read = read_until(sock, b'"upToDate"').decode()
        (offset,) = re.findall(r'"streamNextOffset":\s*"([^"]+)"', read)
        server.kill()
        server.restart()
        report(server, "POST", "/v1/jobs/j/reports", [*lines(3, 5), {"type": "succeed"}])
        with httpx.Client(base_url=server.url) as http:
            rest = http.get(f"/streams/j/logs?offset={offset}").json()
            assert [it["message"] for it in rest] == ["3", "4"]
            done = http.post(f"{doors.AIP}/j:wait", json={"timeout": "50s"}).json()
            assert done["done"]
        with Agent(server.url) as agent:
            assert agent.good("wait_for_job", id="j")["logs_total"] == 5


def report(server: Server, method: str, path: str, body: Any) -> None:
    httpx.request(method, server.url + path, json=body).raise_for_status()


def lines(start: int, end: int) -> list[dict[str, Any]]:
    return [{"type": "log", "message": str(n)} for n in range(start, end)]
