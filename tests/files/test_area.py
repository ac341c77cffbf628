"""The contract of every file area. The laws are in files/area.py; each test states one of them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from livejobs.core.errors import NotFound, StorageUnavailable
from livejobs.files.areas.area import Area, Marker, Opened
from livejobs.files.areas.local import LocalArea
from livejobs.files.areas.objects import ObjectArea
from tests.support.objects import ObjectStore

A, B = "a" * 32, "b" * 32
SIZES = [0, 1, 100_000, (3 << 20) + 1, (17 << 20) + 5]


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        yield store


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture(params=["local", "objects"])
async def area(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Area]:
    area: Area = LocalArea(tmp_path / "files", threads)
    if request.param == "objects":
        store: ObjectStore = request.getfixturevalue("store")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        area = ObjectArea(f"{store.files}/{tmp_path.name}", threads, timedelta(days=-1))
    await area.open()
    yield area
    await area.close()
    await area.close()


async def kept(area: Area, tmp_path: Path, key: str, data: bytes) -> None:
    path = tmp_path / "arrived"
    path.write_bytes(data)
    await area.keep(key, path, "a name.txt", "text/plain")
    assert not path.exists()


async def all_of(opened: Opened, piece: int = 1 << 20) -> bytes:
    read = bytearray()
    while data := await opened.read(len(read), piece):
        read += data
    return bytes(read)


async def keys(area: Area) -> list[str]:
    listed = area.keys()
    return sorted([key async for some in listed for key in some])


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_is_read_as_it_was_kept(area: Area, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    await kept(area, tmp_path, A, data)
    opened = await area.find(A)
    assert (opened.size, opened.etag) == (size, f'"{A}"')
    assert abs(opened.modified / 1000 - time.time()) < 60
    assert await all_of(opened) == data
    await opened.close()
    await opened.close()


async def test_a_file_is_read_from_any_offset_up_to_its_end(area: Area, tmp_path: Path) -> None:
    data = os.urandom(5_000)
    await kept(area, tmp_path, A, data)
    opened = await area.find(A)
    for offset, length in (
        (0, 10), (10, 10), (20, 4_000), (20, 10), (4_020, 100), (4_120, 5_000), (5_000, 1),
        (0, 5_000), (4_999, 1), (0, 3), (3, 3), (6, 3), (9, 2), (11, 9),
    ):  # fmt: skip
        assert await opened.read(offset, length) == data[offset : offset + length], offset
    await opened.close()


async def test_many_readers_read_one_file_at_once(area: Area, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    await kept(area, tmp_path, A, data)
    readers = [await area.find(A) for _ in range(8)]
    found = await asyncio.gather(*[all_of(it, 100_000 + n) for n, it in enumerate(readers)])
    assert set(found) == {data}
    for reader in readers:
        await reader.close()


async def test_a_cancelled_reader_leaves_no_wrong_bytes(area: Area, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    await kept(area, tmp_path, A, data)
    opened = await area.find(A)
    for offset in (0, 1 << 20):
        reading = asyncio.create_task(opened.read(offset, 1 << 20))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert await all_of(opened) == data
    await opened.close()


async def test_a_key_without_a_file_is_not_found(area: Area) -> None:
    with pytest.raises(NotFound) as caught:
        await area.find(A)
    assert caught.value.code == "no_file"


async def test_a_removed_file_is_gone_and_others_stay(area: Area, tmp_path: Path) -> None:
    await kept(area, tmp_path, A, b"1")
    await kept(area, tmp_path, B, b"2")
    await area.remove([A, "c" * 32])
    await area.remove([A])
    with pytest.raises(NotFound):
        await area.find(A)
    assert await all_of(await area.find(B)) == b"2"
    assert await keys(area) == [B]


async def test_a_file_removed_while_it_is_read_gives_its_bytes_or_none(
    area: Area, tmp_path: Path
) -> None:
    data = os.urandom(6 << 20)
    await kept(area, tmp_path, A, data)
    opened = await area.find(A)
    read = await opened.read(0, 1 << 20)
    await area.remove([A])
    removed = None
    try:
        while more := await opened.read(len(read), 1 << 20):
            read += more
    except NotFound as error:
        removed = error
    assert data.startswith(read)
    assert read == data or (removed is not None and removed.code == "no_file")
    await opened.close()


async def test_all_keys_are_listed(area: Area, tmp_path: Path) -> None:
    assert await keys(area) == []
    made = [f"{n:032x}" for n in range(0, 1000, 37)]
    for key in made:
        await kept(area, tmp_path, key, b"")
    assert await keys(area) == made


async def test_an_area_keeps_its_first_marker_which_is_no_file(area: Area) -> None:
    assert await area.marker() is None
    await asyncio.gather(*[area.mark(f"{n:032x}") for n in range(5)])
    marker = await area.marker()
    assert marker is not None
    assert marker.id in {f"{n:032x}" for n in range(5)}
    assert await keys(area) == []
    await area.beat()
    await area.mark(B)
    beaten = await area.marker()
    assert beaten is not None
    assert beaten.id == marker.id
    assert beaten.beats == (1 if isinstance(area, LocalArea) else 0)
    await area.unmark()
    await area.unmark()
    assert await area.marker() is None
    await area.mark(B)
    assert await area.marker() == Marker(B)


async def test_a_link_downloads_the_file_under_its_name(area: Area, tmp_path: Path) -> None:
    await kept(area, tmp_path, A, b"0123456789")
    link = await area.link(A)
    if link is not None:
        answer = await asyncio.to_thread(httpx.get, link, headers={"range": "bytes=2-4"})
        assert (answer.status_code, answer.content) == (206, b"234")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["content-disposition"] == 'attachment; filename="a name.txt"'


async def test_a_refusing_medium_raises_and_keeps_nothing(
    tmp_path: Path, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ObjectStore() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        area = ObjectArea(store.files, threads)
        await area.open()
        await kept(area, tmp_path, A, b"1")
        opened = await area.find(A)
        store.kill()
    (tmp_path / "folder").touch()
    path = tmp_path / "arrived"
    path.write_bytes(b"2")
    for refusing in (area, LocalArea(tmp_path / "folder", threads)):
        with pytest.raises(StorageUnavailable):
            await refusing.keep(B, path, "x", "text/plain")
        assert path.exists()
    asked = [area.find(A), opened.read(0, 1), area.remove([A]), keys(area)]
    refused = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(it) for it in refused] == [StorageUnavailable] * 4


async def test_keys_of_objects_are_listed_only_after_they_settle(
    store: ObjectStore,
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    area = ObjectArea(f"{store.files}/young", threads)
    await kept(area, tmp_path, A, b"1")
    assert await keys(area) == []
