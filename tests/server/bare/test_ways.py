"""One contract for every way in which our runner serves a viewer: as a bare descriptor, and as
before where that is not possible."""

from __future__ import annotations

import itertools
import json
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.api import Api
from tests.support.certificate import Certificate
from tests.support.server import LONG_ENOUGH, Server

ORIGIN = "https://pages.example"


class Way(NamedTuple):
    encrypted: bool = False
    version: str = "1.1"
    header: str = ""
    pipelined: str = ""  # sent behind the request, in the same packet

    def stream(self, sock: socket.socket, job: str) -> Stream:
        request = f"GET /v1/jobs/{job}/events?logs=1 HTTP/{self.version}\r\nHost: localhost\r\n"
        sock.sendall(f"{request}{self.header}\r\n{self.pipelined}".encode())
        return Stream(sock)


WAYS = {
    "bare": Way(),
    "bare, from another origin": Way(header=f"Origin: {ORIGIN}\r\n"),
    "bare, with an empty body": Way(header="Content-Length: 0\r\n"),
    "HTTP/1.0": Way(version="1.0"),
    "a further request": Way(pipelined="GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a part of a further request": Way(pipelined="GET /heal"),
    "TLS": Way(encrypted=True),
}


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[dict[bool, Server]]:
    folder = tmp_path_factory.mktemp("ways")
    options = ("--host", "localhost", "--cors-origins", ORIGIN)
    with (
        Server(folder / "plain", *options) as plain,
        Server(folder / "tls", *options, *certificate.flags) as encrypted,
    ):
        yield {False: plain, True: encrypted}


class Stream:
    """An answer, read event by event. A body in chunks is joined."""

    def __init__(self, sock: socket.socket) -> None:
        self.file = sock.makefile("rb")
        self.status = self.file.readline().decode().strip()
        self.headers = {}
        while line := self.file.readline().decode().strip():
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.ended = False
        self.text = ""

    def close(self) -> None:
        self.file.close()

    def event(self) -> dict[str, str]:
        while "\n\n" not in self.text:
            piece = self._piece()
            if not piece:
                self.ended = True
                return {}
            self.text += piece.decode()
        event, _, self.text = self.text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        return fields if fields.get("event") != "ping" else self.event()

    def _piece(self) -> bytes:
        if not self.chunked:
            return self.file.readline()
        size = int(self.file.readline() or b"0", 16)
        return self.file.read(size + 2)[:size]


def told(event: dict[str, str]) -> Any:
    """What an event says, without what differs from job to job."""
    data = json.loads(event["data"])
    name = event.get("event", "state")
    if name == "logs":
        return name, [line["message"] for line in data]
    return name, data.get("status"), (data.get("progress") or {}).get("percent")


REPORTS: tuple[dict[str, Any], ...] = (
    {"type": "progress", "percent": 50},
    {"type": "log", "message": "Grüße\u2028\n\0"},
    {"type": "succeed"},
)


@pytest.mark.parametrize("name", WAYS)
def test_every_way_sends_the_same_events(
    servers: dict[bool, Server], certificate: Certificate, name: str
) -> None:
    way, trust = WAYS[name], certificate.trust()
    server = servers[way.encrypted]
    with Api(server.url, trust=trust) as api:
        job = api.create()
        with (
            dialled(server, trust if way.encrypted else None) as sock,
            closing(way.stream(sock, job)) as stream,
        ):
            assert stream.status == "HTTP/1.1 200 OK"
            if way.version == "1.1":
                bare = not way.encrypted and not way.pipelined
                assert (stream.headers.get("connection") == "close") == bare
            seen = [told(stream.event())]
            for report in REPORTS:
                api.report(job, report)
                seen.append(told(stream.event()))
            while event := stream.event():
                seen.append(told(event))
    assert [it for it in seen if it[0] == "logs"] == [("logs", ["Grüße\u2028\n\0"])]
    states = [it for it in seen if it[0] == "state"]
    assert states[0] == ("state", "queued", None)
    assert states[1] == ("state", "running", 50)
    assert states[-1][1] == "succeeded"
    assert seen[-1][0] == "end"


def dialled(server: Server, trust: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection(("localhost", server.port), LONG_ENOUGH)
    return trust.wrap_socket(sock, server_hostname="localhost") if trust else sock


@pytest.mark.parametrize("free", [1, 2, 3])
def test_without_free_descriptors_a_stream_goes_on_as_it_is(server: Server, free: int) -> None:
    """They are for the connection, its duplicate, and the epoll of the first one."""
    with Api(server.url) as api:
        job = api.create()
        pid, limit = server.process.pid, resource.RLIMIT_NOFILE
        used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        numbers = (number for number in itertools.count() if number not in used)
        _, hard = resource.prlimit(pid, limit)
        resource.prlimit(pid, limit, ([*itertools.islice(numbers, free)][-1] + 1, hard))
        with dialled(server, None) as sock, closing(Way().stream(sock, job)) as stream:
            assert told(stream.event()) == ("state", "queued", None)
            api.report(job, {"type": "progress", "percent": 50})
            assert told(stream.event()) == ("state", "running", 50)
        resource.prlimit(pid, limit, (hard, hard))
    assert "Traceback" not in server.stderr
