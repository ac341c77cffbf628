"""A credential is asked for again when the body of a request is complete, and when a client was
kept waiting: it may have ended since the request began."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs.access.keyring import unauthorized
from livejobs.config import Settings
from livejobs.core.errors import Unauthorized
from livejobs.service import LiveJobs
from tests.support.api import Api, Socket, hear
from tests.support.keyed import ADMIN, KEYED, client, make_key, socket
from tests.support.server import Server

JSON = "content-type: application/json"
TUS = ("tus-resumable: 1.0.0", "content-type: application/offset+octet-stream", "upload-offset: 0")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


@pytest.fixture
def admin(closed: Server) -> Iterator[Api]:
    with Api(closed.url) as admin:
        admin.headers["authorization"] = f"Bearer {ADMIN}"
        yield admin


def begin(sock: Socket, key: str, line: str, *headers: str) -> None:
    """A request whose body the server has asked for, so its credential was good."""
    own = (f"authorization: Bearer {key}", "expect: 100-continue", "transfer-encoding: chunked")
    sock.send("\r\n".join([f"{line} HTTP/1.1", "host: localhost", *own, *headers]), "\r\n\r\n")
    assert sock.head()[0] == 100


def everything(admin: httpx.Client, job: str) -> Any:
    """What a request could have changed."""
    paths = ("/v1/keys", "/v1/jobs", f"/v1/jobs/{job}", f"/v1/jobs/{job}/files")
    names = {key["name"] for key in admin.get(paths[0]).json()["keys"]}
    return names, [admin.get(path).json() for path in paths[1:]]


@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        ("POST /v1/keys", (JSON,), {"name": "own", "scopes": ["admin"]}),
        ("POST /v1/tokens", (JSON,), {}),
        ("POST /v1/jobs", (JSON,), {"id": "made"}),
        ("PUT /v1/jobs/made", (JSON,), {}),
        ("POST /v1/jobs/{job}/reports", (JSON,), {"type": "start"}),
        ("POST /v1/jobs/{job}/files", (JSON,), {"name": "f", "url": "https://example.com/f"}),
        ("PUT /v1/jobs/{job}/files/f", (), {}),
        ("PATCH {upload}", TUS, {}),
        ("POST /v1/toolkit/job/status", (JSON,), {"job_id": "j"}),
    ],
)
def test_a_key_that_is_revoked_before_the_body_is_complete_does_nothing(
    closed: Server, admin: Api, line: str, headers: tuple[str, ...], body: object
) -> None:
    job, made = admin.create(), make_key(admin, "gone", "admin")
    with client(closed, made["key"]) as gone, Socket(closed.url) as sock:
        tus = {"tus-resumable": "1.0.0", "upload-length": "2", "upload-metadata": "filename Zg=="}
        upload = gone.post(f"/v1/jobs/{job}/uploads", headers=tus).headers["location"]
        begin(sock, made["key"], line.format(job=job, upload=upload), *headers)
        text = json.dumps(body)
        sock.chunk(text[0])
        before = everything(admin, job)
        admin.delete(f"/v1/keys/{made['id']}")
        sock.chunk(text[1:])
        sock.end()
        status, _, said = sock.answer()
        assert status == 401
        assert "revoked" in json.dumps(said)
    assert everything(admin, job) == (before[0] - {"gone"}, before[1])


def test_a_long_poll_of_a_key_that_is_revoked_is_answered_401(closed: Server, admin: Api) -> None:
    job, made = admin.create(), make_key(admin, "gone", "view")
    with Socket(closed.url) as sock:
        with client(closed, made["key"]) as gone:
            tag = gone.get(f"/v1/jobs/{job}").headers["etag"]
        own = f"host: localhost\r\nauthorization: Bearer {made['key']}\r\nif-none-match: {tag}"
        sock.send(f"GET /v1/jobs/{job} HTTP/1.1\r\nprefer: wait=30\r\n{own}\r\n\r\n")
        admin.delete(f"/v1/keys/{made['id']}")
        admin.report(job, {"type": "start"})
        assert sock.head()[0] == 401


def test_a_socket_of_a_key_that_is_revoked_reports_nothing(closed: Server, admin: Api) -> None:
    job, made = admin.create(), make_key(admin, "gone")
    with socket(closed, made["key"]) as ws:
        ws.send(json.dumps({"op": "ping", "id": 1}))
        assert hear(ws)["op"] == "pong"
        admin.delete(f"/v1/keys/{made['id']}")
        report = {"op": "report", "id": 2, "job": job, "reports": [{"type": "start"}]}
        ws.send(json.dumps(report))
        said = hear(ws)
        assert said["op"] in ("error", "bye")  # bye: the stream was looked at just now
        assert "revoked" in json.dumps(said)
    assert admin.job(job)["status"] == "queued"


async def test_a_file_that_was_stored_is_given_to_its_job_only_if_it_still_may(
    tmp_path: Path,
) -> None:
    """An object store may take minutes after the last byte has come."""

    def no_longer() -> None:
        raise unauthorized("The key was revoked.", "expired")

    async def body() -> Any:
        yield b"file"

    async with LiveJobs(Settings(data=tmp_path)) as live:
        job = await live.create(id="j")
        slot = await live.find("j")
        with pytest.raises(Unauthorized):
            await live.files.take(slot, "f", body(), check=no_longer)
        assert (await job.state())["files"] == []
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_a_request_with_two_content_types_is_refused(closed: Server, admin: Api) -> None:
    job = admin.create()
    for types in (("application/json", "application/x-ndjson"), 2 * ("application/json",)):
        headers = [("content-type", kind) for kind in types]
        answer = admin.post(f"/v1/jobs/{job}/reports", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
