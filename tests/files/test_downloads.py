"""Downloads of a job's files: counts, the zip, and what other servers send."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx

from livejobs import LiveJobs, Settings, create_app
from tests.support.desk import Desk, eventually, problem
from tests.support.server import LONG_ENOUGH, hold_port

# Out


def test_downloads_are_counted_and_recorded(desk: Desk) -> None:
    job = desk.job()
    desk.put(job, "a", b"0123456789")
    cursor = desk.http.get(job).json()["cursor"]
    for asked in (None, "bytes=0-3", "bytes=4-", "bytes=0-0,8-9"):
        desk.http.get(f"{job}/files/a", headers={} if asked is None else {"range": asked})
    desk.http.head(f"{job}/files/a")

    def listed() -> dict[str, Any]:
        [file] = desk.http.get(f"{job}/files").json()["files"]
        return dict(file)

    eventually(lambda: listed()["downloads"] == 3)  # not while they are being written
    assert listed()["last_downloaded_at"] is not None
    assert desk.http.get(job).json()["cursor"] == cursor

    def noted() -> list[dict[str, Any]]:
        acts = desk.http.get("/v1/audit").json()["acts"]
        return [it for it in acts if it["job"] == job.rpartition("/")[2]]

    eventually(lambda: sum(it["detail"]["bytes"] for it in noted()) == 10 + 4 + 6 + 3)
    assert {it["by"] for it in noted()} == {"anonymous"}
    assert [one for it in noted() for one in it["detail"].get("ranges", [])] == [
        "0-3",
        "4-9",
        "0-0,8-9",
    ]


def test_the_download_of_a_job_is_its_first_file_once_it_has_succeeded(desk: Desk) -> None:
    job, empty = desk.job(), desk.job()
    desk.put(job, "a", b"first")
    desk.put(job, "b", b"second")
    problem(desk.http.get(f"{job}/download"), 409, "job_not_succeeded")
    for it in (job, empty):
        desk.http.post(f"{it}/reports", json={"type": "succeed"})
    assert desk.http.get(f"{job}/download", headers={"range": "bytes=1-"}).content == b"irst"
    problem(desk.http.get(f"{empty}/download"), 404, "no_file")
    problem(desk.http.get(f"{empty}/files.zip"), 404, "no_file")
    problem(desk.http.get(f"{job}/files/c"), 404, "no_file")


def test_all_files_come_as_one_zip(desk: Desk) -> None:
    job, large = desk.job(), os.urandom(3_000_000)
    (desk.root / "z").write_bytes(b"attached")
    desk.put(job, "größe.bin", large)
    desk.put(job, "empty", b"")
    desk.attach(job, path=str(desk.root / "z"))
    desk.attach(job, url="https://example.org/x", name="link")
    answer = desk.http.get(f"{job}/files.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert ".zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["größe.bin", "empty", "z", "link.url"]
        assert archive.read("größe.bin") == large
        assert archive.read("z") == b"attached"
        assert b"URL=https://example.org/x" in archive.read("link.url")


def test_a_download_can_not_act_as_a_page_of_ours(desk: Desk) -> None:
    job = desk.job()
    desk.put(job, "x.html", b"<script>alert(1)</script>")
    for query, kind in (("", "attachment"), ("?inline=1", "inline")):
        headers = desk.http.get(f"{job}/files/x.html{query}").headers
        assert headers["content-disposition"] == f'{kind}; filename="x.html"'
        assert headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert headers["x-content-type-options"] == "nosniff"
    problem(desk.http.get(f"{job}/files/x.html?inline=2"), 422, "invalid")


# Under another server, which gives no descriptor to write to


async def test_another_server_sends_what_it_is_given_piece_by_piece(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 5)
    async with LiveJobs(Settings(data=tmp_path)) as live:
        job = await live.create(id="j")
        file = await job.put_file("a.bin", data)
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        (tmp_path / "b.txt").write_text("from a path")
        await job.put_file("b.txt", tmp_path / "b.txt")
        transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            url = "/v1/jobs/j/files/a.bin"
            assert (await http.get(url)).content == data
            part = await http.get(url, headers={"range": "bytes=1048570-2097160"})
            assert (part.status_code, part.content) == (206, data[1048570:2097161])
            assert (await http.get("/v1/jobs/j/files/b.txt")).text == "from a path"
            assert (await http.head(url)).headers["content-length"] == str(len(data))


def test_a_server_that_can_send_by_path_is_given_the_path(tmp_path: Path) -> None:
    """granian: a file whole goes by its path, a part of it does not."""
    held = hold_port()
    port = str(held.getsockname()[1])
    command = [
        Path(sys.executable).parent / "granian", "--interface", "asgi", "--port", port,
        "--log-level", "error", "tests.support.path_sender:app",
    ]  # fmt: skip
    environment = {**os.environ, "DATA": str(tmp_path / "data"), "PYTHONPATH": "."}
    server = subprocess.Popen([*map(str, command)], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            eventually(lambda: answers(http))
            data = os.urandom(3 << 20)
            assert http.put("/v1/jobs/j").status_code == 201
            assert http.put("/v1/jobs/j/files/a", content=data).status_code == 201
            assert http.get("/v1/jobs/j/files/a").content == data
            part = http.get("/v1/jobs/j/files/a", headers={"range": "bytes=5-9"})
            assert (part.status_code, part.content) == (206, data[5:10])
            eventually(lambda: downloads(http) == 1)
    finally:
        server.terminate()
        server.wait(LONG_ENOUGH)
        held.close()


def downloads(http: httpx.Client) -> int:
    [listed] = http.get("/v1/jobs/j/files").json()["files"]
    return int(listed["downloads"])


def answers(http: httpx.Client) -> bool:
    with suppress(httpx.ConnectError):
        return http.get("/readyz").is_success
    return False
