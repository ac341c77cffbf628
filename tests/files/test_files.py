"""Files of jobs, over a real server: downloads return exactly what was uploaded."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from tests.support.desk import Desk, digest, eventually, problem
from tests.support.server import LONG_ENOUGH, hold_port


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(*args: str) -> Desk:
        made.append(Desk(tmp_path, *args))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


# In


@pytest.mark.parametrize("size", [0, 1, 65_536, 1 << 20, (3 << 20) + 1])
def test_a_file_comes_back_as_it_was_sent(desk: Desk, size: int) -> None:
    job, data = desk.job(), os.urandom(size)
    put = desk.put(job, "out.bin", data)
    assert put.status_code == 201
    assert put.json() == {
        "name": "out.bin",
        "size": size,
        "media_type": "application/octet-stream",
        "sha256": hashlib.sha256(data).hexdigest(),
        "url": f"{job}/files/out.bin",
    }
    assert put.headers["location"] == f"{job}/files/out.bin"
    assert desk.files(job) == [put.json()]
    got = desk.http.get(put.json()["url"])
    assert (got.status_code, got.content) == (200, data)
    assert got.headers["content-length"] == str(size)
    assert got.headers["repr-digest"] == digest(data)


def test_a_file_sent_in_chunks_of_unknown_length_is_taken(desk: Desk) -> None:
    job = desk.job()
    pieces = [b"a" * 100_000, b"", b"b" * 2_000_000, b"c"]
    put = desk.http.put(f"{job}/files/x", content=iter(pieces))
    assert put.json()["size"] == 2_100_001
    assert desk.http.get(f"{job}/files/x").content == b"".join(pieces)


def test_a_second_file_with_the_same_name_replaces_the_first(desk: Desk) -> None:
    job = desk.job()
    assert desk.put(job, "a", b"1").status_code == 201
    assert desk.put(job, "b", b"2").status_code == 201
    assert desk.put(job, "a", b"three").status_code == 200
    assert [(it["name"], it["size"]) for it in desk.files(job)] == [("a", 5), ("b", 1)]
    assert desk.http.get(f"{job}/files/a").content == b"three"


def test_a_download_that_runs_ends_with_the_old_bytes_when_they_are_replaced(desk: Desk) -> None:
    job, old = desk.job(), os.urandom(20 << 20)
    desk.put(job, "a", old)
    with desk.http.stream("GET", f"{job}/files/a") as answer:
        pieces = answer.iter_raw()
        got = next(pieces)
        assert desk.put(job, "a", b"new").status_code == 200
        eventually(lambda: desk.http.get(f"{job}/files/a").content == b"new")
        got += b"".join(pieces)
    assert got == old


@pytest.mark.parametrize("header", ["repr-digest", "content-digest"])
def test_a_digest_is_checked(desk: Desk, header: str) -> None:
    job = desk.job()
    assert desk.put(job, "a", b"abc", **{header: digest(b"abc")}).status_code == 201
    problem(desk.put(job, "b", b"abc", **{header: digest(b"abd")}), 400, "digest_mismatch")
    problem(desk.put(job, "b", b"abc", **{header: "sha-256=:AAAA:"}), 400, "bad_request")
    problem(desk.put(job, "b", b"abc", **{header: "sha-256=x"}), 400, "bad_request")
    assert desk.put(job, "c", b"abc", **{header: "md5=:AAAA:"}).status_code == 201
    assert [it["name"] for it in desk.files(job)] == ["a", "c"]


def test_a_put_of_a_part_is_refused(desk: Desk) -> None:
    answer = desk.put(desk.job(), "a", b"x", **{"content-range": "bytes 0-0/5"})
    assert "Content-Range" in problem(answer, 400, "bad_request")["detail"]


@pytest.mark.parametrize(
    "name",
    ["%2E", "%2E%2E", "%00", "a%0Ab", "a%5Cb", "x" * 256, "%E2%80%AEgpj.exe",
     "%FF", "%C2%85", "%F0%9F%8E%AC" * 64],
)  # fmt: skip
def test_a_name_is_one_segment_without_tricks(desk: Desk, name: str) -> None:
    answer = desk.put(desk.job(), name, b"x")
    assert problem(answer, 422, "invalid")["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize("name", ["a%2Fb", "..%2Fx"])
def test_a_name_of_two_segments_is_no_address(desk: Desk, name: str) -> None:
    problem(desk.put(desk.job(), name, b"x"), 404, "not_found")


@pytest.mark.parametrize("name", ["a b", "ü?.txt", "🎬.mp4", "x" * 255, "CON", 'a;b="c"', "%41"])
def test_any_other_name_is_kept_and_handed_out(desk: Desk, name: str) -> None:
    job = desk.job()
    url = httpx.URL(desk.server.url).copy_with(raw_path=f"{job}/files/".encode() + quoted(name))
    put = desk.http.put(url, content=b"x")
    assert (put.status_code, put.json()["name"]) == (201, name)
    got = desk.http.get(put.json()["url"])
    assert got.content == b"x"
    assert got.headers["content-disposition"].startswith('attachment; filename="')


def quoted(name: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in name.encode()).encode()


def test_the_same_name_written_in_another_form_of_unicode_is_the_same(desk: Desk) -> None:
    job = desk.job()
    assert desk.put(job, "e%CC%81", b"1").status_code == 201
    assert desk.put(job, "%C3%A9", b"2").status_code == 200
    assert [it["name"] for it in desk.files(job)] == ["é"]


@pytest.mark.parametrize(
    ("name", "declared", "kept"),
    [
        ("a.mp4", None, "video/mp4"),
        ("a.log", None, "text/plain"),
        ("a.tar.gz", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
        ("a.mp4", "application/x-www-form-urlencoded", "video/mp4"),
        ("a.mp4", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
def test_the_media_type_is_what_was_said_or_what_the_name_says(
    desk: Desk, name: str, declared: str | None, kept: str
) -> None:
    job = desk.job()
    desk.put(job, name, b"x", **({} if declared is None else {"content-type": declared}))
    assert desk.files(job)[0]["media_type"] == kept
    assert desk.http.get(f"{job}/files/{name}").headers["content-type"] == kept


def test_a_media_type_that_is_none_is_refused(desk: Desk) -> None:
    problem(desk.put(desk.job(), "a", b"x", **{"content-type": "video"}), 422, "invalid")
    for declared in ("text/plain\n;x", "text/plain\r\nx: y;z", "text/plain\u2028;x"):
        attached = desk.attach(
            desk.job(), url="https://example.com/a", name="a", media_type=declared
        )
        problem(attached, 422, "invalid")


def test_uploading_starts_nothing_but_keeps_a_running_job_alive(desk: Desk) -> None:
    job = desk.job()
    desk.put(job, "a", b"x")
    assert desk.http.get(job).json()["status"] == "queued"
    desk.http.post(f"{job}/reports", json={"type": "start"})
    before = desk.http.get(job).json()
    desk.put(job, "a", b"y")
    after = desk.http.get(job).json()
    assert after["heartbeat_at"] >= before["heartbeat_at"]
    assert after["cursor"] != before["cursor"]


def test_a_finished_job_takes_no_more(desk: Desk) -> None:
    job = desk.job()
    desk.put(job, "a", b"x")
    desk.http.post(f"{job}/reports", json={"type": "succeed"})
    problem(desk.put(job, "b", b"y"), 409, "job_finished")
    problem(desk.attach(job, url="https://example.org/x"), 409, "job_finished")
    assert [it["name"] for it in desk.files(job)] == ["a"]


def test_a_file_that_is_too_large_leaves_nothing(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk("--max-file-bytes", "1000000")
    job = desk.job()
    problem(desk.put(job, "a", bytes(1_000_001)), 413, "file_too_large")
    endless = (bytes(65_536) for _ in range(1000))
    with suppress(httpx.WriteError):  # the server closes on a client that continues
        problem(desk.http.put(f"{job}/files/a", content=endless), 413, "file_too_large")
    assert desk.put(job, "a", bytes(1_000_000)).status_code == 201
    eventually(lambda: len(desk.kept()) == 1)


def test_a_project_has_only_so_many_bytes(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk("--max-project-bytes", "1000")
    job, other = desk.job(), desk.job()
    assert desk.put(job, "a", bytes(600)).status_code == 201
    problem(desk.put(other, "b", bytes(401)), 413, "files_full")
    assert desk.put(other, "b", bytes(400)).status_code == 201
    desk.server.restart()
    problem(desk.put(other, "c", b"x"), 413, "files_full")
    desk.http.post(f"{job}/cancel")
    assert desk.http.delete(job).status_code == 204
    assert desk.put(other, "c", bytes(600)).status_code == 201


def test_an_upload_cut_off_leaves_nothing(desk: Desk) -> None:
    job, before = desk.job(), {*desk.kept()}  # some may be about to be removed
    with socket.create_connection(("127.0.0.1", desk.server.port)) as sock:
        head = f"PUT {job}/files/a HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9000000\r\n\r\n"
        sock.sendall(head.encode() + bytes(3_000_000))
        eventually(lambda: {*desk.kept()} - before)
    eventually(lambda: not {*desk.kept()} - before)
    assert desk.files(job) == []


def test_bytes_left_by_a_killed_server_are_removed_at_the_next_start(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    job = desk.job()
    desk.put(job, "a", b"kept")
    orphan = desk.data / "files" / "ff" / ("0" * 30 + "ff")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"of no job")
    (desk.data / "files" / "incoming" / "half").write_bytes(b"of nobody")
    desk.server.kill()
    desk.server.restart()
    eventually(lambda: len(desk.kept()) == 1)
    assert desk.http.get(f"{job}/files/a").content == b"kept"


def test_files_go_with_their_job(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    job = desk.job()
    desk.put(job, "a", b"x")
    desk.put(job, "a", b"y")
    desk.http.post(f"{job}/reports", json={"type": "succeed"})
    assert desk.http.delete(job).status_code == 204
    eventually(lambda: desk.kept() == [])


# Attached


def test_a_file_on_this_machine_is_attached_where_it_lies(desk: Desk) -> None:
    job = desk.job()
    (desk.root / "deep").mkdir(exist_ok=True)
    path = desk.root / "deep" / "a.log"
    path.write_text("one\n")
    assert desk.attach(job, path=str(path)).json()["size"] == 4
    assert desk.attach(job, path=str(path), name="b", media_type="text/x-y").status_code == 201
    assert desk.http.get(f"{job}/files/b").headers["content-type"] == "text/x-y"
    path.write_text("one\ntwo\n")
    assert desk.http.get(f"{job}/files/a.log").text == "one\ntwo\n"
    path.unlink()
    problem(desk.http.get(f"{job}/files/a.log"), 404, "no_file")


def test_only_what_lies_below_a_root_is_attached(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (desk.root / "link").unlink(missing_ok=True)
    (desk.root / "link").symlink_to(secret)
    (desk.root / "out").unlink(missing_ok=True)
    (desk.root / "out").symlink_to(tmp_path)
    pipe = desk.root / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    job = desk.job()
    for path in (
        secret, desk.root / "link", desk.root / "out" / "secret", pipe, desk.root, "/dev/zero",
        desk.root / ".." / "data" / "token-secret", desk.root / "nothing", "root/a", "\0", "/",
        f"{desk.root}x", f"{desk.root}/a\0b", f"{desk.root}/{'x' * 300}", f"{desk.root}//",
    ):  # fmt: skip
        problem(desk.attach(job, path=str(path), name="x"), 422, "invalid")
    assert desk.files(job) == []


def test_a_link_put_in_the_place_of_a_file_later_is_not_followed(
    desk: Desk, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    job, path = desk.job(), desk.root / "swapped"
    path.unlink(missing_ok=True)
    path.write_text("good")
    assert desk.attach(job, path=str(path)).status_code == 201
    path.unlink()
    path.symlink_to(secret)
    problem(desk.http.get(f"{job}/files/swapped"), 404, "no_file")


def test_a_file_elsewhere_is_redirected_to(desk: Desk) -> None:
    job = desk.job()
    attached = desk.attach(job, url="https://example.org/d/out.mp4?x=1", size=5)
    assert attached.json() == {
        "name": "out.mp4", "size": 5, "media_type": "video/mp4", "sha256": None,
        "url": f"{job}/files/out.mp4",
    }  # fmt: skip
    answer = desk.http.get(f"{job}/files/out.mp4")
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        "https://example.org/d/out.mp4?x=1",
    )


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "file:///etc/passwd", "//example.org/x", "http://", "http:///x",
     "https://u:p@example.org/x", "https://example.org/a b", "https://example.org/\n", "ftp://x/y"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(desk: Desk, url: str) -> None:
    problem(desk.attach(desk.job(), url=url, name="x"), 422, "invalid")


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"path": "/x", "url": "http://x/y"}])
def test_either_a_path_or_a_url_is_attached(desk: Desk, body: dict[str, str]) -> None:
    problem(desk.attach(desk.job(), **body), 422, "invalid")


def test_a_file_that_grows_is_followed_to_the_end_of_its_job(desk: Desk) -> None:
    job, path = desk.job(), desk.root / "growing"
    path.write_text("one\n")
    desk.attach(job, path=str(path))
    with desk.http.stream("GET", f"{job}/files/growing?follow=1") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "one"
        with path.open("a") as more:
            more.write("two\n")
        assert next(lines) == "two"
        with path.open("a") as more:
            more.write("three\n")
        desk.http.post(f"{job}/reports", json={"type": "succeed"})
        assert list(lines) == ["three"]


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
