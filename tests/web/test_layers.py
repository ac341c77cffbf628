"""Layers of other people around our app and inside it: whatever passes through them works as it
does without, and what they add for one visitor reaches no other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.api import hear
from tests.support.layered import LAYERS, PLACES
from tests.support.server import LONG_ENOUGH, Running

SERVERS = ("uvicorn", "livejobs")
MARKED = {"base-http", "cookie", "editing"}  # layers that name the visitor in each answer
FILE = bytes(range(256)) * 2048


class Visitor(httpx.Client):
    """One of many, with a name that no other may see."""

    def __init__(self, host: Host) -> None:
        self.name = uuid4().hex
        headers = {"x-visitor": self.name}
        super().__init__(base_url=host.url, headers=headers, timeout=LONG_ENOUGH)

    def own(self, answer: httpx.Response, layer: str) -> None:
        """The answer names this visitor once, if the layer names visitors at all."""
        said = str(answer.headers.raw)
        assert said.count(self.name) == (layer in MARKED), said
        if layer == "cookie":
            assert answer.headers["set-cookie"].startswith(f"visitor={self.name};")
            assert len(answer.headers.get_list("set-cookie")) == 1


class Host:
    """Our app in one place beside one layer."""

    def __init__(self, url: str, layer: str, place: str) -> None:
        self.layer = layer
        self.url = f"{url}/{layer}/{place}" + ("/mounted" if place == "outside" else "")

    def visitor(self) -> Visitor:
        return Visitor(self)

    def socket(self, visitor: Visitor) -> ClientConnection:
        address = self.url.replace("http", "ws", 1) + "/v1/ws"
        return connect(address, additional_headers={"x-visitor": visitor.name})


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    with ExitStack() as stack:
        running = {}
        for name in SERVERS:
            data = str(tmp_path_factory.mktemp(name) / "data")
            command = (
                sys.executable,
                "-m",
                "tests.support.layered",
                "--server",
                name,
                "--data",
                data,
            )
            running[name] = stack.enter_context(Running(*command))
        yield running
        for server in running.values():
            assert "Traceback" not in server.stderr, server.stderr


CASES = list(product(SERVERS, PLACES, LAYERS))


@pytest.fixture(params=CASES, ids="-".join)
def host(request: pytest.FixtureRequest, servers: dict[str, Running]) -> Host:
    server, place, layer = request.param
    return Host(servers[server].url, layer, place)


@pytest.fixture
def me(host: Host) -> Iterator[Visitor]:
    with host.visitor() as visitor:
        yield visitor


@pytest.fixture
def other(host: Host) -> Iterator[Visitor]:
    with host.visitor() as visitor:
        yield visitor


@pytest.fixture
def job(me: Visitor) -> str:
    return str(me.post("/v1/jobs").json()["id"])


def report(visitor: Visitor, job: str, *reports: dict[str, Any]) -> httpx.Response:
    return visitor.post(f"/v1/jobs/{job}/reports", json=list(reports)).raise_for_status()


def percent(n: int) -> dict[str, Any]:
    return {"type": "progress", "percent": n}


SUCCEED = {"type": "succeed"}


def test_a_poll_and_a_report_are_answered(
    host: Host, me: Visitor, other: Visitor, job: str
) -> None:
    for visitor in (me, other):
        reported = report(visitor, job, percent(50))
        assert reported.json()["accepted"] == 1
        polled = visitor.get(f"/v1/jobs/{job}")
        assert polled.json()["progress"]["percent"] == 50
        same = visitor.get(f"/v1/jobs/{job}", headers={"if-none-match": polled.headers["etag"]})
        assert same.status_code == 304
        for answer in (reported, polled, same):
            visitor.own(answer, host.layer)


def test_each_viewer_of_a_stream_sees_all_of_it_and_nothing_of_another(
    host: Host, me: Visitor, other: Visitor, job: str
) -> None:
    path = f"/v1/jobs/{job}/events"
    with me.stream("GET", path) as mine, other.stream("GET", path) as theirs:
        heard = {}
        lines = {visitor: it.iter_lines() for visitor, it in ((me, mine), (other, theirs))}
        for visitor, said in lines.items():
            heard[visitor] = [next(it for it in said if it.startswith("data: "))]
        report(me, job, percent(50))
        for visitor, said in lines.items():
            for line in said:
                heard[visitor].append(line)
                if '"percent":50' in line:
                    break
        report(me, job, SUCCEED)
        for visitor, said in lines.items():
            heard[visitor] += said
        for visitor, answer in ((me, mine), (other, theirs)):
            visitor.own(answer, host.layer)
            assert "event: end" in heard[visitor]
        assert other.name not in "".join(heard[me])
        assert me.name not in "".join(heard[other])
    head = me.head(path)
    me.own(head, host.layer)


def test_each_socket_hears_all_that_it_asked_for_and_nothing_of_another(
    host: Host, me: Visitor, other: Visitor, job: str
) -> None:
    with host.socket(me) as mine, host.socket(other) as theirs:
        pairs = ((me, mine), (other, theirs))
        for _, socket in pairs:
            socket.send(json.dumps({"op": "subscribe", "id": 1, "job": job}))
            assert [hear(socket)["op"] for _ in range(2)] == ["ack", "snapshot"]
        report(me, job, percent(50))
        for visitor, socket in pairs:
            delta = hear(socket)
            assert delta["set"]["progress"]["percent"] == 50
            assert delta.get("visitor", visitor.name) == visitor.name
        report(me, job, SUCCEED)
        for _, socket in pairs:
            assert hear(socket)["set"]["status"] == "succeeded"
            assert hear(socket)["op"] == "end"


def test_a_file_comes_back_as_it_was_sent(
    host: Host, me: Visitor, other: Visitor, job: str
) -> None:
    path = f"/v1/jobs/{job}/files/a.bin"
    sent = me.put(path, content=FILE)
    assert sent.status_code == 201
    me.own(sent, host.layer)
    for visitor in (me, other):
        whole = visitor.get(path)
        assert whole.content == FILE
        assert whole.headers.get("content-encoding", "identity") == "identity"
        assert whole.headers["content-length"] == str(len(FILE))
        part = visitor.get(path, headers={"range": "bytes=300000-"})
        assert (part.status_code, part.content) == (206, FILE[300000:])
        same = visitor.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert same.status_code == 304
        for answer in (whole, part, same, visitor.head(path)):
            visitor.own(answer, host.layer)


def test_a_log_line_arrives_as_soon_as_it_was_reported(host: Host, me: Visitor, job: str) -> None:
    text = {"accept": "text/plain"}
    with me.stream("GET", f"/v1/jobs/{job}/logs?follow=1", headers=text) as log:
        report(me, job, {"type": "log", "message": "one"})
        lines = log.iter_lines()
        assert next(lines) == "one"
        report(me, job, {"type": "log", "message": "two"}, SUCCEED)
        assert list(lines) == ["two"]
        me.own(log, host.layer)


def test_errors_are_problems(host: Host, me: Visitor) -> None:
    missing = me.get("/v1/jobs/nowhere")
    assert (missing.status_code, missing.json()["code"]) == (404, "job_not_found")
    me.own(missing, host.layer)
