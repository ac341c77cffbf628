"""Servers in the states that cause 408, 423, 429 and 503, and what they answer then."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.server.test_runner import dial, problem_of, read_all, read_until, stub
from tests.support.server import Running, Server

TUS = {"tus-resumable": "1.0.0"}
NAME = "filename ZmlsbS5tcDQ="
LARGE = 1 << 20  # bytes
TIGHT = ("--rate-read", "2/s", "--min-free-bytes", str(1 << 52))


def problems(data: Path) -> Iterator[tuple[str, Any]]:
    yield "408", late()
    with Server(data, *TIGHT) as server, httpx.Client(base_url=server.url) as client:
        client.put("/v1/jobs/teaser").raise_for_status()
        yield "423", locked(server, client)
        yield "429", hurried(client)
        yield "GET /readyz 503", client.get("/readyz").json()
        yield "503", full(server, client)


def late() -> Any:
    """The client stops in the middle of a body."""
    with stub(body_silence_seconds=1) as server, dial(server) as sock:
        sock.sendall(b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234")
        return problem_of(read_all(sock))


def locked(server: Running, client: httpx.Client) -> Any:
    """Another request is sending the upload: it was told to continue."""
    made = client.post(
        "/v1/jobs/teaser/uploads",
        headers={**TUS, "upload-length": str(LARGE), "upload-metadata": NAME},
    )
    path = httpx.URL(made.raise_for_status().headers["location"]).path
    head = (
        f"PATCH {path} HTTP/1.1\r\nhost: {server.url.removeprefix('http://')}\r\n"
        "tus-resumable: 1.0.0\r\nupload-offset: 0\r\nexpect: 100-continue\r\n"
        f"content-type: application/offset+octet-stream\r\ncontent-length: {LARGE}\r\n\r\n"
    )
    with dial(server) as sock:
        sock.sendall(head.encode())
        assert b" 100 " in read_until(sock, b"\r\n\r\n")
        return refused(client.delete(path, headers=TUS), 423)


def hurried(client: httpx.Client) -> Any:
    """More calls than the rate allows."""
    answer = client.get("/v1/jobs")
    while answer.is_success:
        answer = client.get("/v1/jobs")
    return refused(answer, 429)


def full(server: Server, client: httpx.Client) -> Any:
    """The database can't grow."""
    grown = (server.data / "livejobs.db-wal").stat().st_size
    limits = (grown + 20_000, resource.RLIM_INFINITY)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    reports = [{"type": "result", "value": "x" * 10_000} for _ in range(10)]
    return refused(client.post("/v1/jobs/teaser/reports", json=reports), 503)


def refused(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()
