"""Clients for tests: httpx with frequent calls as methods, and a bare socket for requests that no
client library sends."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2 as httpx
from websockets.sync.client import ClientConnection

from tests.support.server import LONG_ENOUGH

PROBLEM = "application/problem+json"
NDJSON = {"content-type": "application/x-ndjson"}


class Api(httpx.Client):
    def __init__(self, url: str, *, trust: ssl.SSLContext | bool = True) -> None:
        super().__init__(base_url=url, timeout=LONG_ENOUGH, verify=trust)
        self.url = url

    def create(self, **fields: Any) -> str:
        answer = self.post("/v1/jobs", json=fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def report(self, id: str, *reports: Any) -> Any:
        """Send all reports in one array. Returns the receipt."""
        answer = self.post(f"/v1/jobs/{id}/reports", json=list(reports))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def job(self, id: str) -> Any:
        answer = self.get(f"/v1/jobs/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, id: str, reached: Any) -> Any:
        """Long-poll the job until `reached(job)` is true."""
        tag = "none"
        while True:
            headers = {"prefer": "wait=30", "if-none-match": tag}
            answer = self.get(f"/v1/jobs/{id}", headers=headers)
            assert answer.status_code != 304, "the job did not change, and the condition is not met"
            if answer.status_code == 200 and reached(answer.json()):
                return answer.json()
            tag = answer.headers["etag"]

    def ended(self, id: str) -> Any:
        return self.get(f"/v1/jobs/{id}?until=finished").json()


def problem(answer: httpx.Response, status: int, code: str, pointer: str | None = None) -> Any:
    """Check that the answer is this problem, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    assert (body["status"], body["code"]) == (status, code)
    if pointer is not None:
        assert body["errors"][0]["pointer"] == pointer
        assert body["errors"][0]["detail"]
    return body


def hear(ws: ClientConnection) -> Any:
    """The next message other than a ping, which may arrive at any time."""
    while (message := json.loads(ws.recv(LONG_ENOUGH)))["op"] == "ping":
        pass
    return message


class Socket:
    """One HTTP/1.1 connection whose bytes the test writes."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        where = urlsplit(url)
        self.socket = socket.socket()
        self.socket.settimeout(LONG_ENOUGH)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((where.hostname, where.port))
        self.file = self.socket.makefile("rb")

    def send(self, *parts: str | bytes) -> None:
        self.socket.sendall(b"".join(p.encode() if isinstance(p, str) else p for p in parts))

    def post(self, path: str, *headers: str) -> None:
        """Send the head of a request with a chunked body."""
        lines = [f"POST {path} HTTP/1.1", "host: localhost", "transfer-encoding: chunked", *headers]
        self.send("\r\n".join(lines), "\r\n\r\n")

    def chunk(self, data: str | bytes) -> None:
        data = data.encode() if isinstance(data, str) else data
        self.send(f"{len(data):x}\r\n", data, "\r\n")

    def end(self) -> None:
        self.send("0\r\n\r\n")

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the answer's status and headers."""
        status = int(self.file.readline().split()[1])
        return status, dict(self._headers())

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Read the answer's status, headers and JSON."""
        status, headers = self.head()
        body = self.file.read(int(headers.get("content-length", 0)))
        return status, headers, json.loads(body) if body else None

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
