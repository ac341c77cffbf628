"""Several nodes and their files: one database, and one file area or several. Here a node is the
`Files` of a server, and the database is in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from msgspec.structs import replace

from livejobs import LiveJobs, Settings, clock
from livejobs.config import SettingError
from livejobs.core import reducer
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import File, Head
from livejobs.core.reports import NewJob
from livejobs.files.counting import Downloads, Sent
from livejobs.files.filing import Files
from livejobs.files.partial import Declared, Partial, UploadLocked
from livejobs.files.quota import FileTooLarge
from livejobs.store.base import Change
from livejobs.store.memory import MemoryStore
from tests.support.nodes import Database

HEAD = reducer.create(NewJob(), id="j", project="default", owner="a", now=0)
KEY, OTHER = "0" * 30 + "ab", "1" * 30 + "ab"
MARKER = ".livejobs-area"
DAY = 24 * 3600 * 1000


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def node(tmp_path: Path, database: Database) -> AsyncIterator[Callable[..., Files]]:
    made: list[Files] = []

    def make(folder: str | None = None, files: str | None = None, **settings: Any) -> Files:
        if folder is not None:
            (tmp_path / folder).mkdir(exist_ok=True)
            files = f"file://{tmp_path / folder}"
        chosen = Settings(data=tmp_path / f"data{len(made)}", files=files, **settings)
        made.append(LiveJobs(chosen, store=database).files)
        return made[-1]

    yield make
    for files in made:
        await files.stop()


async def refused(files: Files) -> str:
    with pytest.raises(SettingError) as caught:
        await files.start()
    assert caught.value.name == "files"
    return str(caught.value)


def id_of(folder: Path) -> str:
    return (folder / MARKER).read_text()[:32]


# The proof


async def test_nodes_with_one_folder_start(node: Callable[..., Files], database: Database) -> None:
    await node("one").start()
    database.alive = 2
    await node("one").start()
    await node("one").start()


async def test_a_node_with_another_folder_is_refused(
    node: Callable[..., Files], database: Database, tmp_path: Path
) -> None:
    await node("one").start()
    known = await database.meta("files")
    database.alive = 2
    assert await refused(node("two")) == (
        f"files (file://{tmp_path}/two): is not where the other nodes of this database keep "
        f"their files: it has no {MARKER}. Use one object store, or one folder that all "
        "nodes share."
    )
    assert list((tmp_path / "two").iterdir()) == []
    (tmp_path / "two" / MARKER).write_text("f" * 32)
    assert f"its {MARKER} is another" in await refused(node("two"))
    assert f"({tmp_path}/data3/files)" in await refused(node())  # no setting at all
    assert await database.meta("files") == known
    await node("one").start()


async def test_a_folder_that_lost_its_marker_is_refused_while_others_use_it(
    node: Callable[..., Files], database: Database, tmp_path: Path
) -> None:
    await node("one").start()
    (tmp_path / "one" / MARKER).unlink()  # as when a mount is missing
    database.alive = 2
    assert "it has no" in await refused(node("one"))


@pytest.mark.parametrize("left", [None, "f" * 32])
async def test_a_moved_folder_is_taken_with_a_warning_when_no_other_node_runs(
    node: Callable[..., Files],
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    left: str | None,
) -> None:
    await node("one").start()
    assert caplog.messages == []
    first = await database.meta("files")
    moved = node("two")
    if left:
        (tmp_path / "two" / MARKER).write_text(left)
    with caplog.at_level(logging.WARNING):
        await moved.start()
    assert "files of jobs may be missing" in caplog.messages[-1]
    now = await database.meta("files")
    assert now == id_of(tmp_path / "two")
    assert now not in (None, first)
    database.alive = 2
    assert "is another" in await refused(node("one"))
    await node("two").start()


async def test_a_copy_of_the_folder_is_refused_while_others_use_the_folder(
    node: Callable[..., Files],
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = node("one")
    await first.start()
    copytree(tmp_path / "one", tmp_path / "copy")
    await first.sweep()
    database.alive = 2
    assert "it is a copy" in await refused(node("copy"))
    await node("one").start()
    database.alive = 1
    assert caplog.messages == []
    await node("copy").start()  # restored from a backup
    assert "restored" in caplog.messages[-1]
    database.alive = 2
    await node("copy").start()
    assert "is another" in await refused(node("one"))


async def test_a_node_whose_folder_is_gone_says_so(
    node: Callable[..., Files], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = node("one")
    await files.start()
    (tmp_path / "one" / MARKER).unlink()
    await files.sweep()
    assert "can't be used: No such file" in caplog.messages[-1]


@pytest.mark.parametrize("known", [False, True])
async def test_two_nodes_that_start_at_once_do_not_both_get_their_own_folder(
    node: Callable[..., Files], database: Database, known: bool
) -> None:
    if known:
        await database.set_meta("files", "e" * 32)
    database.alive = 2
    ends = await asyncio.gather(node("one").start(), node("two").start(), return_exceptions=True)
    assert [type(it) for it in ends].count(type(None)) == (0 if known else 1)


async def test_nodes_that_start_at_once_on_a_new_folder_agree(
    node: Callable[..., Files], database: Database, tmp_path: Path
) -> None:
    database.alive = 8
    await asyncio.gather(*[node("one").start() for _ in range(8)])
    assert await database.meta("files") == id_of(tmp_path / "one")


async def test_a_new_database_takes_the_folder_as_it_is(
    node: Callable[..., Files], database: Database, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / MARKER).write_text("c" * 32 + "\n")
    await node("one").start()
    assert await database.meta("files") == "c" * 32


@pytest.mark.parametrize("text", ["", "x", "f" * 31, "ü" * 16, "F" * 32])
async def test_a_damaged_marker_is_refused(
    node: Callable[..., Files],
    tmp_path: Path,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("livejobs.files.areas.local.PAUSES", 1)
    files = node("one")
    (tmp_path / "one" / MARKER).write_text(text)
    assert "has a damaged .livejobs-area. Remove that file." in await refused(files)


async def test_a_marker_that_can_not_be_read_is_refused(
    node: Callable[..., Files], tmp_path: Path
) -> None:
    files = node("one")
    (tmp_path / "one" / MARKER).mkdir()
    assert "can't be used" in await refused(files)


async def test_a_folder_is_there_and_is_a_folder(
    node: Callable[..., Files], tmp_path: Path
) -> None:
    put(tmp_path, "file")
    for name in ("none", "file", "file/x", "x" * 5000):
        assert "is not a folder that livejobs can write in" in await refused(
            node(files=f"file://{tmp_path}/{name}")
        )


async def test_one_server_leaves_no_marker(tmp_path: Path) -> None:
    files = LiveJobs(Settings(data=tmp_path), store=MemoryStore()).files
    await files.start()
    assert not (tmp_path / "files" / MARKER).exists()
    await files.stop()


# Resumable uploads


@pytest.mark.parametrize("killed", [False, True])
async def test_an_upload_stays_locked_until_its_job_has_the_file(
    node: Callable[..., Files], tmp_path: Path, killed: bool
) -> None:
    one, two = node("one").partials, node("one").partials
    partial = await one.create(Declared(KEY, "j", "default", "a", "text/plain", 0, ""))
    async with one.claimed(partial):
        with pytest.raises(UploadLocked):
            async with two.claimed(some(await two.find("j", KEY))):
                pass
        partial.path.rename(tmp_path / "taken by the area")
        with pytest.raises(UploadLocked):
            await two.find("j", KEY)
        await two.look()
        if not killed:
            await one.finished(partial)
    assert await two.find("j", KEY) is None
    assert len(two) == 0
    assert names(tmp_path / "one" / "incoming") == []


async def test_a_cancelled_request_leaves_no_lock(node: Callable[..., Files]) -> None:
    files, other = node("one").partials, node("one").partials
    partial = await files.create(Declared(KEY, "j", "default", "a", "text/plain", 9, ""))

    async def claim() -> None:
        async with files.claimed(partial):
            await asyncio.sleep(0)

    for steps in range(20):
        task = asyncio.create_task(claim())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while partial.busy:  # noqa: ASYNC110 - until a thread has ended
            await asyncio.sleep(0)
        async with other.claimed(some(await other.find("j", KEY))):
            pass


def some(partial: Partial | None) -> Partial:
    assert partial is not None
    return partial


# What another node is writing, and what it left


def put(tmp_path: Path, *names: str) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path) -> list[str]:
    return sorted(str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file())


async def test_what_another_node_may_be_writing_stays_for_a_day(
    node: Callable[..., Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    young = [f"ab/{KEY}", f"incoming/{KEY}", f"incoming/{OTHER}.part"]
    foreign = ["ab/" + "x" * 32, "incoming/x", "incoming/x.json", "cd/" + KEY, "y"]
    put(tmp_path / "one", *young, *foreign)
    files = node("one")
    await files.start()
    await files.clear_orphans()
    assert names(tmp_path / "one") == sorted([MARKER, *young, *foreign])
    later = clock.now_ms() + 2 * DAY
    monkeypatch.setattr(clock, "now_ms", lambda: later)
    await files.start()
    await files.clear_orphans()
    assert names(tmp_path / "one") == sorted([MARKER, *foreign])


async def give(database: Database, before: Head | None, *files: File) -> Head:
    """Another node commits that the job has these files."""
    after = replace(before or HEAD, files=files)
    await database.project("default")
    await database.commit([Change(before, after)])
    return after


async def test_bytes_that_another_node_did_not_remove_any_more_are_removed(
    node: Callable[..., Files], database: Database, tmp_path: Path
) -> None:
    put(tmp_path / "one", f"ab/{KEY}", f"ab/{OTHER}")
    head = await give(database, None, File("a", 1, "text/plain", key=KEY))
    await give(database, head, File("a", 1, "text/plain", key=OTHER))
    nodes = [node("one") for _ in range(3)]
    for it in nodes:
        await it.start()
    await asyncio.gather(*[it.sweep() for it in nodes])
    assert names(tmp_path / "one") == sorted([MARKER, f"ab/{OTHER}"])
    assert await database.ended_files(limit=10) == []


async def test_files_of_other_nodes_count_for_the_limit(
    node: Callable[..., Files], database: Database
) -> None:
    files = node("one", max_project_bytes=100)
    await files.start()
    files.quota.check("default", 100, 100)
    await give(database, None, File("a", 60, "text/plain", key=KEY))
    await files.sweep()
    files.quota.check("default", 40, 40)
    with pytest.raises(FileTooLarge):
        files.quota.check("default", 41, 41)


async def test_downloads_that_two_nodes_counted_add_up(database: Database) -> None:
    file = File("a", 9, "text/plain", key=KEY)
    head = await give(database, None, file)
    nodes = [Downloads(database) for _ in range(2)]
    for count, it in enumerate(nodes, 1):
        for _ in range(count):
            it.note(Sent(head, file, "a", 9, None, whole=True))
    assert [(await it.of([file]))[KEY].count for it in nodes] == [1, 2]
    await asyncio.gather(*[it.flush() for it in nodes])
    assert [(await it.of([file]))[KEY].count for it in nodes] == [3, 3]


class Unsure(Database):
    """It keeps one commit and then loses the connection."""

    lost = False

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        seqs = await super().commit(changes, on)
        if self.lost:
            self.lost = False
            raise StorageUnavailable("The connection is lost.")
        return seqs


async def test_a_file_whose_commit_was_kept_after_all_has_its_bytes(tmp_path: Path) -> None:
    store = Unsure()
    async with LiveJobs(Settings(data=tmp_path), store=store) as live:
        job = await live.create()
        slot = await live.find(job.id)
        store.lost = True
        with pytest.raises(StorageUnavailable):
            await job.put_file("a", b"abc")
        live.committer.hear("default", 99)  # as the next pulse does
        while not slot.head.files:
            await slot.changed()
        opened = await live.files.open(slot.head.files[0])
        assert await opened.read(0, 10) == b"abc"
        await opened.close()
