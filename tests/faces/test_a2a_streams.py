"""Streams of the face `a2a`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from msgspec.structs import replace

from livejobs.core.model import File
from livejobs.hooks import a2a
from tests.faces.jobs import Told, created
from tests.faces.test_a2a import VERSION, error, sent, state
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), "--faces", "a2a") as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        api.headers |= VERSION
        yield api


class Stream:
    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()

    def next(self) -> Any:
        """The next event; None at the end."""
        while block := list(self._block()):
            if data := [line for line in block if not line.startswith(":")]:
                break  # else it is a ping
        else:
            return None
        (line,) = data
        assert line.startswith("data: ")
        (event,) = json.loads(line.removeprefix("data: ")).items()
        return event

    def _block(self) -> Iterator[str]:
        for line in self._lines:
            if line:
                yield line
            else:
                return

    def kinds(self) -> list[str]:
        """What comes until the end."""
        return [kind_of(*event) for event in iter(self.next, None)]


def kind_of(kind: str, value: Any) -> str:
    return value["artifact"]["artifactId"] if kind == "artifactUpdate" else state(value)


@contextmanager
def follow(api: Api, id: str, method: str = "POST") -> Iterator[Stream]:
    with api.stream(method, f"/a2a/tasks/{id}:subscribe") as answer:
        yield Stream(answer)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_begins_with_the_task_and_ends_with_it(api: Api, method: str) -> None:
    id = api.create(title="Teaser")
    api.report(id, {"type": "result", "value": 1})
    with follow(api, id, method) as stream:
        kind, task = stream.next()
        assert (kind, [it["artifactId"] for it in task["artifacts"]]) == ("task", ["results/1"])
        api.report(id, {"type": "result", "value": 2})
        assert kind_of(*stream.next()) == "results/2"
        api.report(id, {"type": "succeed", "result": {"ok": True}})
        assert stream.kinds() == ["result", "COMPLETED"]


def test_a_line_of_the_log_is_no_news(api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "start"})
    with follow(api, id) as stream:
        assert kind_of(*stream.next()) == "WORKING"
        for n in range(3):
            api.report(id, {"type": "log", "message": f"line {n}"})
        api.report(id, {"type": "cancelled"})
        assert stream.kinds() == ["CANCELED"]


def test_a_stream_ends_at_a_question_unless_it_began_there(api: Api) -> None:
    id = api.create()
    with follow(api, id) as stream:
        assert kind_of(*stream.next()) == "SUBMITTED"
        api.report(id, {"type": "ask", "prompt": "Go on?"})
        assert stream.kinds() == ["INPUT_REQUIRED"]
    with follow(api, id) as stream:
        assert kind_of(*stream.next()) == "INPUT_REQUIRED"
        api.post(f"/v1/jobs/{id}/answer", json={"value": 1})
        assert kind_of(*stream.next()) == "WORKING"
        api.report(id, {"type": "fail", "message": "No"})
        assert stream.kinds() == ["FAILED"]


def test_a_message_that_comes_again_gets_the_task_that_is_over(api: Api) -> None:
    body = sent("over", "Teaser", {"id": "over"})
    with api.stream("POST", "/a2a/message:stream", json=body) as answer:
        stream = Stream(answer)
        assert kind_of(*stream.next()) == "SUBMITTED"
        api.report("over", {"type": "succeed"})
        assert stream.kinds() == ["COMPLETED"]
    with api.stream("POST", "/a2a/message:stream", json=body) as answer:
        assert Stream(answer).kinds() == ["COMPLETED"]
    error(api.post("/a2a/tasks/over:subscribe"), 400, "UNSUPPORTED_OPERATION")
    error(api.post("/a2a/tasks/none:subscribe"), 404, "TASK_NOT_FOUND")


def viewers(api: Api) -> float:
    found = re.findall(r"^livejobs_viewers\{[^}]*\} (\S+)", api.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_a_client_that_leaves_is_no_viewer_any_more(api: Api) -> None:
    id = api.create()
    before = viewers(api)
    with follow(api, id) as stream, follow(api, id) as other:
        stream.next(), other.next()
        assert viewers(api) == before + 2
    api.report(id, {"type": "start"})
    eventually(lambda: viewers(api) == before)


def test_a_server_that_stops_ends_its_streams(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--faces", "a2a") as server, Api(server.url) as api:
        api.headers |= VERSION
        id = api.create()
        with follow(api, id) as stream:
            assert kind_of(*stream.next()) == "SUBMITTED"
            assert server.stop() == 0
            assert stream.next() is None


def test_a_killed_server_is_followed_again_from_the_whole_task(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--faces", "a2a") as server, Api(server.url) as api:
        api.headers |= VERSION
        id = api.create()
        with follow(api, id) as stream:
            stream.next()
            api.report(id, {"type": "result", "value": 1})
            assert kind_of(*stream.next()) == "results/1"
            server.kill()
        server.restart()
        with follow(api, id) as stream:
            _, task = stream.next()
        assert [it["artifactId"] for it in task["artifacts"]] == ["results/1"]


# What a change makes


def kinds(before: Told | None, after: Told) -> list[str]:
    heads = None if before is None else before.head, after.head
    made = [dict(one) for one in a2a.updates(*heads, [], "")]
    return [kind_of(*event) for one in made for event in one.items()]


def test_artifacts_come_before_the_status_and_only_new_ones() -> None:
    queued = created()
    running = queued.later(1, {"type": "start"})
    filed = running.with_file("a.txt")
    more = filed.with_file("b.txt").later(2, {"type": "succeed", "result": [1]})
    assert kinds(queued, running) == ["WORKING"]
    assert kinds(running, filed) == ["files/a.txt"]
    assert kinds(filed, more) == ["files/b.txt", "result", "COMPLETED"]
    assert kinds(None, more) == ["files/a.txt", "files/b.txt", "result", "COMPLETED"]
    assert kinds(more, more) == []


def test_a_file_that_is_replaced_comes_again() -> None:
    head = created().head
    old, new = File("a", 1, "text/plain"), File("a", 1, "image/png")
    one, other = (Told(replace(head, files=(it,))) for it in (old, new))
    assert kinds(one, other) == ["files/a"]
