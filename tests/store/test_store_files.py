"""The contract of every store: files of jobs, and their downloads."""

from __future__ import annotations

from msgspec.structs import replace

from livejobs.core.model import File, Head
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Store
from livejobs.store.files import Tally
from tests.store.contract import create, delete, job


def with_files(head: Head, *files: tuple[str, int]) -> Head:
    return replace(head, files=tuple(File(key, size, "text/plain", key=key) for key, size in files))


async def test_files_are_known_from_their_commit_until_they_are_forgotten(store: Store) -> None:
    empty = job()
    one = with_files(empty, ("k1", 10))
    two = with_files(empty, ("k1", 10), ("k2", 5))
    await create(store, empty)
    await store.commit([Change(empty, one), Change(one, two)])
    assert await store.known_files(["k1", "k2", "k3"]) == {"k1", "k2"}
    assert await store.ended_files(limit=9) == []
    await store.commit([Change(two, one)])
    assert await store.ended_files(limit=9) == ["k2"]
    assert await store.known_files(["k2"]) == {"k2"}
    await store.forget_files(["k2"])
    assert (await store.ended_files(limit=9), await store.known_files(["k2"])) == ([], set())
    await delete(store, one)
    assert await store.ended_files(limit=9) == ["k1"]


async def test_a_file_added_and_removed_in_one_commit_has_ended(store: Store) -> None:
    empty = job()
    first, second = with_files(empty, ("k1", 10)), with_files(empty, ("k2", 5))
    await create(store, empty)
    await store.commit([Change(empty, first), Change(first, second), Change(second, second)])
    assert await store.ended_files(limit=9) == ["k1"]
    await delete(store, second)
    assert sorted(await store.ended_files(limit=9)) == ["k1", "k2"]
    assert len(await store.ended_files(limit=1)) == 1


async def test_bytes_of_files_are_summed_by_project(store: Store) -> None:
    await store.project("other")
    mine, theirs = job("a"), job("b", "other")
    await create(store, mine, theirs)
    elsewhere = File("x", 99, "text/plain", key="k4", url="https://example.org/x")
    both = replace(with_files(mine, ("k1", 10), ("k2", 5)), files=(
        *with_files(mine, ("k1", 10), ("k2", 5)).files, elsewhere))  # fmt: skip
    await store.commit([Change(mine, both), Change(theirs, with_files(theirs, ("k3", 7)))])
    assert dict(await store.file_bytes()) == {"default": 15, "other": 7}
    await store.commit([Change(both, with_files(mine, ("k2", 5)))])
    assert dict(await store.file_bytes()) == {"default": 5, "other": 7}


async def test_downloads_add_up_and_their_audit_records_are_written(store: Store) -> None:
    head = with_files(job(), ("k1", 10), ("k2", 5))
    await create(store, head)
    record = AuditRecord(1, "key:ci", "download", "default", "a", {"file": "k1"})
    await store.downloaded({"k1": Tally(2, 70), "gone": Tally(1, 70)}, [record])
    await store.downloaded({"k1": Tally(3, 80)}, [])
    assert await store.downloads(["k1", "k2", "gone"]) == {"k1": Tally(5, 80), "k2": Tally()}
    assert [noted.record for noted in await store.audit(limit=9)] == [record]
