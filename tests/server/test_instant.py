"""Requests that came whole with their head are answered without a task: in order, once, and with
the bytes that the framework would have sent."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from livejobs import LiveJobs, Settings, clock, create_app
from livejobs.app import App
from livejobs.core.errors import StorageUnavailable
from livejobs.server.connection import PIPELINED
from livejobs.server.instant.offering import AT_ONCE
from livejobs.server.powers import RUNNER
from livejobs.server.runner import KEEP_ALIVE_SECONDS
from tests.jobs.test_committer import Disk
from tests.server.test_runner import dial, read_all, read_until
from tests.support.line import Line, note_taken
from tests.support.server import Server

ADMIN = "the-admin-key-of-this-test"


class Place:
    """One server with two apps: `fast` answers at once, `slow` sends all through the framework."""

    def __init__(self, live: LiveJobs, disk: Disk, fast: App, slow: App) -> None:
        self.live, self.disk = live, disk
        self.fast, self.slow = fast, slow
        self.taken = note_taken(fast)

    async def settle(self, *requests: bytes) -> None:
        """Sent again after this, the requests change nothing."""
        await Line(self.slow).ask([b"".join(requests)], len(requests))

    async def alike(self, *requests: bytes) -> bytes:
        """Send all in one packet, both ways, and compare the answers."""
        packet = b"".join(requests)
        fast = await Line(self.fast).ask([packet], len(requests))
        assert fast == await Line(self.slow).ask([packet], len(requests))
        return fast


@asynccontextmanager
async def place_of(**settings: Any) -> AsyncIterator[Place]:
    disk = Disk()
    own = Settings(data=Path("unused"), **settings)
    async with LiveJobs(own, store=disk, powers=RUNNER) as live:
        for id in ("running", "done"):
            await live.create(id=id)
        await live.report("running", {"type": "result", "value": 1})
        await live.report("done", {"type": "succeed"})
        for id in ("running", "done"):
            await live.state(await live.find(id))
        yield Place(live, disk, *[await app_of(live, fast=fast) for fast in (True, False)])


async def app_of(live: LiveJobs, **options: Any) -> App:
    return await asyncio.to_thread(partial(create_app, live, **options))


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_780_000_000_000)
    async with place_of() as place:
        yield place


def request(method: str, path: str, body: bytes = b"", *lines: bytes) -> bytes:
    length = [b"content-length: %d" % len(body)] if body or method == "POST" else []
    head = [f"{method} {path} HTTP/1.1".encode(), b"host: localhost", *lines, *length]
    return b"\r\n".join([*head, b"", body])


def report(n: int, job: str = "running", *lines: bytes) -> bytes:
    """Sent again, it changes nothing: so it can be compared."""
    body = {"type": "progress", "percent": n % 100, "producer": "p", "n": n}
    return request("POST", f"/v1/jobs/{job}/reports", json.dumps(body).encode(), *lines)


def poll(job: str = "running", *lines: bytes) -> bytes:
    return request("GET", f"/v1/jobs/{job}", b"", *lines)


CHUNKED = (
    b"POST /v1/jobs/running/reports HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b'14\r\n{"type":"heartbeat"}\r\n0\r\n\r\n'
)
LINES = b'{"type": "log", "message": "m", "producer": "lines", "n": 1}\n'
TAKEN = [
    report(1),
    poll(),
    request("POST", "/v1/jobs/running/reports", b'[{"type":"heartbeat"},{"type":"heartbeat"}]'),
    poll("done", b"if-none-match: *"),
]
#: Each can be repeated without another answer.
KINDS = [
    *TAKEN,
    request("HEAD", "/v1/jobs/running"),
    request("POST", "/v1/jobs/running/reports", LINES, b"content-type: application/x-ndjson"),
    report(2, "done"),
    CHUNKED,
    request("POST", "/v1/jobs/running/reports", b'{"type": 1}'),
    request("POST", "/v1/jobs/running/reports", b"{"),
    request("POST", "/v1/jobs/running/reports"),
    request("POST", "/v1/jobs/running/reports", b"{}", b"content-type: text/plain"),
    request("POST", "/v1/jobs/running/reports", b'{"type":"heartbeat"}', b"expect: 100-continue"),
    poll("missing"),
    poll("r%75nning"),
    poll("running/"),
    poll("running?x=1"),
    poll("running?token=abc"),
    request("GET", "//v1/jobs/running"),
    request("GET", "http://localhost/v1/jobs/running"),
    request("GET", "/v1/jobs/running", b"a body"),
    request("GET", "/api/tasks/done/status/"),
    request("GET", "/api/tasks/done/status/", b"", b"if-none-match: *"),
    request("GET", "/healthz"),
    request("PUT", "/v1/jobs/running/reports", b"{}"),
    poll("running", b"connection: upgrade", b"upgrade: foo"),
    poll("running", b"x: \xff"),
    poll("running", b'if-none-match: \xff, W/"x"'),
]


async def test_requests_in_one_packet_are_answered_in_order_as_by_the_framework(
    place: Place,
) -> None:
    await place.settle(*KINDS)
    for rotated in range(0, len(KINDS), 3):
        requests = [*KINDS[rotated:], *KINDS[:rotated], *KINDS][:50]
        # One that waits for the body is answered only if no earlier one waits.
        await place.alike(*requests)
    assert place.taken.count(True) >= len(TAKEN)


async def test_a_request_alone_is_answered_as_by_the_framework(place: Place) -> None:
    await place.settle(*KINDS)
    for kind in KINDS:
        assert await place.alike(kind)
    assert place.taken.count(True) >= len(TAKEN)


LAST = b"connection: close"


ENDS = [
    report(3, "running", LAST),
    poll("running", LAST),
    report(3).replace(b"HTTP/1.1", b"HTTP/1.0"),
    poll().replace(b"HTTP/1.1", b"HTTP/1.0"),
    report(3).replace(b"content-length: ", b"content-length: -"),
    report(3).replace(b"content-length: ", b"content-length: 1\r\ncontent-length: "),
    report(3, "running", b"transfer-encoding: chunked"),
    poll().replace(b"GET", b"get"),
    poll().replace(b"running", b"r\xc3\xa4nning"),
    poll().replace(b"/v1", b"v1"),
    poll().replace(b" /v1/jobs/running", b" *"),
    b"\r\n" + poll("running", LAST),
    b"nonsense\r\n\r\n",
]


async def test_the_last_request_of_a_connection_is_answered_as_by_the_framework(
    place: Place,
) -> None:
    await place.settle(report(3))
    for packet in ENDS:
        fast, slow = [await ended(app, packet) for app in (place.fast, place.slow)]
        assert fast == slow
        assert fast.startswith(b"HTTP/1.1 ")


async def ended(app: App, packet: bytes) -> bytes:
    line = Line(app)
    line.send(packet)
    if not line.written:  # else it is a refusal of the server itself
        await line.answered(1)
    return line.take()


async def test_it_does_not_matter_where_a_packet_is_cut(place: Place) -> None:
    requests = [report(1), poll("done", b"if-none-match: *"), CHUNKED, report(2), poll()]
    await place.settle(*requests)
    whole, packet = await place.alike(*requests), b"".join(requests)
    for at in range(1, len(packet)):
        assert await Line(place.fast).ask([packet[:at], packet[at:]], len(requests)) == whole


async def test_a_body_in_the_next_read_is_taken_too(place: Place) -> None:
    head, end, body = report(3).partition(b"\r\n\r\n")
    before = len(place.taken)
    answer = await Line(place.fast).ask([head + end, body], 1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(place.taken) == before + 1


async def test_one_byte_at_a_time(place: Place) -> None:
    requests = [report(1), poll(), report(2)]
    await place.settle(*requests)
    whole, packet = await place.alike(*requests), b"".join(requests)
    pieces = [packet[at : at + 1] for at in range(len(packet))]
    assert await Line(place.fast).ask(pieces, len(requests)) == whole


async def test_many_polls_in_one_packet_are_all_answered(place: Place) -> None:
    one = await place.alike(poll())
    place.taken.clear()
    many = AT_ONCE + PIPELINED
    assert await Line(place.fast).ask([many * poll()], many) == many * one
    assert place.taken == [True] * AT_ONCE  # the others let other clients have their turn


# While the disk writes


@pytest.fixture
async def busy(place: Place) -> Callable[[], None]:
    """The disk is held up. Called, it goes on."""
    place.disk.free.clear()
    place.disk.writing.clear()
    return place.disk.free.set


numbers = count(1000)


async def test_a_report_is_answered_when_it_is_on_disk_and_later_requests_after_it(
    place: Place, busy: Callable[[], None]
) -> None:
    line, n = Line(place.fast), next(numbers)
    line.send(report(n) + poll() + report(n) + poll("missing"))
    await place.disk.writing.wait()
    assert not line.written
    assert not line.reading  # a client that sends more must wait
    busy()
    await line.answered(4)
    statuses = [int(part[:3]) for part in line.take().split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 200, 404]
    assert line.reading


async def test_a_client_that_leaves_gets_nothing_and_its_report_stands(
    place: Place, busy: Callable[[], None]
) -> None:
    line, other, n = Line(place.fast), Line(place.fast), next(numbers)
    line.send(report(n) + poll())
    await place.disk.writing.wait()
    line.leave()
    busy()
    answer = await other.ask([report(n)], 1)
    assert not line.written
    assert b'"accepted":0' in answer


async def test_garbage_behind_a_waiting_report_is_refused_after_the_receipt(
    place: Place, busy: Callable[[], None]
) -> None:
    line = Line(place.fast)
    line.send(report(next(numbers)) + b"nonsense\r\n\r\n")
    await place.disk.writing.wait()
    assert not line.written
    busy()
    while b"bad_request" not in line.written:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0)
    receipt, _, refusal = line.take().rpartition(b"HTTP/1.1 400 ")
    assert receipt.startswith(b"HTTP/1.1 200 ")
    assert b'"accepted":1' in receipt
    assert b"connection: close" in refusal


async def test_too_many_requests_behind_a_waiting_report_end_the_connection(
    place: Place, busy: Callable[[], None]
) -> None:
    line = Line(place.fast)
    line.send(report(next(numbers)) + (PIPELINED + 1) * poll())
    assert line.closed
    line.leave()
    busy()
    await place.live.report("running", {"type": "log", "message": "after it"})
    assert not line.written


async def test_a_stop_answers_a_waiting_report_and_then_closes(
    place: Place, busy: Callable[[], None]
) -> None:
    line, idle = Line(place.fast), Line(place.fast)
    line.send(report(next(numbers)))
    await idle.ask([poll()], 1)
    await place.disk.writing.wait()
    line.connection.shutdown()
    idle.connection.shutdown()
    assert (line.closed, idle.closed) == (False, False)  # a request may be on its way
    line.connection.close_idle()
    idle.connection.close_idle()
    assert (line.closed, idle.closed) == (False, True)
    busy()
    await line.answered(1)
    assert line.closed
    head, _, body = line.take().partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nconnection: close")
    assert json.loads(body)["accepted"] == 1


async def test_refusals_of_the_disk_and_of_the_job_are_those_of_the_framework(
    place: Place,
) -> None:
    place.disk.refuses = StorageUnavailable("The disk is full.")
    refused = await place.alike(
        request("POST", "/v1/jobs/running/reports", b'{"type":"log","message":"m"}')
    )
    assert b"HTTP/1.1 503 " in refused
    assert b"retry-after: 5" in refused.lower()
    place.disk.refuses = None
    ended = await place.alike(
        request("POST", "/v1/jobs/done/reports", b'{"type":"log","message":"m"}'), poll()
    )
    assert b"HTTP/1.1 409 " in ended
    assert ended.count(b"HTTP/1.1 ") == 2
    assert place.taken == [True, True]


async def test_a_bug_is_answered_with_500_as_by_the_framework(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(body: bytes) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(place.live.reporting, "decode", broken)
    named = report(next(numbers)).replace(b"\r\n", b"\r\nX-Request-Id: one\r\n", 1)
    assert b"HTTP/1.1 500 " in await place.alike(named)
    assert "a bug" in caplog.text


def test_a_stop_loses_no_report_that_was_acknowledged(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, ExitStack() as stack:
        httpx2.put(f"{server.url}/v1/jobs/running").raise_for_status()
        socks = [stack.enter_context(dial(server)) for _ in range(30)]
        for n, sock in enumerate(socks):
            body = b'{"type":"log","message":"m","producer":"p%d","n":1}' % n
            sock.sendall(request("POST", "/v1/jobs/running/reports", body))
        read_until(socks[0], b"\r\n\r\n")
        server.signal(signal.SIGTERM)
        answers = [read_what_comes(sock) for sock in socks[1:]]
        assert server.wait() == 0
        server.restart()
        logs = httpx2.get(f"{server.url}/v1/jobs/running").json()["logs_total"]
    for answer in answers:
        assert not answer or json.loads(answer.partition(b"\r\n\r\n")[2])["accepted"] == 1
    assert logs >= 1 + sum(map(bool, answers))


def read_what_comes(sock: socket.socket) -> bytes:
    try:
        return read_all(sock)
    except ConnectionResetError:  # the server had not read the report yet
        return b""


# Clients that do not read


async def test_a_client_that_does_not_read_gets_no_more_answers(place: Place) -> None:
    line = Line(place.fast)
    line.connection.pause_writing()
    line.send(poll())
    line.send(poll())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not line.written
    assert not line.reading
    line.connection.resume_writing()
    await line.answered(2)
    assert line.take().count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("fast", [True, False])
async def test_a_connection_is_closed_when_no_further_request_comes_for_long(
    place: Place, fast: bool
) -> None:
    line = Line(place.fast if fast else place.slow)
    for requests in (1, 2):  # a request begins the time anew
        await line.ask([poll()], requests)
        for _ in range(KEEP_ALIVE_SECONDS):
            line.connection.second_passed()
        assert not line.closed
    line.connection.second_passed()
    assert line.closed


async def test_a_request_that_stops_in_its_head_or_body_is_refused(place: Place) -> None:
    for packet, said in ((report(1)[:30], b"head did not"), (report(1)[:-1], b"body stopped")):
        line = Line(place.fast)
        await line.ask([poll()], 1)
        line.send(packet)
        for _ in range(31):
            line.connection.second_passed()
        assert line.closed
        assert said in line.take()


# Who may


async def test_a_key_that_was_revoked_and_a_rate_refuse_as_in_the_framework(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_780_000_000_000)
    monkeypatch.setattr(clock, "monotonic", lambda: 1.0)
    async with place_of(admin_key=ADMIN, rate_read="6/s") as place:
        own = b"authorization: Bearer " + ADMIN.encode()
        made = request("POST", "/v1/keys", b'{"name":"k","scopes":["view"]}', own)
        answer = await Line(place.slow).ask([made], 1)
        key = json.loads(answer.partition(b"\r\n\r\n")[2])
        theirs = b"x-api-key: " + key["key"].encode()
        assert b" 200 " in await place.alike(poll("done", theirs))
        assert b" 200 " in await place.alike(poll("done", theirs))
        assert place.taken == [False, True]  # a credential is verified the normal way
        assert b" 403 " in await place.alike(report(1, "running", theirs))
        for _ in range(3):
            limited = await place.alike(poll("done", theirs))
        assert b" 429 " in limited
        assert place.live.refusals()["rate_read"] == 4
        await place.live.keyring.revoke(key["id"])
        assert b" 401 " in await place.alike(poll("done", theirs))
        assert b" 401 " in await place.alike(poll("done"))


class Untouched:
    """A layer that must see every request."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-seen", b"yes"))
            await send(message)

        await self.app(scope, receive, marked)


async def test_a_layer_that_was_added_sees_every_request(place: Place) -> None:
    app = await app_of(place.live)
    app.add_middleware(Untouched)
    answers = await Line(app).ask([poll() + report(1)], 2)
    assert answers.count(b"x-seen: yes") == 2


async def test_a_foreign_host_is_refused_and_a_foreign_origin_too(place: Place) -> None:
    app = await app_of(place.live, hosts=["elsewhere"])
    assert b" 421 " in await Line(app).ask([poll()], 1)
    assert b" 403 " in await place.alike(report(1, "running", b"origin: https://evil.example"))
