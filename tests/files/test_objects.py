"""Files in an object store, over a real server and a real store that speaks S3."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from livejobs.config import SettingError
from livejobs.files.areas.local import LocalArea
from livejobs.files.areas.objects import ObjectArea
from livejobs.files.areas.proof import prove
from tests.support.desk import eventually, problem
from tests.support.nodes import Database
from tests.support.objects import ObjectStore
from tests.support.server import DidNotStart, Server

TUS = {"tus-resumable": "1.0.0"}
BEGIN = {**TUS, "upload-length": "10", "upload-metadata": "filename Yg=="}
PIECE = {**TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        yield store


@pytest.fixture
def http(
    request: pytest.FixtureRequest, store: ObjectStore, tmp_path: Path
) -> Iterator[httpx.Client]:
    args = ["--files", f"{store.files}/{tmp_path.name}", *getattr(request, "param", [])]
    with (
        Server(tmp_path / "data", *args, env=store.environment) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        http.put("/v1/jobs/j").raise_for_status()
        yield http


def own(store: ObjectStore, tmp_path: Path) -> list[str]:
    return [key for key in store.objects() if f"/{tmp_path.name}/" in key]


def test_a_file_goes_to_the_store_and_comes_back_whole_and_in_parts(
    http: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    for count, size in enumerate([0, 5, (21 << 20) + 3]):
        data, address = os.urandom(size), f"/v1/jobs/j/files/{size}"
        assert http.put(address, content=data).status_code == 201
        assert len(own(store, tmp_path)) == count + 1
        assert not [it for it in (tmp_path / "data" / "files").rglob("*") if it.is_file()]
        whole = http.get(address)
        assert (whole.status_code, whole.content) == (200, data)
        known = {"if-none-match": whole.headers["etag"]}
        assert http.get(address, headers=known).status_code == 304
        if size:
            part = http.get(address, headers={"range": f"bytes={size // 3}-"})
            assert (part.status_code, part.content) == (206, data[size // 3 :])
            two = http.get(address, headers={"range": "bytes=0-0,-1"})
            assert two.headers["content-type"].startswith("multipart/byteranges")


def test_replaced_and_deleted_files_leave_the_store(
    http: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    for data in (b"one", b"two"):
        http.put("/v1/jobs/j/files/a", content=data)
    http.put("/v1/jobs/j/files/b", content=b"b" * 100)
    eventually(lambda: len(own(store, tmp_path)) == 2)
    with zipfile.ZipFile(io.BytesIO(http.get("/v1/jobs/j/files.zip").content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a": b"two",
            "b": b"b" * 100,
        }
    http.post("/v1/jobs/j/reports", json={"type": "succeed"})
    assert http.delete("/v1/jobs/j").status_code == 204
    eventually(lambda: own(store, tmp_path) == [])


def test_an_object_removed_from_the_store_is_not_found(
    http: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    http.put("/v1/jobs/j/files/a", content=b"x")
    [key] = own(store, tmp_path)
    store.remove(key)
    problem(http.get("/v1/jobs/j/files/a"), 404, "no_file")
    problem(http.get("/v1/jobs/j/files.zip"), 404, "no_file")


def test_an_upload_in_pieces_goes_to_the_store_once_it_is_whole(
    http: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    upload = http.post("/v1/jobs/j/uploads", headers=BEGIN).headers["location"]
    http.patch(upload, content=b"01234", headers=PIECE)
    assert own(store, tmp_path) == []
    http.patch(upload, content=b"56789", headers={**PIECE, "upload-offset": "5"})
    assert len(own(store, tmp_path)) == 1
    assert http.get("/v1/jobs/j/files/b").content == b"0123456789"


def test_an_object_removed_while_it_is_sent_cuts_the_response_off(
    http: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    data = os.urandom(48 << 20)
    http.put("/v1/jobs/j/files/a", content=data).raise_for_status()
    [key] = own(store, tmp_path)
    got = bytearray()
    with http.stream("GET", "/v1/jobs/j/files/a") as answer:
        pieces = answer.iter_raw()
        got += next(pieces)
        store.remove(key)
        with pytest.raises(httpx.RemoteProtocolError):
            deque(map(got.extend, pieces), maxlen=0)
    assert 0 < len(got) < len(data)
    assert data.startswith(got)


@pytest.mark.parametrize("http", [["--files-redirect"]], indirect=True)
def test_a_download_is_redirected_to_the_store_with_its_name_and_type(http: httpx.Client) -> None:
    http.put("/v1/jobs/j/files/ü.txt", content=b"0123456789")
    address = "/v1/jobs/j/files/ü.txt"
    answer = http.get(address)
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    plain = httpx.get(answer.headers["location"], headers={"range": "bytes=5-"})
    assert (plain.status_code, plain.content) == (206, b"56789")
    assert plain.headers["content-type"] == "text/plain"
    assert plain.headers["content-disposition"] == (
        "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"
    )
    assert http.get(address, follow_redirects=True).content == b"0123456789"
    # The server answers what the store can't.
    assert http.head(address).headers["content-length"] == "10"
    assert http.get(address, params={"inline": "1"}).content == b"0123456789"
    # Only the response that the server sent; it knows nothing of the others.
    eventually(lambda: http.get("/v1/jobs/j/files").json()["files"][0]["downloads"] == 1)
    eventually(lambda: "handed_over" in http.get("/v1/audit").text)


def test_a_store_that_is_away_is_503_and_an_upload_in_pieces_waits_for_it(tmp_path: Path) -> None:
    with ObjectStore() as store:
        server = Server(tmp_path, "--files", store.files, env=store.environment)
        with server, httpx.Client(base_url=server.url, timeout=30) as http:
            http.put("/v1/jobs/j").raise_for_status()
            http.put("/v1/jobs/j/files/a", content=b"a").raise_for_status()
            upload = http.post("/v1/jobs/j/uploads", headers=BEGIN).headers["location"]
            store.kill()
            answer = http.patch(upload, content=b"0123456789", headers=PIECE)
            problem(answer, 503, "storage_unavailable")
            problem(http.put("/v1/jobs/j/files/c", content=b"c"), 503, "storage_unavailable")
            problem(http.get("/v1/jobs/j/files/a"), 503, "storage_unavailable")
            assert [it["name"] for it in http.get("/v1/jobs/j").json()["files"]] == ["a"]
            store.start()
            assert http.head(upload, headers=PIECE).headers["upload-offset"] == "10"
            assert http.get("/v1/jobs/j/files/b").content == b"0123456789"


async def test_nodes_start_only_with_the_store_of_the_others(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    database, prefix = Database(), f"{store.files}/{tmp_path.name}"
    database.alive = 8
    with ThreadPoolExecutor(4) as threads:
        area = ObjectArea(prefix, threads)
        await asyncio.gather(*[prove(area, database, prefix) for _ in range(8)])
        assert own(store, tmp_path) == [f"some/files/{tmp_path.name}/.livejobs-area"]
        for other in (ObjectArea(f"{prefix}/x", threads), LocalArea(tmp_path, threads)):
            with pytest.raises(SettingError, match="it has no "):
                await prove(other, database, "there")
        await prove(area, database, prefix)


def test_an_unusable_store_stops_the_start_with_one_line(
    store: ObjectStore, tmp_path: Path
) -> None:
    for url, sentence in (
        ("s3://no-such-bucket/x", "can't be used: .* 404 Not Found"),
        ("s3://", "takes .*, not 's3://'"),
    ):
        with pytest.raises(DidNotStart) as caught:
            Server(tmp_path, "--files", url, env=store.environment)
        last = str(caught.value).splitlines()[-1]
        assert re.fullmatch(rf"livejobs: files \([^)]*\): {sentence}", last)


def test_without_its_extra_the_start_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['obstore'] = None; sys.argv[0] = 'livejobs';"
        "from livejobs.cli.main import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "serve",
        "--data",
        str(tmp_path),
        "--files",
        "s3://b/x",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "pip install 'livejobs[objects]'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_nothing_of_the_store_s_library_is_loaded_unless_it_is_asked_for() -> None:
    program = "import sys, livejobs.cli.operator.serve; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
