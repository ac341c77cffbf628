"""Clients of other projects follow one job to its end, through kill -9 of the server.

All clients follow the same job at the same time. Each prints what it received, and each test checks
one client's output.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.support.server import Server

HERE: Final = Path(__file__).parent
PATIENCE: Final = 120.0  # seconds; two browsers and six other clients start at once
CLIENTS: Final = {
    "curl": ("clients/curl.sh",),
    "npm eventsource": ("node", "clients/eventsource.mjs"),
    "npm eventsource-parser": ("node", "clients/eventsource-parser.mjs"),
    "npm event-source-polyfill": ("node", "clients/event-source-polyfill.mjs"),
    "npm reconnecting-eventsource": ("node", "clients/reconnecting-eventsource.mjs"),
    "npm reconnecting-websocket": ("node", "clients/reconnecting-websocket.mjs"),
    "Chromium EventSource": (sys.executable, "clients/chromium.py", "eventsource"),
    "npm fetch-event-source": (sys.executable, "clients/chromium.py", "fetch-event-source"),
    "Python httpx-sse": (sys.executable, "clients/httpx_sse_.py"),
    "Python websockets": (sys.executable, "clients/websockets_.py"),
}


class Client:
    """A process that prints what it receives, as JSON lines."""

    def __init__(self, name: str, url: str, job: str) -> None:
        self.name = name
        self.lines: list[int] = []
        self.states: list[tuple[str, int | None]] = []
        self.over: object = None
        self._told = threading.Condition()
        self.process = subprocess.Popen(
            [*CLIENTS[name], url, job],
            cwd=HERE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self._hear(json.loads(line))
                self._told.notify()

    def _hear(self, fact: dict[str, Any]) -> None:
        self.lines += [entry["n"] for entry in fact.get("logs", [])]
        if "state" in fact:
            job = fact["state"]
            self.states.append((job["status"], (job["progress"] or {}).get("percent")))
        self.over = fact.get("over", self.over)

    def wait_for_line(self, n: int) -> None:
        """Wait for log line `n`, or for any state if `n` is 0."""
        with self._told:
            there = self._told.wait_for(
                lambda: self.states and max(self.lines, default=0) >= n, PATIENCE
            )
        assert there, f"{self.name} heard {self.lines[-3:]}, not {n}; {self.complaint()}"

    def wait(self) -> int:
        """Read all output to its end, and return the exit code."""
        code = self.process.wait(PATIENCE)
        self._listening.join(PATIENCE)
        return code

    def complaint(self) -> str:
        self.process.kill()
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Worker(threading.Thread):
    """Reports one line after another, and repeats unacknowledged reports."""

    PACE: Final = 0.02  # seconds between lines, so that they last until all clients are ready

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.said = 0
        self._enough = threading.Event()

    def run(self) -> None:
        with httpx2.Client() as http:
            while not self._enough.wait(self.PACE):
                n = self.said + 1
                log = {"type": "log", "message": f"line {n}", "producer": "log", "n": n}
                progress = {"type": "progress", "current": n, "producer": "progress", "n": n}
                self._insist(http, [log, progress])
                self.said = n
            self._insist(http, [{"type": "succeed", "producer": "end", "n": 1}])

    def _insist(self, http: httpx2.Client, reports: list[dict[str, object]]) -> None:
        while True:
            try:
                http.post(self.url + "/reports", json=reports).raise_for_status()
            except httpx2.TransportError:
                self._enough.wait(self.PACE)
            else:
                return

    def finish(self) -> int:
        """Finish the job, and return the number of lines."""
        self._enough.set()
        self.join(PATIENCE)
        return self.said


class Story:
    def __init__(self, clients: dict[str, Client], said: int) -> None:
        self.clients = clients
        self.said = said


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path_factory.mktemp("story") / "data"))
        url = f"{server.url}/v1/jobs/story"
        httpx2.put(url, json={"total": 2000}).raise_for_status()
        clients = {name: stack.enter_context(Client(name, server.url, "story")) for name in CLIENTS}
        heard(clients, 0)
        worker = Worker(url)
        worker.start()
        for _ in range(2):
            heard(clients, worker.said + 1)
            server.kill()
            server.restart()
        heard(clients, worker.said + 1)
        yield Story(clients, worker.finish())


def heard(clients: dict[str, Client], n: int) -> None:
    for client in clients.values():
        client.wait_for_line(n)


@pytest.mark.parametrize("name", CLIENTS)
def test_it_follows_a_job_to_its_end_through_kills_of_the_server(name: str, story: Story) -> None:
    client = story.clients[name]
    assert client.wait() == 0, client.complaint()
    assert client.lines == list(range(1, story.said + 1))
    assert client.states[-1] == ("succeeded", 100)
    assert client.over in (204, "end")


@pytest.mark.parametrize("name", CLIENTS)
def test_its_progress_never_goes_back(name: str, story: Story) -> None:
    client = story.clients[name]
    client.wait()
    percents = [percent or 0 for _, percent in client.states]
    assert percents == sorted(percents)
    statuses = [status for status, _ in client.states]
    assert statuses == sorted(statuses, key=["queued", "running", "succeeded"].index)
