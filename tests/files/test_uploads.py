"""Files of jobs are put, over a real server, and come back as they were sent."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import httpx2 as httpx
import pytest

from tests.support.desk import Desk, digest, eventually, problem


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
