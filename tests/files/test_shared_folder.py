"""Nodes that share a database and a folder for files (`--files file:///path`), as processes."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.desk import eventually, problem
from tests.support.postgres import Postgres
from tests.support.server import DidNotStart, Server

TUS: Final = {"tus-resumable": "1.0.0"}
PIECE: Final = {**TUS, "content-type": "application/offset+octet-stream"}


class Node:
    def __init__(self, data: Path, folder: str | Path, *args: str, database: str = "") -> None:
        where = str(folder).replace(" ", "%20")
        env = {"LIVEJOBS_DATABASE": database} if database else {}
        self.server = Server(data, "--files", f"file://{where}", *args, env=env)
        self.http = httpx.Client(base_url=self.server.url)

    def close(self) -> None:
        self.http.close()
        self.server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.database("nodes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "the files"
    folder.mkdir(0o755)
    return folder


@pytest.fixture(scope="module")
def nodes(
    folder: Path, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Node]]:
    data = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            made.append(Node(data / name, folder, database=database))
            stack.callback(made[-1].close)
        yield made


@pytest.fixture
def job(nodes: list[Node]) -> str:
    return new_job(nodes[0])


def new_job(node: Node) -> str:
    return f"/v1/jobs/{node.http.post('/v1/jobs').raise_for_status().json()['id']}"


def begin(node: Node, job: str, length: int) -> str:
    headers = {**TUS, "upload-length": str(length), "upload-metadata": "filename YQ=="}
    answer = node.http.post(f"{job}/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def patch(node: Node, upload: str, offset: int, data: bytes) -> httpx.Response:
    return node.http.patch(upload, content=data, headers={**PIECE, "upload-offset": str(offset)})


def offset(node: Node, upload: str) -> int:
    answer = node.http.head(upload, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def test_files_lie_in_the_folder_and_nothing_else_there_is_touched(
    nodes: list[Node], folder: Path, job: str
) -> None:
    (folder / "of another program").write_bytes(b"x")
    assert nodes[0].http.put(f"{job}/files/a", content=b"abc").status_code == 201
    [kept] = [it for it in folder.glob("??/*") if it.read_bytes() == b"abc"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert not (nodes[0].server.data / "files").exists()
    one, two = nodes
    assert one.http.get(f"{job}/files/a").content == b"abc"
    assert two.http.get(f"{job}/files/a").content == b"abc"
    eventually(lambda: downloads(one, job) == downloads(two, job) == [2])
    two.http.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
    assert two.http.delete(job).status_code == 204
    eventually(lambda: not kept.exists())
    assert (folder / "of another program").read_bytes() == b"x"


def downloads(node: Node, job: str) -> list[int]:
    return [it["downloads"] for it in node.http.get(f"{job}/files").json()["files"]]


def test_a_node_with_another_folder_does_not_start(
    nodes: list[Node], database: str, tmp_path: Path
) -> None:
    other = tmp_path / "files"
    other.mkdir()
    with pytest.raises(DidNotStart) as caught:
        Node(tmp_path / "data", other, database=database)
    assert str(caught.value).splitlines()[-1] == (
        f"livejobs: files (file://{other}): is not where the other nodes of this database keep "
        "their files: it has no .livejobs-area. Use one object store, or one folder that all "
        "nodes share."
    )
    assert list(other.iterdir()) == []


def test_an_upload_continues_on_another_node(nodes: list[Node], folder: Path, job: str) -> None:
    one, two = nodes
    data = os.urandom(3_000_000)
    upload = begin(one, job, len(data))
    assert offset(two, upload) == 0
    assert patch(one, upload, 0, data[:1_000_000]).status_code == 204
    assert offset(two, upload) == 1_000_000
    assert patch(two, upload, 1_000_000, data[1_000_000:2_000_000]).status_code == 204
    problem(patch(one, upload, 1_000_000, b"x"), 409, "offset_mismatch")
    assert patch(one, upload, 2_000_000, data[2_000_000:]).status_code == 204
    [file] = one.http.get(job).json()["files"]
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert two.http.get(file["url"]).content == data
    for node in nodes:  # a client that lost the answer may ask any node
        assert offset(node, upload) == len(data)
        problem(patch(node, upload, 0, b""), 409, "offset_mismatch")
        problem(node.http.delete(upload, headers=TUS), 409, "upload_done")
    assert list((folder / "incoming").iterdir()) == []


def test_an_upload_is_locked_on_other_nodes_until_the_node_that_receives_it_dies(
    nodes: list[Node], tmp_path: Path, database: str, folder: Path, job: str
) -> None:
    other = Node(tmp_path, folder, database=database)
    data = os.urandom(2_500_000)
    try:
        upload = begin(nodes[0], job, len(data))
        head = (
            f"PATCH {upload} HTTP/1.1\r\nhost: 127.0.0.1\r\ntus-resumable: 1.0.0\r\n"
            f"upload-offset: 0\r\ncontent-type: {PIECE['content-type']}\r\n"
            f"content-length: {len(data)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", other.server.port)) as sock:
            sock.sendall(head.encode() + data[:1_700_000])
            eventually(lambda: offset(nodes[0], upload) >= 1 << 20)
            there = offset(nodes[0], upload)
            problem(patch(nodes[0], upload, there, b"x"), 423, "upload_locked")
            problem(nodes[0].http.delete(upload, headers=TUS), 423, "upload_locked")
            other.server.kill()
        there = offset(nodes[0], upload)
        assert patch(nodes[0], upload, there, data[there:]).status_code == 204
    finally:
        other.close()
    assert nodes[0].http.get(f"{job}/files/a").content == data


def test_of_two_requests_at_once_one_adds_to_the_upload(
    nodes: list[Node], job: str, folder: Path
) -> None:
    size, pieces = 300_000, [b"a" * 300_000, b"b" * 300_000]
    upload = begin(nodes[0], job, 10 * size + 1)
    part = folder / "incoming" / f"{upload.rpartition('/')[2]}.part"
    with ThreadPoolExecutor(2) as threads:
        for there in range(0, 10 * size, size):
            sent = threads.map(patch, nodes, [upload] * 2, [there] * 2, pieces)
            codes = [it.status_code for it in sent]
            assert codes.count(204) == 1
            assert set(codes) <= {204, 409, 423}
            assert part.read_bytes()[there:] == pieces[codes.index(204)]
    assert nodes[0].http.delete(upload, headers=TUS).status_code == 204


def test_an_upload_ends_with_its_job_on_all_nodes(
    nodes: list[Node], folder: Path, job: str
) -> None:
    upload = begin(nodes[0], job, 10)
    assert patch(nodes[1], upload, 0, b"01234").status_code == 204
    nodes[1].http.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
    eventually(lambda: list((folder / "incoming").iterdir()) == [])
    eventually(lambda: patch(nodes[0], upload, 5, b"56789").json()["code"] == "job_finished")


def test_an_upload_ends_on_all_servers(nodes: list[Node], folder: Path, job: str) -> None:
    upload = begin(nodes[0], job, 10)
    assert patch(nodes[1], upload, 0, b"01234").status_code == 204
    assert nodes[1].http.delete(upload, headers=TUS).status_code == 204
    problem(patch(nodes[0], upload, 5, b"56789"), 404, "no_upload")
    assert nodes[0].http.head(upload, headers=TUS).status_code == 404
    assert list((folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["..%2F..%2Fx", "x", "0" * 32, "%00", "A" * 32])
def test_no_other_name_is_taken_for_an_upload(nodes: list[Node], job: str, name: str) -> None:
    answer = nodes[0].http.head(f"{job}/uploads/{name}", headers=TUS)
    assert answer.status_code == 404


@settings(max_examples=15, deadline=None)
@given(
    st.binary(min_size=1, max_size=60),
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0, 0, 0, -3, 1]), st.integers(0, 30)),
        max_size=6,
    ),
    st.integers(0, 1),
)
def test_pieces_to_any_node_make_the_right_file(
    nodes: list[Node], data: bytes, tries: list[tuple[int, int, int]], last: int
) -> None:
    job = new_job(nodes[0])
    upload, there = begin(nodes[0], job, len(data)), 0
    for to, aside, size in tries:
        first = max(0, there + aside)
        piece = data[first : first + min(size, len(data) - 1 - first)]
        answer = patch(nodes[to], upload, first, piece)
        if first != there:
            problem(answer, 409, "offset_mismatch")
        else:
            there += len(piece)
            assert answer.headers["upload-offset"] == str(there)
    assert patch(nodes[last], upload, there, data[there:]).status_code == 204
    assert nodes[last].http.get(f"{job}/files/a").content == data


def test_nodes_with_one_data_folder_need_no_setting(postgres: Postgres, tmp_path: Path) -> None:
    env = {"LIVEJOBS_DATABASE": postgres.database("workers")}
    with Server(tmp_path, env=env) as one, Server(tmp_path, env=env) as two:
        job = httpx.post(f"{one.url}/v1/jobs").json()["id"]
        httpx.put(f"{one.url}/v1/jobs/{job}/files/a", content=b"abc").raise_for_status()
        assert httpx.get(f"{two.url}/v1/jobs/{job}/files/a").content == b"abc"
        report = {"type": "succeed"}
        httpx.post(f"{one.url}/v1/jobs/{job}/reports", json=report).raise_for_status()
        assert httpx.get(f"{two.url}/v1/jobs/{job}/download").content == b"abc"


def test_a_server_in_front_gets_paths_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    node = Node(tmp_path / "data", str(tmp_path / "files"), "--sendfile", "x-sendfile")
    try:
        node.http.put("/v1/jobs/j").raise_for_status()
        node.http.put("/v1/jobs/j/files/a", content=b"abc").raise_for_status()
        path = Path(node.http.get("/v1/jobs/j/files/a").headers["x-sendfile"])
        assert path.is_relative_to(tmp_path / "files")
        assert path.read_bytes() == b"abc"
    finally:
        node.close()


def test_a_folder_that_is_missing_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart) as caught:
        Node(tmp_path / "data", f"{tmp_path}/none")
    last = str(caught.value).splitlines()[-1]
    wrong = "is not a folder that livejobs can write in"
    assert last == f"livejobs: files (file://{tmp_path}/none): {wrong}"
    assert not (tmp_path / "none").exists()
