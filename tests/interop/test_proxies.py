"""Behind the proxies of docs/proxies.md and docker/, with their configurations: what is live stays
live, and nothing is refused, held back or changed."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]  # schemathesis brings it
from websockets.sync.client import connect as connect_websocket

from tests.docker.balanced import BALANCED
from tests.interop.proxies import CONFIGURATIONS, KINDS, Events, Proxy
from tests.support.api import hear
from tests.support.desk import digest, eventually
from tests.support.server import LONG_ENOUGH, Server

PAGE: Final = CONFIGURATIONS.with_suffix(".md")
IDLE: Final = 25  # seconds, of a hurried proxy: longer than the 15 s between two pings of ours
NDJSON: Final = {"content-type": "application/x-ndjson"}


def name_of(kind: type[Proxy]) -> str:
    return kind.__name__


# The others differ only in what the rest of the tests asks.
in_front_of_one_node = pytest.mark.parametrize("proxy", KINDS, indirect=True, ids=name_of)


@pytest.fixture(scope="module", params=(*KINDS, *BALANCED), ids=name_of)
def proxy(
    request: pytest.FixtureRequest, shared: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with request.param(shared, tmp_path_factory.mktemp("proxy") / "home") as running:
        yield running


@pytest.fixture
def job(proxy: Proxy, request: pytest.FixtureRequest) -> str:
    """A job of its own for each test: its address."""
    name = re.sub(r"\W", "-", request.node.name)[:60]
    httpx2.put(f"{proxy.url}/v1/jobs/{name}").raise_for_status()
    return f"{proxy.url}/v1/jobs/{name}"


def tell(job: str, *reports: dict[str, object]) -> None:
    httpx2.post(f"{job}/reports", json=reports).raise_for_status()


@in_front_of_one_node
def test_a_poller_that_has_the_state_gets_304(job: str) -> None:
    answer = httpx2.get(job)
    tag = answer.headers["etag"]
    assert httpx2.get(job, headers={"if-none-match": tag}).status_code == 304
    tell(job, {"type": "start"})
    assert httpx2.get(job, headers={"if-none-match": tag}).status_code == 200


def test_a_long_poll_waits_for_a_change_or_the_time(job: str) -> None:
    tell(job, {"type": "start"})
    tag = httpx2.get(job).headers["etag"]
    headers = {"if-none-match": tag, "prefer": "wait=1"}
    assert httpx2.get(job, headers=headers).status_code == 304
    with ThreadPoolExecutor() as waiting:
        headers["prefer"] = "wait=10"
        answer = waiting.submit(httpx2.get, job, headers=headers, timeout=LONG_ENOUGH)
        tell(job, {"type": "progress", "percent": 9})
        assert answer.result().json()["progress"]["percent"] == 9


def test_an_event_arrives_while_the_stream_is_open(job: str) -> None:
    with Events(f"{job}/events") as events:
        assert events.next()[1]["status"] == "queued"
        tell(job, {"type": "progress", "percent": 7})
        assert events.until("message")["progress"]["percent"] == 7


@in_front_of_one_node
def test_a_followed_log_arrives_line_by_line(job: str) -> None:
    tell(job, {"type": "log", "message": "one"})
    headers = {"accept": "text/plain"}
    with httpx2.stream("GET", f"{job}/logs?follow=1", headers=headers) as log:
        lines = log.iter_lines()
        assert next(lines) == "one"
        tell(job, {"type": "log", "message": "two"})
        assert next(lines) == "two"
        tell(job, {"type": "succeed"})
        assert list(lines) == []


def test_a_websocket_reports_and_hears(proxy: Proxy, job: str) -> None:
    name = job.rpartition("/")[2]
    with connect_websocket(proxy.ws_url, origin=proxy.url) as websocket:  # type: ignore[call-overload]  # a plain text
        subscribe = {"op": "subscribe", "id": 1, "job": name, "view": "state"}
        websocket.send(json.dumps(subscribe))
        assert [hear(websocket)["op"] for _ in range(2)] == ["ack", "state"]
        report = {"op": "report", "id": 2, "job": name, "reports": {"type": "start"}}
        websocket.send(json.dumps(report))
        assert {hear(websocket)["op"] for _ in range(2)} == {"ack", "state"}


def test_lines_of_a_report_are_seen_before_it_ends(job: str) -> None:
    with Events(f"{job}/events?logs=1") as events:

        def lines() -> Iterator[bytes]:
            for text in ("first", "second"):
                yield b'{"type": "log", "message": "%s"}\n' % text.encode()
                assert events.until("logs")[0]["message"] == text
            yield b'{"type": "succeed"}\n'

        answer = httpx2.post(f"{job}/reports", content=lines(), headers=NDJSON, timeout=LONG_ENOUGH)
        assert answer.json()["accepted"] == 3


@in_front_of_one_node
def test_a_large_report_goes_through(job: str) -> None:
    line = b'{"type": "log", "message": "%s"}\n' % (1000 * b"x")
    answer = httpx2.post(f"{job}/reports", content=5000 * line, headers=NDJSON, timeout=LONG_ENOUGH)
    assert answer.json()["accepted"] == 5000


@in_front_of_one_node
def test_a_large_file_goes_in_and_comes_out_whole_and_in_parts(job: str) -> None:
    data, address = os.urandom(20 << 20), f"{job}/files/100%25 ü%23.bin"
    headers = {"repr-digest": digest(data)}
    httpx2.put(address, content=data, headers=headers).raise_for_status()
    whole = httpx2.get(address)
    assert (whole.status_code, whole.content) == (200, data)
    tag = whole.headers["etag"]
    for same, expected in (({"if-range": tag}, 206), ({"if-range": '"other"'}, 200)):
        rest = httpx2.get(address, headers={"range": f"bytes={15 << 20}-", **same})
        assert rest.status_code == expected
        assert rest.content == (data[15 << 20 :] if expected == 206 else data)
    assert httpx2.get(address, headers={"if-none-match": tag}).status_code == 304
    eventually(lambda: httpx2.get(f"{job}/files").json()["files"][0]["downloads"] == 3)


def test_an_upload_in_pieces_goes_on_where_it_was_cut(job: str) -> None:
    tus, data = {"tus-resumable": "1.0.0"}, os.urandom(3 << 20)
    said = {"upload-length": str(len(data)), "upload-metadata": "filename Yg=="}
    begun = httpx2.post(f"{job}/uploads", headers={**tus, **said})
    upload = str(httpx2.URL(job).join(begun.headers["location"]))

    def cut() -> Iterator[bytes]:
        yield data[: 1 << 20]
        eventually(lambda: offset() == 1 << 20)
        raise ConnectionAbortedError

    def offset() -> int:
        return int(httpx2.head(upload, headers=tus).headers["upload-offset"])

    piece = {**tus, "content-type": "application/offset+octet-stream"}
    with pytest.raises(ConnectionAbortedError):
        httpx2.patch(upload, content=cut(), headers={**piece, "upload-offset": "0"})
    eventually(lambda: httpx2.patch(
        upload, content=data[offset() :], headers={**piece, "upload-offset": str(offset())}
    ).is_success)  # fmt: skip
    assert httpx2.get(f"{job}/files/b").content == data


# Time


def test_pings_and_pauses_outlast_the_timeouts_of_all(tmp_path: Path) -> None:
    """A report may pause longer than the 20 s that Apache gives a body by itself. Streams live by
    our pings, where a proxy ends what is silent for 25 s."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path / "data"))
        httpx2.put(f"{server.url}/v1/jobs/j").raise_for_status()
        pool = stack.enter_context(ThreadPoolExecutor(3 * len(KINDS)))
        over, waits = threading.Event(), []
        for kind in KINDS:
            name = kind.__name__
            plain = stack.enter_context(kind(server, tmp_path / name))
            hurried = stack.enter_context(kind(server, tmp_path / f"hurried-{name}", kind.hurried))
            waits.append(pool.submit(pausing, plain, over))
            waits += [pool.submit(streaming, hurried), pool.submit(talking, hurried)]
        over.wait(IDLE + 1)  # until all have been silent for longer than they may
        over.set()
        httpx2.post(f"{server.url}/v1/jobs/j/reports", json={"type": "succeed"}).raise_for_status()
        for wait in waits:
            wait.result()


def pausing(proxy: Proxy, over: threading.Event) -> None:
    def lines() -> Iterator[bytes]:
        yield b'{"type": "start"}\n'
        over.wait()
        yield b'{"type": "log", "message": "x"}\n'

    url = f"{proxy.url}/v1/jobs/{proxy.program}/reports"
    httpx2.put(url.removesuffix("/reports")).raise_for_status()
    answer = httpx2.post(url, content=lines(), headers=NDJSON, timeout=LONG_ENOUGH)
    assert answer.json()["accepted"] == 2, proxy.program


def streaming(proxy: Proxy) -> None:
    with Events(f"{proxy.url}/v1/jobs/j/events") as events:
        events.until("ping")
        events.until("end")


def talking(proxy: Proxy) -> None:
    with connect_websocket(proxy.ws_url) as websocket:
        websocket.send('{"op": "subscribe", "id": 1, "job": "j"}')
        messages = [json.loads(websocket.recv(LONG_ENOUGH))]
        while messages[-1]["op"] != "end":
            messages.append(json.loads(websocket.recv(LONG_ENOUGH)))
        assert "ping" in [it["op"] for it in messages], proxy.program


# The page


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = re.findall(r"^```\w*\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    files = sorted(path.read_text() for path in CONFIGURATIONS.iterdir())
    assert sorted(shown) == files


def test_traefik_s_files_lead_to_the_server() -> None:
    """Debian has no Traefik to run: only the shape is known to be right."""
    static, dynamic = (
        yaml.safe_load((CONFIGURATIONS / name).read_text())
        for name in ("traefik.yaml", "traefik-livejobs.yaml")
    )
    http: Any = dynamic["http"]
    service = http["services"][http["routers"]["livejobs"]["service"]]
    assert service["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:8000"}]
    assert static["providers"]["file"]["filename"].startswith("/etc/traefik/")
