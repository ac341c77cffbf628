"""Resumable uploads: however they are interrupted, the file is what the client sent."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from collections.abc import Callable

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.desk import Desk, eventually, problem
from tests.support.examples import examples

TUS = {"tus-resumable": "1.0.0"}
PIECE = {**TUS, "content-type": "application/offset+octet-stream"}


def metadata(**fields: str) -> str:
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in fields.items())


def begin(desk: Desk, job: str, length: int | str, **fields: str) -> httpx.Response:
    headers = {
        "upload-length": str(length),
        "upload-metadata": metadata(**{"filename": "a", **fields}),
    }
    return desk.http.post(f"{job}/uploads", headers={**TUS, **headers})


def begun(desk: Desk, job: str, length: int, **fields: str) -> str:
    answer = begin(desk, job, length, **fields)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def patch(desk: Desk, upload: str, offset: int, data: bytes, **more: str) -> httpx.Response:
    headers = {**PIECE, "upload-offset": str(offset), **more}
    return desk.http.patch(upload, content=data, headers=headers)


def offset(desk: Desk, upload: str) -> int:
    answer = desk.http.head(upload, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def under_way(desk: Desk) -> list[str]:
    return sorted(path.suffix for path in (desk.data / "files" / "incoming").iterdir())


def test_pieces_become_a_file_with_the_last_of_them(desk: Desk) -> None:
    job, data = desk.job(), os.urandom(3_500_000)
    upload = begun(desk, job, len(data), filename="ü.mp4", filetype="video/mp4")
    for first, last in ((0, 1_200_000), (1_200_000, 1_200_001), (1_200_001, len(data))):
        assert (offset(desk, upload), desk.files(job)) == (first, [])
        answer = patch(desk, upload, first, data[first:last])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(last))
        assert answer.headers["tus-resumable"] == "1.0.0"
    [file] = desk.files(job)
    assert (file["name"], file["media_type"], file["size"]) == ("ü.mp4", "video/mp4", len(data))
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert desk.http.get(file["url"]).content == data
    assert under_way(desk) == []
    # A client that lost the last answer asks for the offset, or sends the last piece again.
    assert offset(desk, upload) == len(data)
    assert patch(desk, upload, len(data), b"").status_code == 204
    problem(patch(desk, upload, 1_200_001, data[1_200_001:]), 409, "offset_mismatch")
    problem(desk.http.delete(upload, headers=TUS), 409, "upload_done")
    told = desk.http.head(upload, headers=TUS).headers["upload-metadata"]
    assert told == metadata(filename="ü.mp4", filetype="video/mp4")
    problem(patch(desk, upload, len(data), b"x"), 413, "file_too_large")
    desk.put(job, "%C3%BC.mp4", b"another")
    assert desk.http.head(upload, headers=TUS).status_code == 404


def test_an_upload_answers_with_what_its_client_declared(desk: Desk) -> None:
    sent = metadata(filename="a", filetype="text/plain", more="x") + ",flag"
    headers = {**TUS, "upload-length": "7", "upload-metadata": sent}
    made = desk.http.post(f"{desk.job()}/uploads", headers=headers)
    assert made.headers["upload-expires"].endswith(" GMT")
    told = desk.http.head(made.headers["location"], headers=TUS).headers
    assert (told["upload-length"], told["upload-offset"]) == ("7", "0")
    assert told["upload-metadata"] == sent
    options = desk.http.options(made.headers["location"])
    assert options.status_code == 204
    assert options.headers["tus-version"] == "1.0.0"
    assert options.headers["tus-extension"] == "creation,expiration,termination"
    assert options.headers["tus-max-size"] == str(10 << 30)


def test_an_empty_upload_becomes_a_file_at_once(desk: Desk) -> None:
    job = desk.job()
    upload = begun(desk, job, 0)
    assert [it["size"] for it in desk.files(job)] == [0]
    assert offset(desk, upload) == 0


def test_bytes_before_an_interruption_are_kept(desk: Desk) -> None:
    job, data = desk.job(), os.urandom(2_500_000)
    upload = begun(desk, job, len(data))
    head = (
        f"PATCH {upload} HTTP/1.1\r\nhost: 127.0.0.1\r\ntus-resumable: 1.0.0\r\n"
        f"upload-offset: 0\r\ncontent-type: {PIECE['content-type']}\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", desk.server.port)) as sock:
        sock.sendall(head.encode() + data[:1_700_000])
        eventually(lambda: offset(desk, upload) >= 1 << 20)
        problem(patch(desk, upload, offset(desk, upload), b"x"), 423, "upload_locked")
        problem(desk.http.delete(upload, headers=TUS), 423, "upload_locked")
    eventually(lambda: offset(desk, upload) == 1_700_000)
    # It is still being synced for a moment.
    eventually(lambda: patch(desk, upload, 1_700_000, data[1_700_000:]).status_code == 204)
    assert desk.http.get(f"{job}/files/a").content == data


def test_an_upload_continues_after_the_server_was_killed(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    job, data = desk.job(), os.urandom(100_000)
    upload = begun(desk, job, len(data))
    patch(desk, upload, 0, data[:60_000])
    incoming = desk.data / "files" / "incoming"
    for name, text in (("a.part", "x"), ("b.json", "{}"), ("c.part", ""), ("c.json", "{")):
        (incoming / name).write_text(text)
    desk.server.kill()
    desk.server.restart()
    assert under_way(desk) == [".json", ".part"]
    assert offset(desk, upload) == 60_000
    assert patch(desk, upload, 60_000, data[60_000:]).status_code == 204
    [file] = desk.files(job)
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert desk.http.get(file["url"]).content == data


def test_an_upload_complete_before_a_kill_becomes_a_file_when_its_offset_is_asked_for(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    job = desk.job()
    upload = begun(desk, job, 10)
    desk.server.kill()
    [part] = (desk.data / "files" / "incoming").glob("*.part")
    part.write_bytes(b"0123456789")
    desk.server.restart()
    assert offset(desk, upload) == 10
    assert desk.http.get(f"{job}/files/a").content == b"0123456789"


def test_an_upload_without_progress_for_a_day_is_removed(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    job = desk.job()
    old, young = begun(desk, job, 10), begun(desk, job, 10)
    desk.server.kill()
    [part] = (desk.data / "files" / "incoming").glob(f"{old.rpartition('/')[2]}.part")
    os.utime(part, (part.stat().st_mtime - 24 * 3600,) * 2)
    desk.server.restart()
    eventually(lambda: under_way(desk) == [".json", ".part"])
    assert desk.http.head(old, headers=TUS).status_code == 404
    assert offset(desk, young) == 0


def test_only_bytes_that_arrived_take_room(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk("--max-project-bytes", "1000", "--max-file-bytes", "900")
    job = desk.job()
    problem(begin(desk, job, 901), 413, "file_too_large")
    upload = begun(desk, job, 700)
    other = begun(desk, job, 900)  # a declared length reserves nothing
    assert patch(desk, upload, 0, bytes(600)).status_code == 204
    problem(begin(desk, job, 401), 413, "files_full")
    problem(desk.put(job, "b", bytes(401)), 413, "files_full")
    desk.server.restart()
    assert offset(desk, other) == 0
    problem(begin(desk, job, 401), 413, "files_full")
    assert desk.put(job, "b", bytes(350)).status_code == 201
    problem(patch(desk, upload, 600, bytes(100)), 413, "files_full")
    assert offset(desk, upload) == 600
    assert desk.http.delete(upload, headers=TUS).status_code == 204
    assert desk.http.head(upload, headers=TUS).status_code == 404
    upload = begun(desk, job, 600)
    assert patch(desk, upload, 0, bytes(600)).status_code == 204
    problem(desk.put(job, "c", bytes(51)), 413, "files_full")
    assert desk.put(job, "c", bytes(50)).status_code == 201


def test_a_job_has_only_so_many_uploads_and_leaves_room_for_others(desk: Desk) -> None:
    job, other = desk.job(), desk.job()
    uploads = [begun(desk, job, 5) for _ in range(100)]
    problem(begin(desk, job, 5), 429, "too_many_uploads")
    desk.http.delete(begun(desk, other, 5), headers=TUS)
    assert desk.http.delete(uploads[0], headers=TUS).status_code == 204
    assert patch(desk, uploads[1], 0, b"whole").status_code == 204
    uploads += [begun(desk, job, 5) for _ in range(2)]
    problem(begin(desk, job, 5), 429, "too_many_uploads")
    assert desk.http.post(f"{job}/cancel").status_code == 202


def test_an_upload_ends_with_its_job(desk: Desk) -> None:
    job = desk.job()
    upload = begun(desk, job, 10)
    patch(desk, upload, 0, b"01234")
    desk.http.post(f"{job}/reports", json={"type": "succeed"})
    assert desk.http.head(upload, headers=TUS).status_code == 409
    problem(begin(desk, job, 10), 409, "job_finished")
    eventually(lambda: not list((desk.data / "files").rglob(upload.rpartition("/")[2] + "*")))
    problem(patch(desk, upload, 5, b"56789"), 409, "job_finished")
    assert desk.files(job) == []


def test_a_piece_is_a_sign_of_life(desk: Desk) -> None:
    job = desk.job()
    desk.http.post(f"{job}/reports", json={"type": "start"})
    upload, sizes = begun(desk, job, 200), iter(range(200))
    before = desk.http.get(job).json()["heartbeat_at"]

    def is_heard() -> bool:  # once a second is enough
        assert patch(desk, upload, next(sizes), b"0").status_code == 204
        return bool(desk.http.get(job).json()["heartbeat_at"] > before)

    eventually(is_heard)


def test_bytes_past_the_declared_length_are_refused_and_earlier_ones_are_kept(desk: Desk) -> None:
    upload = begun(desk, desk.job(), 10)
    problem(patch(desk, upload, 0, bytes(11)), 413, "file_too_large")
    assert offset(desk, upload) == 0
    pieces = iter([b"0123", b"4567", b"89ab"])
    headers = {**PIECE, "upload-offset": "0"}
    problem(desk.http.patch(upload, content=pieces, headers=headers), 413, "file_too_large")
    assert offset(desk, upload) in (0, 4, 8)  # whole pieces only


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"tus-resumable": "0.2.2"}, 412, "tus_version"),
        ({"tus-resumable": ""}, 412, "tus_version"),
        ({"upload-length": ""}, 400, "bad_request"),
        ({"upload-length": "-1"}, 400, "bad_request"),
        ({"upload-length": "1.5"}, 400, "bad_request"),
        ({"upload-length": "9" * 16}, 413, "file_too_large"),
        ({"upload-length": "9" * 17}, 400, "bad_request"),
        ({"upload-defer-length": "1"}, 400, "bad_request"),
        ({"upload-metadata": ""}, 400, "bad_request"),
        ({"upload-metadata": "filename"}, 422, "invalid"),
        ({"upload-metadata": "filename !"}, 400, "bad_request"),
        ({"upload-metadata": "filename /w=="}, 400, "bad_request"),
        ({"upload-metadata": metadata(filename="../x")}, 422, "invalid"),
        ({"upload-metadata": metadata(filename="x", filetype="y")}, 422, "invalid"),
        ({"upload-metadata": metadata(filename="x", more="y" * 4000)}, 400, "bad_request"),
    ],
)
def test_an_upload_that_could_never_be_finished_is_refused(
    desk: Desk, more: dict[str, str], status: int, code: str
) -> None:
    headers = {**TUS, "upload-length": "10", "upload-metadata": metadata(filename="a"), **more}
    answer = desk.http.post(f"{desk.job()}/uploads", headers=headers)
    problem(answer, status, code)
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers.get("tus-version") == ("1.0.0" if status == 412 else None)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"tus-resumable": "2.0.0"}, 412, "tus_version"),
        ({"content-type": "application/octet-stream"}, 415, "unsupported_media_type"),
        ({"content-encoding": "gzip"}, 415, "unsupported_media_type"),
        ({"upload-offset": "4"}, 409, "offset_mismatch"),
        ({"upload-offset": "6"}, 409, "offset_mismatch"),
        ({"upload-offset": "x"}, 400, "bad_request"),
    ],
)
def test_a_piece_at_another_offset_is_refused(
    desk: Desk, more: dict[str, str], status: int, code: str
) -> None:
    upload = begun(desk, desk.job(), 10)
    patch(desk, upload, 0, b"01234")
    problem(patch(desk, upload, 5, b"56789", **more), status, code)
    assert offset(desk, upload) == 5


def test_an_upload_is_found_under_its_own_job_alone(desk: Desk) -> None:
    upload = begun(desk, desk.job(), 10)
    for other in (desk.job() + "/uploads/" + upload.rpartition("/")[2], upload + "0"):
        problem(patch(desk, other, 0, b"x"), 404, "no_upload")


def test_a_method_can_be_sent_in_a_header(desk: Desk) -> None:
    upload = begun(desk, desk.job(), 10)

    def post(method: str, data: bytes = b"") -> httpx.Response:
        headers = {**PIECE, "x-http-method-override": method, "upload-offset": "0"}
        return desk.http.post(upload, content=data, headers=headers)

    assert post("PATCH", b"012").headers["upload-offset"] == "3"
    assert post("HEAD").headers["upload-offset"] == "3"
    assert post("DELETE").status_code == 204
    assert post("PATCH", b"3").status_code == 404
    problem(post("GET"), 405, "method_not_allowed")


def test_a_page_of_another_origin_may_upload_where_it_is_allowed(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk("--cors-origins", "https://example.org")
    origin, job = {"origin": "https://example.org"}, desk.job()
    asked = {
        **origin,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": ", ".join([*PIECE, "upload-offset", "x-api-key"]),
    }
    upload = begun(desk, job, 3)
    assert desk.http.options(upload, headers=asked).status_code == 200
    answer = patch(desk, upload, 0, b"abc", **origin)
    seen = answer.headers["access-control-expose-headers"].split(", ")
    assert {"location", "tus-resumable", "upload-offset", "upload-length"} <= set(seen)


@settings(max_examples=examples(20), deadline=None)
@given(
    st.binary(min_size=1, max_size=60),
    st.lists(st.tuples(st.sampled_from([0, 0, 0, -3, 1]), st.integers(0, 30)), max_size=6),
)
def test_pieces_in_any_order_make_the_right_file(
    desk: Desk, data: bytes, tries: list[tuple[int, int]]
) -> None:
    job = desk.job()
    upload, there = begun(desk, job, len(data)), 0
    for aside, size in tries:
        first = max(0, there + aside)
        piece = (data + b"!")[first : first + size]
        answer = patch(desk, upload, first, piece)
        if first != there:
            problem(answer, 409, "offset_mismatch")
        elif there + len(piece) > len(data):
            problem(answer, 413, "file_too_large")
        else:
            there += len(piece)
            assert answer.headers["upload-offset"] == str(there)
    assert patch(desk, upload, there, data[there:]).status_code == 204
    assert desk.http.get(f"{job}/files/a").content == data
