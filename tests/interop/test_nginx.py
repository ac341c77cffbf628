"""Behind nginx with its default buffering, streams stay live.

nginx's read timeout is 25 s instead of 60 s: still longer than the 15 s between two pings, even if
the server is seconds late with one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from websockets.sync.client import connect as connect_websocket

from tests.api import hear
from tests.needs import need
from tests.server import LONG_ENOUGH, Server, hold_port

CONF: Final = Path(__file__).with_name("nginx.conf")
FILES_PAGE: Final = Path(__file__).parents[2] / "docs" / "files.md"
READ_TIMEOUT: Final = 25  # seconds, as nginx.conf has it
NGINX: Final = shutil.which("nginx", path="/usr/sbin:/usr/bin")


class Nginx:
    """nginx in front of a server, on its own port."""

    def __init__(self, upstream: Server, home: Path, more: str = "") -> None:
        need(NGINX, "nginx is not installed")
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        conf = CONF.read_text().replace("UPSTREAM", str(upstream.port))
        conf = conf.replace("location / {", more + "location / {", 1)
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
        self._held.close()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    with Server(folder / "data") as server, Nginx(server, folder) as running:
        running.wait_until_it_listens()
        yield running


@pytest.fixture
def job(nginx: Nginx) -> str:
    """The address of a new job, through nginx."""
    made = httpx2.post(f"{nginx.url}/v1/jobs").raise_for_status().json()
    return f"{nginx.url}/v1/jobs/{made['id']}"


def id_of(job: str) -> str:
    return job.rpartition("/")[2]


def report(job: str, *reports: dict[str, object]) -> None:
    httpx2.post(f"{job}/reports", json=reports).raise_for_status()


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


def test_an_event_arrives_while_the_stream_is_open(job: str) -> None:
    with Events(job + "/events") as events:
        assert events.next()[1]["status"] == "queued"
        report(job, {"type": "progress", "percent": 7})
        assert events.until("message")["progress"]["percent"] == 7


def test_a_followed_log_arrives_line_by_line(job: str) -> None:
    url = job + "/logs?follow=1"
    report(job, {"type": "log", "message": "one"})
    with httpx2.stream("GET", url, headers={"accept": "text/plain"}) as log:
        lines = log.iter_lines()
        assert next(lines) == "one"
        report(job, {"type": "log", "message": "two"})
        assert next(lines) == "two"
        report(job, {"type": "succeed"})
        assert list(lines) == []


def test_pings_keep_streams_open_past_the_proxy_s_timeout(nginx: Nginx, job: str) -> None:
    with (
        Events(job + "/events") as events,
        connect_websocket(nginx.ws_url) as websocket,
        ThreadPoolExecutor() as waiting,
    ):
        websocket.send(json.dumps({"op": "subscribe", "id": 1, "job": id_of(job)}))

        def socket_pings() -> None:
            while json.loads(websocket.recv(LONG_ENOUGH))["op"] != "ping":
                pass

        socket_waits = waiting.submit(past_the_timeout, socket_pings)
        past_the_timeout(lambda: events.until("ping"))
        socket_waits.result()
        report(job, {"type": "progress", "percent": 8})
        assert events.until("message")["progress"]["percent"] == 8
        assert hear(websocket)["set"]["progress"]["percent"] == 8


def past_the_timeout(hear_a_ping: Callable[[], object]) -> None:
    began = time.monotonic()
    while time.monotonic() - began < READ_TIMEOUT + 1:
        hear_a_ping()


def test_a_websocket_reports_and_gets_the_new_state(nginx: Nginx, job: str) -> None:
    with connect_websocket(nginx.ws_url) as websocket:
        subscribe = {"op": "subscribe", "id": 1, "job": id_of(job), "view": "state"}
        websocket.send(json.dumps(subscribe))
        ops = [hear(websocket)["op"] for _ in range(2)]
        assert ops == ["ack", "state"]
        start = {"op": "report", "id": 2, "job": id_of(job), "reports": {"type": "start"}}
        websocket.send(json.dumps(start))
        messages = [hear(websocket) for _ in range(2)]
        assert {message["op"] for message in messages} == {"ack", "state"}


def test_a_long_poll_waits_for_a_change_or_the_time(job: str) -> None:
    report(job, {"type": "start"})
    tag = httpx2.get(job).headers["etag"]
    headers = {"if-none-match": tag, "prefer": "wait=1"}
    assert httpx2.get(job, headers=headers).status_code == 304
    with ThreadPoolExecutor() as waiting:
        headers["prefer"] = "wait=10"
        answer = waiting.submit(httpx2.get, job, headers=headers, timeout=LONG_ENOUGH)
        report(job, {"type": "progress", "percent": 9})
        assert answer.result().json()["progress"]["percent"] == 9


def test_lines_of_a_request_reach_viewers_before_it_ends(job: str) -> None:
    with Events(job + "/events?logs=1") as events:

        def lines() -> Iterator[bytes]:
            yield b'{"type": "log", "message": "first"}\n'
            assert events.until("logs")[0]["message"] == "first"
            yield b'{"type": "succeed"}\n'

        headers = {"content-type": "application/x-ndjson"}
        url = job + "/reports"
        answer = httpx2.post(url, content=lines(), headers=headers, timeout=LONG_ENOUGH)
        assert answer.json()["accepted"] == 2


def test_a_large_request_of_lines_passes_nginx(job: str) -> None:
    line = b'{"type": "log", "message": "%s"}\n' % (1000 * b"x")
    headers = {"content-type": "application/x-ndjson"}
    url = job + "/reports"
    answer = httpx2.post(url, content=5000 * line, headers=headers, timeout=LONG_ENOUGH)
    assert answer.json()["accepted"] == 5000


# Files that nginx sends for the server


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx with the location that docs/files.md gives."""
    tmp_path = tmp_path_factory.mktemp("sending")
    [location] = re.findall(r"```nginx\n(location .*?)```", FILES_PAGE.read_text(), re.DOTALL)
    data, home = tmp_path / "data", tmp_path / "nginx"
    home.mkdir()
    location = location.replace("/var/lib/livejobs", str(data))
    with (
        Server(data, "--sendfile", "x-accel-redirect:/_files") as server,
        Nginx(server, home, location) as running,
    ):
        running.wait_until_it_listens()
        httpx2.put(running.url + "/v1/jobs/j").raise_for_status()
        yield running


def kept(sending: Nginx, address: str) -> Path:
    key = httpx2.head(address).headers["etag"].strip('"')
    [path] = (sending.home.parent / "data" / "files").rglob(key)
    return path


def test_nginx_sends_a_file_with_the_headers_of_our_own_download(sending: Nginx) -> None:
    data, address = os.urandom(300_000), sending.url + "/v1/jobs/j/files/ü.html"
    httpx2.put(address, content=data).raise_for_status()
    os.utime(
        kept(sending, address), (10**9, 10**9)
    )  # the server sends no Last-Modified for newer files
    whole = httpx2.get(address)
    assert (whole.status_code, whole.content) == (200, data)
    headers = httpx2.head(address).headers
    for name in (
        "accept-ranges", "cache-control", "content-disposition", "content-length",
        "content-security-policy", "content-type", "etag", "last-modified", "repr-digest", "vary",
        "x-content-type-options",
    ):  # fmt: skip
        assert whole.headers[name] == headers[name], name
    assert "x-accel-redirect" not in whole.headers
    assert httpx2.get(address, params={"inline": "1"}).content == data


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": "bytes=1000-1999"}, 206),
        ({"range": "bytes=-5"}, 206),
        ({"range": "bytes=300000-"}, 416),
        ({"if-none-match": "TAG"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-match": "TAG", "range": "bytes=0-9"}, 206),
        ({"if-match": '"other"'}, 412),
        ({"if-range": "TAG", "range": "bytes=0-9"}, 206),
        ({"if-range": '"other"', "range": "bytes=0-9"}, 200),
        ({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
    ],
)
def test_nginx_honours_ranges_and_preconditions(
    sending: Nginx, headers: dict[str, str], status: int
) -> None:
    data, address = os.urandom(300_000), sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=data).raise_for_status()
    tag = httpx2.head(address).headers["etag"]
    asked = {name: value.replace("TAG", tag) for name, value in headers.items()}
    answer = httpx2.get(address, headers=asked)
    assert answer.status_code == status
    if status == 200:
        assert answer.content == data
    if status == 206:
        first, last = answer.headers["content-range"].split()[1].split("/")[0].split("-")
        assert answer.content == data[int(first) : int(last) + 1]
    if status in (200, 206):
        assert answer.headers["etag"] == tag


def test_nginx_answers_two_ranges_as_multipart(sending: Nginx) -> None:
    address = sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=b"0123456789").raise_for_status()
    answer = httpx2.get(address, headers={"range": "bytes=0-1,8-9"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")


def test_the_internal_path_of_a_file_is_404_from_outside(sending: Nginx) -> None:
    address = sending.url + "/v1/jobs/j/files/a"
    httpx2.put(address, content=b"0123456789").raise_for_status()
    path = kept(sending, address)
    inside = f"{path.parent.name}/{path.name}"
    for asked in (f"/_files/{inside}", f"/x/..//_files/{inside}", "/_files/../livejobs.db"):
        assert httpx2.get(sending.url + asked).status_code == 404


def test_for_apache_the_path_is_absolute(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--sendfile", "x-sendfile") as server:
        httpx2.put(server.url + "/v1/jobs/j").raise_for_status()
        address = server.url + "/v1/jobs/j/files/a"
        httpx2.put(address, content=b"0123456789").raise_for_status()
        answer = httpx2.get(address)
        assert answer.content == b""
        assert Path(answer.headers["x-sendfile"]).read_bytes() == b"0123456789"
        assert httpx2.get(address, headers={"if-range": '"x"'}).content == b"0123456789"
