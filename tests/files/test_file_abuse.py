"""Files never give away a secret or a device, and leave no partial bytes behind."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.api import Socket
from tests.support.desk import Desk, digest, eventually, problem

ADMIN = "the-first-admin-key"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    tmp = tmp_path_factory.mktemp("desk")
    desk = Desk(tmp, "--files-roots", f"{tmp / 'root'},/dev")
    yield desk
    desk.close()


# Attached


@pytest.mark.parametrize(
    "device", ["zero", "null", "full", "random", "tty", "ptmx", "stdin", "fd/0"]
)
def test_a_device_below_a_root_is_no_file(desk: Desk, device: str) -> None:
    problem(desk.attach(desk.job(), path=f"/dev/{device}", name="x"), 422, "invalid")


def test_a_socket_is_no_file(desk: Desk) -> None:
    path = desk.root / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        problem(desk.attach(desk.job(), path=str(path)), 422, "invalid")


@pytest.mark.parametrize("seconds", [-(10**9), 0, 10**10, 2**40])
def test_a_file_of_any_age_is_served_with_a_possible_date(desk: Desk, seconds: int) -> None:
    job, path = desk.job(), desk.root / "aged"
    path.write_text("x")
    os.utime(path, (seconds, seconds))
    desk.attach(job, path=str(path)).raise_for_status()
    headers = desk.http.get(f"{job}/files/aged").raise_for_status().headers
    assert parsedate_to_datetime(headers["last-modified"]) <= parsedate_to_datetime(headers["date"])


@contextmanager
def flipping(*pairs: tuple[Path, Path]) -> Iterator[None]:
    """Swap the two paths of each pair, again and again, as fast as possible."""
    over = threading.Event()

    def flip() -> None:
        while not over.is_set():
            for one, other in pairs:
                aside = one.with_name("aside")
                one.rename(aside)
                other.rename(one)
                one.rename(other)
                aside.rename(one)

    flipper = threading.Thread(target=flip)
    flipper.start()
    try:
        yield
    finally:
        over.set()
        flipper.join()


def test_a_path_swapped_while_it_is_opened_leaks_nothing(desk: Desk, tmp_path: Path) -> None:
    """The file is swapped for a link, its folder for a link, both thousands of times."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a").write_text("secret")
    folder, other = desk.root / "good", desk.root / "bad"
    folder.mkdir()
    (folder / "a").write_text("good")
    other.symlink_to(tmp_path / "secrets")
    (folder / "link").symlink_to(tmp_path / "secrets" / "a")
    job = desk.job()
    desk.attach(job, path=str(folder / "a")).raise_for_status()
    seen: dict[tuple[int, bytes], int] = {}

    def look(_: int) -> None:
        with httpx.Client(base_url=desk.server.url) as http:
            for _ in range(60):
                got = http.get(f"{job}/files/a")
                attached = http.post(f"{job}/files", json={"path": str(folder / "a"), "name": "b"})
                assert attached.status_code in (200, 201, 422)
                body = b"" if got.status_code == 404 else got.content
                seen[got.status_code, body] = seen.get((got.status_code, body), 0) + 1

    pairs = [(folder, other)], [(folder / "a", folder / "link")]
    for some in pairs:
        with flipping(*some), ThreadPoolExecutor(4) as lookers:
            list(lookers.map(look, range(4)))
    assert seen.keys() == {(200, b"good"), (404, b"")}  # both happened, and nothing else did


# Upload


def put_head(job: str, name: str, length: int) -> str:
    return f"PUT {job}/files/{name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"


def test_a_body_shorter_than_declared_makes_no_file(desk: Desk) -> None:
    job, before = desk.job(), {*desk.kept()}
    for sent in (0, 10, 2_000_000):
        with Socket(desk.server.url) as client:
            client.send(put_head(job, "a", 4_000_000), bytes(sent))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.file.read() == b""  # no answer says that it was stored
    eventually(lambda: not {*desk.kept()} - before)
    assert desk.files(job) == []


def test_a_body_longer_than_declared_is_cut_at_its_declared_end(desk: Desk) -> None:
    job = desk.job()
    with Socket(desk.server.url) as client:
        client.send(put_head(job, "a", 4), b"goodGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.answer()[0] == 201
        assert client.answer()[0] == 200  # the bytes after it were the next request
    assert desk.http.get(f"{job}/files/a").content == b"good"


def test_a_body_sent_byte_by_byte_makes_one_file(desk: Desk) -> None:
    job, data = desk.job(), os.urandom(200)
    with Socket(desk.server.url) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send(put_head(job, "a", len(data)))
        for byte in data:
            client.send(bytes([byte]))
        status, _, file = client.answer()
    assert (status, file["sha256"]) == (201, hashlib.sha256(data).hexdigest())


def test_of_many_uploads_with_one_name_one_is_kept_whole(desk: Desk) -> None:
    job, before = desk.job(), {*desk.kept()}
    bodies = [os.urandom(300_000) for _ in range(8)]
    together = threading.Barrier(len(bodies))

    def put(data: bytes) -> int:
        together.wait()
        return httpx.put(f"{desk.server.url}{job}/files/a", content=data).status_code

    with ThreadPoolExecutor(len(bodies)) as putting:
        statuses = sorted(putting.map(put, bodies))
    assert statuses == [200] * 7 + [201]
    [file] = desk.files(job)
    got = desk.http.get(f"{job}/files/a")
    assert got.content in bodies
    assert got.headers["repr-digest"] == digest(got.content)
    assert file["sha256"] == hashlib.sha256(got.content).hexdigest()
    eventually(lambda: len({*desk.kept()} - before) == 1)


@pytest.mark.parametrize("deleted", [False, True])
def test_an_upload_is_refused_when_its_job_ends_first(desk: Desk, deleted: bool) -> None:
    job, before = desk.job(), {*desk.kept()}
    with Socket(desk.server.url) as client:
        client.send(put_head(job, "a", 3_000_000), bytes(2_000_000))
        eventually(lambda: {*desk.kept()} - before)
        desk.http.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
        if deleted:
            assert desk.http.delete(job).status_code == 204
        client.send(bytes(1_000_000))
        status, _, answer = client.answer()
    assert (status, answer["code"]) == (
        (404, "job_not_found") if deleted else (409, "job_finished")
    )
    eventually(lambda: not {*desk.kept()} - before)


# The end of a server


def test_a_stop_during_transfers_is_quick_and_leaves_no_partial_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    job, data = desk.job(), os.urandom(20 << 20)
    desk.put(job, "a", data).raise_for_status()
    with ExitStack() as stack:
        stack.callback(desk.close)
        for _ in range(8):
            client = stack.enter_context(Socket(desk.server.url))
            client.send(f"GET {job}/files/a HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert client.file.readline().startswith(b"HTTP/1.1 200")
        for n in range(8):
            client = stack.enter_context(Socket(desk.server.url))
            client.send(put_head(job, f"b{n}", 9_000_000), bytes(2_000_000))
        eventually(lambda: len(desk.kept()) == 9)
        began = time.monotonic()
        desk.server.signal(signal.SIGTERM)
        assert desk.server.wait() == 0
        assert (
            time.monotonic() - began < 25
        )  # a stop takes at most ten; a silent body may take thirty
        assert "Traceback" not in desk.server.stderr
        desk.server.restart()
        eventually(lambda: len(desk.kept()) == 1)
        assert desk.http.get(f"{job}/files/a").content == data


# Who may


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, env={"LIVEJOBS_ADMIN_KEY": ADMIN})
    desk.http.headers["x-api-key"] = ADMIN
    yield desk
    desk.close()


def test_a_token_for_one_job_downloads_no_file_of_another(closed: Desk) -> None:
    made = [closed.http.post("/v1/jobs", json={}).json() for _ in range(2)]
    mine, theirs = (f"/v1/jobs/{job['id']}" for job in made)
    for job in (mine, theirs):
        closed.put(job, "a", b"x").raise_for_status()
        closed.http.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
    token = made[0]["view"]["token"]
    with httpx.Client(base_url=closed.server.url) as viewer:
        for way in ("files", "files/a", "files.zip", "download"):
            for headers, query in (
                ({"authorization": f"Bearer {token}"}, ""),
                ({}, f"?token={token}"),
            ):
                assert viewer.get(f"{mine}/{way}{query}", headers=headers).status_code == 200
                hidden = viewer.get(f"{theirs}/{way}{query}", headers=headers)
                problem(hidden, 404, "job_not_found")
            problem(viewer.get(f"{mine}/{way}"), 401, "unauthorized")
        bearer = {"authorization": f"Bearer {token}"}
        problem(viewer.put(f"{mine}/files/b", content=b"x", headers=bearer), 403, "missing_scope")
    assert token not in closed.server.stderr


# Retention


def test_files_are_removed_when_their_job_expires(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with ExitStack() as stack:
        stack.callback(desk.close)
        desk.http.put("/v1/jobs/short", json={"ttl_seconds": 1}).raise_for_status()
        desk.put("/v1/jobs/short", "a", b"x").raise_for_status()
        kept = desk.job()
        desk.put(kept, "a", b"y").raise_for_status()
        (desk.root / "own").write_text("z")
        desk.attach("/v1/jobs/short", path=str(desk.root / "own")).raise_for_status()
        desk.http.post("/v1/jobs/short/reports", json={"type": "succeed"}).raise_for_status()
        eventually(lambda: len(desk.kept()) == 1)
        problem(desk.http.get("/v1/jobs/short/files/a"), 404, "job_not_found")
        assert desk.http.get(f"{kept}/files/a").content == b"y"
        assert (desk.root / "own").exists()  # an attached file stays
