"""`livejobs serve --workers 3`: what one worker accepts, viewers of all workers see."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.api import Api
from tests.support.postgres import Postgres
from tests.support.server import Server

COUNT = 3


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path) -> Iterator[Server]:
    url = {"LIVEJOBS_DATABASE": postgres.database("workers")}
    with Server(tmp_path / "data", "--workers", str(COUNT), env=url) as running:
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as client:
        yield client


def workers(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def worker_of(server: Server, answer: httpx.Response) -> int:
    """The process that serves the connection of this answer."""
    _, port = answer.extensions["network_stream"].get_extra_info("client_addr")
    inode = next(inode for ends, inode in connections() if ends == (server.port, port))
    return next(pid for pid in workers(server) if f"socket:[{inode}]" in descriptors(pid))


def connections() -> Iterator[tuple[tuple[int, int], str]]:
    """The ports of each connection, and the inode of its socket."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(end.partition(":")[2], 16) for end in fields[1:3])
        yield (local, remote), fields[9]


def descriptors(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(path.readlink()))
    return found


class Viewer:
    """A stream of a job's events on a connection of its own, read as far as it is needed."""

    def __init__(self, server: Server, job: str, stack: ExitStack, since: str = "") -> None:
        client = stack.enter_context(Api(server.url))
        headers = {"last-event-id": since} if since else {}
        path = f"/v1/jobs/{job}/events?view=delta&logs=1"
        answer = stack.enter_context(client.stream("GET", path, headers=headers))
        self.worker = worker_of(server, answer)
        self.cursor = since
        self.logs: list[int] = []
        self._lines = answer.iter_lines()

    def event(self) -> str:
        """Take the next event in, and return its name."""
        event: dict[str, str] = {}
        while (line := next(self._lines)) or not event:
            name, _, value = line.partition(": ")
            event[name] = value
        self.cursor = event.get("id", self.cursor)
        data: dict[str, Any] = json.loads(event["data"])
        entries = data.get("logs") or data.get("append", {}).get("logs") or []
        self.logs += [entry["n"] for entry in entries]
        return event["event"]

    def until_log(self, n: int) -> None:
        while not self.logs or self.logs[-1] < n:
            self.event()


def one_on_each(server: Server, job: str, stack: ExitStack) -> list[Viewer]:
    viewers: dict[int, Viewer] = {}
    while len(viewers) < COUNT:
        viewer = Viewer(server, job, stack)
        viewers.setdefault(viewer.worker, viewer)
    return list(viewers.values())


def log(api: Api, job: str, count: int) -> None:
    for _ in range(count):
        api.report(job, {"type": "log", "message": "hello"})


def test_viewers_of_all_workers_see_every_entry_once_and_get_bye(server: Server, api: Api) -> None:
    job = api.create()
    with ExitStack() as stack:
        cut, *others = one_on_each(server, job, stack)
        log(api, job, 5)
        cut.until_log(3)
        os.kill(cut.worker, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            cut.until_log(1000)
        with Api(server.url) as another:  # the connection of the first may be gone
            log(another, job, 5)
        resumed = Viewer(server, job, stack, cut.cursor)
        for viewer in (*others, resumed):
            viewer.until_log(10)
        assert cut.logs + resumed.logs == list(range(1, 11))
        assert [viewer.logs for viewer in others] == [list(range(1, 11))] * 2
        server.signal(signal.SIGTERM)
        for viewer in (*others, resumed):
            while viewer.event() != "bye":
                pass
    assert server.wait() == 0
    assert server.rest_of_stdout() == ""
    assert "Traceback" not in server.stderr
