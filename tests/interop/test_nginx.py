"""Behind nginx with its default buffering: what is live stays live.

The read timeout is 16 s in place of 60, a second longer than the time between two pings.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from websockets.sync.client import connect as connect_websocket

from tests.server import LONG_ENOUGH, Server

CONF: Final = Path(__file__).with_name("nginx.conf")
NGINX: Final = shutil.which("nginx", path="/usr/sbin:/usr/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class Nginx:
    """In front of a server, on a port of its own."""

    def __init__(self, upstream: Server, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        conf = CONF.read_text().replace("UPSTREAM", str(upstream.port))
        (home / "nginx.conf").write_text(conf.replace("PORT", str(self.port)))
        command = [str(NGINX), "-p", str(home), "-c", "nginx.conf"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def wait_until_it_listens(self) -> None:
        while self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                pass
        raise AssertionError("nginx did not start")

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        self.process.wait(LONG_ENOUGH)


@pytest.fixture
def nginx(server: Server, tmp_path: Path) -> Iterator[Nginx]:
    home = tmp_path / "nginx"
    home.mkdir()
    with Nginx(server, home) as running:
        running.wait_until_it_listens()
        httpx2.put(running.url + "/v1/jobs/j").raise_for_status()
        yield running


def tell(nginx: Nginx, *reports: dict[str, object]) -> None:
    httpx2.post(nginx.url + "/v1/jobs/j/reports", json=reports).raise_for_status()


class Events:
    """One event stream, read event by event."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(timeout=LONG_ENOUGH)
        self._context = self._client.stream("GET", url)
        self._lines = self._context.__enter__().iter_lines()

    def next(self) -> tuple[str, Any]:
        kind, data = "message", None
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
            elif not line and data is not None:
                return kind, data
        raise EOFError

    def until(self, kind: str) -> Any:
        while (event := self.next())[0] != kind:
            pass
        return event[1]

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *exc: object) -> None:
        self._context.__exit__(None, None, None)
        self._client.close()


def test_an_event_arrives_while_the_stream_is_open(nginx: Nginx) -> None:
    with Events(nginx.url + "/v1/jobs/j/events") as events:
        assert events.next()[1]["status"] == "queued"
        tell(nginx, {"type": "progress", "percent": 7})
        assert events.next()[1]["progress"]["percent"] == 7


def test_a_followed_log_arrives_line_by_line(nginx: Nginx) -> None:
    url = nginx.url + "/v1/jobs/j/logs?follow=1"
    tell(nginx, {"type": "log", "message": "one"})
    with httpx2.stream("GET", url, headers={"accept": "text/plain"}) as log:
        lines = log.iter_lines()
        assert next(lines) == "one"
        tell(nginx, {"type": "log", "message": "two"})
        assert next(lines) == "two"
        tell(nginx, {"type": "succeed"})
        assert list(lines) == []


def test_pings_keep_streams_open_past_the_proxy_s_timeout(nginx: Nginx) -> None:
    with (
        Events(nginx.url + "/v1/jobs/j/events") as events,
        connect_websocket(nginx.ws_url) as websocket,
        ThreadPoolExecutor() as waiting,
    ):
        websocket.send('{"op": "subscribe", "id": 1, "job": "j"}')

        def heard_two_pings() -> None:
            for _ in range(2):
                while json.loads(websocket.recv(LONG_ENOUGH))["op"] != "ping":
                    pass

        socket_waits = waiting.submit(heard_two_pings)
        for _ in range(2):
            assert events.until("ping") == {}
        socket_waits.result()
        tell(nginx, {"type": "progress", "percent": 8})
        assert events.until("message")["progress"]["percent"] == 8
        assert json.loads(websocket.recv(LONG_ENOUGH))["set"]["progress"]["percent"] == 8


def test_a_websocket_reports_and_hears(nginx: Nginx) -> None:
    with connect_websocket(nginx.ws_url) as websocket:
        websocket.send('{"op": "subscribe", "id": 1, "job": "j", "view": "state"}')
        ops = [json.loads(websocket.recv(LONG_ENOUGH))["op"] for _ in range(2)]
        assert ops == ["ack", "state"]
        websocket.send('{"op": "report", "id": 2, "job": "j", "reports": {"type": "start"}}')
        said = [json.loads(websocket.recv(LONG_ENOUGH)) for _ in range(2)]
        assert {message["op"] for message in said} == {"ack", "state"}


def test_a_long_poll_waits_for_a_change_or_the_time(nginx: Nginx) -> None:
    url = nginx.url + "/v1/jobs/j"
    tell(nginx, {"type": "start"})
    tag = httpx2.get(url).headers["etag"]
    headers = {"if-none-match": tag, "prefer": "wait=1"}
    assert httpx2.get(url, headers=headers).status_code == 304
    with ThreadPoolExecutor() as waiting:
        headers["prefer"] = "wait=10"
        answer = waiting.submit(httpx2.get, url, headers=headers, timeout=LONG_ENOUGH)
        tell(nginx, {"type": "progress", "percent": 9})
        assert answer.result().json()["progress"]["percent"] == 9


def test_lines_of_an_upload_are_told_before_it_ends(nginx: Nginx) -> None:
    with Events(nginx.url + "/v1/jobs/j/events?logs=1") as events:

        def lines() -> Iterator[bytes]:
            yield b'{"type": "log", "message": "first"}\n'
            assert events.until("logs")[0]["message"] == "first"
            yield b'{"type": "succeed"}\n'

        headers = {"content-type": "application/x-ndjson"}
        url = nginx.url + "/v1/jobs/j/reports"
        answer = httpx2.post(url, content=lines(), headers=headers, timeout=LONG_ENOUGH)
        assert answer.json()["accepted"] == 2


def test_a_large_upload_of_lines_goes_through(nginx: Nginx) -> None:
    line = b'{"type": "log", "message": "%s"}\n' % (1000 * b"x")
    headers = {"content-type": "application/x-ndjson"}
    url = nginx.url + "/v1/jobs/j/reports"
    answer = httpx2.post(url, content=5000 * line, headers=headers, timeout=LONG_ENOUGH)
    assert answer.json()["accepted"] == 5000
